"""Second look at candidates: where exactly, and how well, the term fits.

A candidate is a segment that looked right as a whole. Here the term's phones are aligned with the phone posteriors
around it, a spoken example with the frames around it (DTW), and the exact span found is embedded again; a verifier, if
there is one, judges that span last. What comes out are features, for `calibrate` to turn into a probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from stdsearch.align import align_phones, subsequence_dtw
from stdsearch.encoder import Encoder, Frames
from stdsearch.phones import PHONE_INDEX
from stdsearch.verifier import Verifier, cut

MARGIN = 0.3  # seconds looked at on either side of a candidate: slicing misses borders by less
SCORE_RANGE = (-8.0, 5.0)  # a frame's log-likelihood ratio is kept within, so that no frame decides alone
LONGEST_EMBEDDED = 20  # phones: training sees no longer terms, and slices hold few
PHONE_SECONDS = 0.12  # of slow speech
SHORTEST_HIT = 0.02  # seconds: a phone posterior
WORTH = 1.5  # nats by which a frame must be likelier than chance for the alignment to reach out for it


@dataclass(frozen=True, slots=True)
class Example:
    """A spoken example, encoded: its frames, and the embedding (dim,) of all but `beyond` seconds at either end."""

    frames: Frames
    embedding: np.ndarray
    beyond: float = 0.0


def middle(phones: Sequence[str]) -> slice:
    """Which of its phones a term is embedded by: all of them, or of a long term those in the middle.

    >>> middle(["AH"] * 25)
    slice(2, 22, None)
    """
    first = max(0, len(phones) - LONGEST_EMBEDDED) // 2
    return slice(first, min(len(phones), first + LONGEST_EMBEDDED))


@dataclass(frozen=True)
class Query:
    """A term made ready: pronunciations, embeddings (p, dim) of their middles, spoken examples; not all empty."""

    pronunciations: tuple[tuple[str, ...], ...]
    text_embeddings: np.ndarray
    examples: tuple[Example, ...]

    @property
    def mode(self) -> str:
        """Which evidence there is, and so which calibration holds: "text", "audio" or "both"."""
        return "both" if self.pronunciations and self.examples else "text" if self.pronunciations else "audio"

    @cached_property
    def example_embedding(self) -> np.ndarray:
        """The mean of the examples' embeddings (dim,), L2-normalised."""
        mean = np.mean([example.embedding for example in self.examples], axis=0)
        return mean / np.linalg.norm(mean)

    @property
    def beyond(self) -> float:
        """Seconds that a term longer than a slice may reach out from a candidate to either side."""
        of_text = (PHONE_SECONDS * (len(phones) - middle(phones).stop) for phones in self.pronunciations)
        return max([*of_text, *(example.beyond for example in self.examples)])

    @cached_property
    def vectors(self) -> np.ndarray:
        """What the first pass looks for (v, dim), rows L2-normalised.

        Each pronunciation, the mean of the examples, or, where there is both, each pronunciation plus that mean.
        """
        if self.mode == "text":
            return self.text_embeddings
        if self.mode == "audio":
            return self.example_embedding[None]
        both = self.text_embeddings + self.example_embedding
        return both / np.linalg.norm(both, axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Places that may hold the term, as columns of one length n; times in seconds; score: cosine of the first pass."""

    recording_id: np.ndarray
    channel: np.ndarray
    tbeg: np.ndarray
    tend: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.recording_id)

    def take(self, index: np.ndarray) -> "Candidates":
        """Some of the candidates."""
        return Candidates(
            self.recording_id[index], self.channel[index], self.tbeg[index], self.tend[index], self.score[index]
        )

    def within(self, duration: np.ndarray | float) -> "Candidates":
        """The same without what reaches out of a recording, as the last frame may; duration: (n,) in seconds."""
        tend = np.minimum(self.tend, duration)
        return replace(self, tbeg=np.minimum(self.tbeg, tend - SHORTEST_HIT), tend=tend)


class FrameSource(Protocol):
    """Where rescoring looks: an archive, or what a stream has brought lately."""

    def stretches(
        self, recording_id: np.ndarray, channel: np.ndarray, tbeg: np.ndarray, tend: np.ndarray
    ) -> tuple[Frames, np.ndarray, np.ndarray]:
        """The frames that cover each span [tbeg, tend), clipped to what there is; as `ArchiveReader.stretches`."""


@dataclass(frozen=True, slots=True)
class _Stretches:
    """The frames around the candidates, end to end: offsets (n + 1,) in frames, start (n,) in seconds."""

    frames: Frames
    offsets: np.ndarray
    start: np.ndarray

    def embed(self, encoder: Encoder, tbeg: np.ndarray, tend: np.ndarray) -> np.ndarray:
        """Embeddings (n, dim) of one span in each stretch, times in the recordings' seconds."""
        step = self.frames.frame_seconds
        length = np.diff(self.offsets)
        begin = np.clip((tbeg - self.start) / step, 0, length - 0.5)
        end = np.clip((tend - self.start) / step, begin + 0.5, length)
        first, last = np.floor(begin).astype(int), np.ceil(end).astype(int)
        n_frames = last - first
        moved = np.cumsum([0, *n_frames[:-1]])  # where the frames of each span come to lie among those of all
        taken = np.arange(n_frames.sum()) + np.repeat(self.offsets[:-1] + first - moved, n_frames)
        frames = Frames(self.frames.hidden[taken], step)
        return encoder.embed_spans(frames, (begin - first + moved) * step, (end - first + moved) * step)

    def cut(self, tbeg: np.ndarray, tend: np.ndarray) -> list[np.ndarray]:
        """What a verifier hears of one span in each stretch, times in the recordings' seconds."""
        step = self.frames.frame_seconds
        parts = [Frames(part, step) for part in np.split(self.frames.hidden, self.offsets[1:-1])]
        return [cut(part, *span) for part, *span in zip(parts, tbeg - self.start, tend - self.start, strict=True)]


def rescore(
    query: Query,
    candidates: Candidates,
    source: FrameSource,
    encoder: Encoder,
    verifier: Verifier | None = None,
) -> tuple[Candidates, dict[str, np.ndarray]]:
    """The candidates with their exact borders, and the features (n,) by name.

    All: `first`, the cosine of the first pass; `length`, the log of the number of phones, or of ten times the seconds
    of the example.
    Text: `text`, the cosine of the span, of a long term of its middle; `pace`, the span's seconds a phone. Where the
    encoder gives phone posteriors also `alignment`, the mean over phones of each phone's mean log-likelihood ratio;
    `weakest`, the least of those means; `posterior`, as alignment with log posteriors.
    Audio: `dtw`, the mean over examples of the path's mean cosine; `audio`, the cosine of the matched span, likewise;
    `stretch`, the log ratio of its duration to the example's.
    With a verifier: `verifier`, its log odds that the span is the term, of the pronunciation that it likes best and as
    the mean over examples.
    Borders come from the alignment, else from DTW, else they are the candidate's own. A candidate at the edge of a
    recording that leaves no room for the phones of the alignment is left out.
    """
    stretches = _gather(candidates, source, MARGIN + query.beyond)
    features = {"first": candidates.score}
    if query.examples:
        candidates, heard = _match_examples(query, candidates, stretches, encoder)
        features |= heard
    if query.pronunciations:
        posteriors = encoder.phone_log_posteriors(stretches.frames)
        if posteriors is None:
            candidates, compared = _compare_text(query, candidates, stretches, encoder)
            return candidates, features | compared
        candidates, aligned = _align_text(query, candidates, stretches, encoder, posteriors)
        features |= aligned
    if verifier:
        features["verifier"] = _verify(query, stretches.cut(candidates.tbeg, candidates.tend), verifier)
    if query.pronunciations:
        fits = np.isfinite(features["alignment"])
        candidates, features = candidates.take(fits), {name: value[fits] for name, value in features.items()}
    return candidates, features


def _gather(candidates: Candidates, source: FrameSource, margin: float) -> _Stretches:
    tbeg, tend = candidates.tbeg - margin, candidates.tend + margin
    return _Stretches(*source.stretches(candidates.recording_id, candidates.channel, tbeg, tend))


def _align_text(
    query: Query, candidates: Candidates, stretches: _Stretches, encoder: Encoder, posteriors: np.ndarray
) -> tuple[Candidates, dict[str, np.ndarray]]:
    ratio = np.clip(posteriors - encoder.log_prior.numpy(), *SCORE_RANGE)
    per_frame = len(posteriors) // len(stretches.frames.hidden)
    offsets, step = stretches.offsets * per_frame, stretches.frames.frame_seconds / per_frame
    best: dict[str, np.ndarray] = {}
    for phones, embedding in zip(query.pronunciations, query.text_embeddings, strict=True):
        columns = np.array([PHONE_INDEX[phone] for phone in phones])
        score, begin, ends = align_phones(ratio - WORTH, offsets, columns)
        borders = np.concatenate([begin[:, None], ends], axis=1)
        times = stretches.start[:, None] + borders * step
        tbeg, tend, embedded = times[:, 0], times[:, -1], middle(phones)
        of_phones = _phone_means(ratio, columns, offsets, borders)
        found = {
            "tbeg": tbeg,
            "tend": tend,
            "alignment": np.where(np.isfinite(score), of_phones.mean(axis=1), -np.inf),
            "weakest": of_phones.min(axis=1),
            "posterior": _phone_means(posteriors, columns, offsets, borders).mean(axis=1),
            "text": stretches.embed(encoder, times[:, embedded.start], times[:, embedded.stop]) @ embedding,
            "pace": (tend - tbeg) / len(phones),
            "length": np.full(len(candidates), np.log(len(phones))),
        }
        best = _better(found, best, by="alignment")
    return replace(candidates, tbeg=best.pop("tbeg"), tend=best.pop("tend")), best


def _compare_text(
    query: Query, candidates: Candidates, stretches: _Stretches, encoder: Encoder
) -> tuple[Candidates, dict[str, np.ndarray]]:
    """Text features without an alignment.

    A candidate of the first pass is taken for a long term's middle, and reaches out by what the other phones need at
    the same pace; what DTW has found is taken for all of the term.
    """
    best: dict[str, np.ndarray] = {}
    for phones, embedding in zip(query.pronunciations, query.text_embeddings, strict=True):
        embedded = middle(phones)
        covered = slice(0, len(phones)) if query.examples else embedded
        pace = (candidates.tend - candidates.tbeg) / (covered.stop - covered.start)
        tbeg = candidates.tbeg - covered.start * pace
        found = {
            "tbeg": np.maximum(tbeg, 0),
            "tend": tbeg + len(phones) * pace,
            "text": stretches.embed(encoder, tbeg + embedded.start * pace, tbeg + embedded.stop * pace) @ embedding,
            "pace": pace,
            "length": np.full(len(candidates), np.log(len(phones))),
        }
        best = _better(found, best, by="text")
    return replace(candidates, tbeg=best.pop("tbeg"), tend=best.pop("tend")), best


def _better(found: dict[str, np.ndarray], best: dict[str, np.ndarray], *, by: str) -> dict[str, np.ndarray]:
    """The values (n,) of one pronunciation or the other, for each candidate of that with the greater `by`."""
    if not best:
        return found
    better = found[by] > best[by]
    return {name: np.where(better, value, best[name]) for name, value in found.items()}


def _phone_means(scores: np.ndarray, columns: np.ndarray, offsets: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Mean score (n, L) of each phone over the frames that the alignment (n, L + 1) gives it."""
    prefix = np.concatenate([np.zeros((1, len(columns))), scores[:, columns].cumsum(axis=0, dtype=np.float64)])
    at = offsets[:-1, None] + borders
    which = np.arange(len(columns))
    return (prefix[at[:, 1:], which] - prefix[at[:, :-1], which]) / np.maximum(np.diff(at, axis=1), 1)


def _match_examples(
    query: Query, candidates: Candidates, stretches: _Stretches, encoder: Encoder
) -> tuple[Candidates, dict[str, np.ndarray]]:
    vectors, step = encoder.match_vectors(stretches.frames), stretches.frames.frame_seconds
    costs, begins, ends = [], [], []
    for example in query.examples:
        cost, begin, end = subsequence_dtw(encoder.match_vectors(example.frames), vectors, stretches.offsets)
        costs.append(cost)
        begins.append(begin)
        ends.append(end)
    nearest, every = np.argmin(costs, axis=0), np.arange(len(candidates))
    tbeg = stretches.start + np.array(begins)[nearest, every] * step
    tend = stretches.start + np.array(ends)[nearest, every] * step
    beyond = np.array([example.beyond / example.frames.duration for example in query.examples])[nearest] * (tend - tbeg)
    seconds = float(np.mean([example.frames.duration for example in query.examples]))
    features = {
        "dtw": 1 - np.mean(costs, axis=0),
        "audio": stretches.embed(encoder, tbeg + beyond, tend - beyond) @ query.example_embedding,
        "stretch": np.log(np.maximum(tend - tbeg, step) / seconds),
        "length": np.full(len(candidates), np.log(10 * seconds)),
    }
    return replace(candidates, tbeg=tbeg, tend=tend), features


def verify(query: Query, places: Candidates, source: FrameSource, verifier: Verifier) -> np.ndarray:
    """The feature `verifier` (n,) of places whose borders are exact, which `rescore` gives with the others."""
    stretches = _gather(places, source, MARGIN)
    return _verify(query, stretches.cut(places.tbeg, places.tend), verifier)


def _verify(query: Query, spans: list[np.ndarray], verifier: Verifier) -> np.ndarray:
    examples: list[np.ndarray | None] = [example.frames.hidden[:, :-1] for example in query.examples]
    odds = [
        np.mean([verifier.score(spans, phones=phones, example=example) for example in examples or [None]], axis=0)
        for phones in query.pronunciations or [()]
    ]
    return np.max(odds, axis=0)
