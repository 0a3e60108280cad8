"""Second look at candidates: where exactly, and how well, the term fits.

A candidate is a segment that looked right as a whole. Here the term's phones are aligned with the phone posteriors
around it, a spoken example with the frames around it (DTW), and the exact span found is embedded again; a verifier, if
there is one, judges that span last. What comes out are features, for `calibrate` to turn into a probability.

The candidates of several terms go through together, so many at a time that their frames stay in the cache: each step is
one call for all of these.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stdsearch.align import align_phones, aligned_means, subsequence_dtw
from stdsearch.encoder import Frames, SearchEncoder, pad_phones

if TYPE_CHECKING:
    from stdsearch.verifier import Verifier

AT_A_TIME = 800  # candidates: a third faster than 1,600 or, as each call takes its time, 200
MARGIN = 0.2  # seconds on either side of a candidate: slicing misses borders by less; in more, more fits by chance
SCORE_RANGE = (-8.0, 5.0)  # a frame's log-likelihood ratio is kept within, so that no frame decides alone
LONGEST_EMBEDDED = 20  # phones: training sees no longer terms, and slices hold few
PHONE_SECONDS = 0.12  # of slow speech
SHORTEST_HIT = 0.02  # seconds: a phone posterior
ALIKE = 0.9  # cosine of two pronunciations from which the first pass finds with one what it would with the other
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

        Each pronunciation but those that are ALIKE one before, or, without text, the mean of the examples: text finds
        what an example would and more.
        """
        if not self.pronunciations:
            return self.example_embedding[None]
        kept: list[int] = []
        for i, embedding in enumerate(self.text_embeddings):
            if not (self.text_embeddings[kept] @ embedding >= ALIKE).any():
                kept.append(i)
        return self.text_embeddings[kept]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Places that may hold a term, as columns of one length n; times in seconds; score: cosine of the first pass.

    term: which of several that are looked for together, ascending; all are of the first unless it is given.
    """

    recording_id: np.ndarray
    channel: np.ndarray
    tbeg: np.ndarray
    tend: np.ndarray
    score: np.ndarray
    term: np.ndarray = None  # type: ignore[assignment]  # zeros, once made

    def __post_init__(self) -> None:
        if self.term is None:
            object.__setattr__(self, "term", np.zeros(len(self.score), np.int64))

    def __len__(self) -> int:
        return len(self.score)

    def take(self, index: np.ndarray | slice) -> "Candidates":
        """Some of the candidates."""
        return Candidates(*(getattr(self, column.name)[index] for column in fields(self)))

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

    def embed(
        self, encoder: SearchEncoder, tbeg: np.ndarray, tend: np.ndarray, stretch: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        """Embeddings (k, dim) of one span in each stretch, or in those named, times in the recordings' seconds."""
        step, start, offset = self.frames.frame_seconds, self.start[stretch], self.offsets[:-1][stretch]
        length = np.diff(self.offsets)[stretch]
        begin = np.clip((tbeg - start) / step, 0, length - 0.5)
        end = np.clip((tend - start) / step, begin + 0.5, length)
        return encoder.embed_spans(self.frames, (begin + offset) * step, (end + offset) * step)

    def edges(self, encoder: SearchEncoder, times: np.ndarray) -> np.ndarray | None:
        """The greater of the log odds of an edge (m, n) that meet at m times (m, n) in each stretch, if any are told.

        Times in the recordings' seconds.
        """
        k, step = encoder.rows_per_frame, self.frames.frame_seconds
        first, end = self.offsets[:-1] * k, self.offsets[1:] * k
        after = np.rint((times - self.start) / step * k).astype(int) + first
        rows = np.clip([after - 1, after], first, end - 1)
        odds = encoder.edge_log_odds(Frames(self.frames.hidden[rows.ravel() // k], step))
        if odds is None:
            return None
        meeting = np.take_along_axis(odds.reshape(*rows.shape, k), rows[..., None] % k, axis=-1)
        greater: np.ndarray = meeting.max(axis=0)[..., 0]
        return greater

    def cut(self, tbeg: np.ndarray, tend: np.ndarray) -> list[np.ndarray]:
        """What a verifier hears of one span in each stretch, times in the recordings' seconds."""
        from stdsearch.verifier import cut

        step = self.frames.frame_seconds
        parts = [Frames(part, step) for part in np.split(self.frames.hidden, self.offsets[1:-1])]
        return [cut(part, *span) for part, *span in zip(parts, tbeg - self.start, tend - self.start, strict=True)]


def rescore(
    queries: Sequence[Query],
    candidates: Candidates,
    source: FrameSource,
    encoder: SearchEncoder,
    verifier: "Verifier | None" = None,
) -> tuple[Candidates, dict[str, np.ndarray]]:
    """The candidates, at least one, with their exact borders, and the features (n,) by name. Queries are of one mode.

    All: `first`, the cosine of the first pass; `length`, the log of the number of phones, or of ten times the seconds
    of the example.
    Text: `text`, the cosine of the span, of a long term of its middle; `pace`, the span's seconds a phone. Where the
    encoder gives phone posteriors also `alignment`, the mean over phones of each phone's mean log-likelihood ratio;
    `weakest`, the least of those means; `posterior`, as alignment with log posteriors.
    Audio: `dtw`, the mean over examples of the path's mean cosine; `audio`, the cosine of the matched span, likewise;
    `stretch`, the log ratio of its duration to the example's.
    Where the encoder tells edges of words: `opening` and `closing`, the log odds that one lies where the span begins,
    and where it ends: "approach" in "approached" has none at its end.
    With a verifier: `verifier`, its log odds that the span is the term, of the pronunciation that it likes best and as
    the mean over examples.
    Borders come from the alignment, else from DTW, else they are the candidate's own. A candidate at the edge of a
    recording that leaves no room for the phones of the alignment is left out.
    """
    parts = []
    for begin in range(0, len(candidates), AT_A_TIME):
        some = candidates.take(slice(begin, begin + AT_A_TIME))
        first, last = some.term[0], some.term[-1]
        own = replace(some, term=some.term - first)
        places, features = _rescore(queries[first : last + 1], own, source, encoder, verifier)
        parts.append((replace(places, term=places.term + first), features))
    found = Candidates(
        *(np.concatenate([getattr(part, column.name) for part, _ in parts]) for column in fields(Candidates))
    )
    return found, {name: np.concatenate([part[name] for _, part in parts]) for name in parts[0][1]}


def _rescore(
    queries: Sequence[Query],
    candidates: Candidates,
    source: FrameSource,
    encoder: SearchEncoder,
    verifier: "Verifier | None",
) -> tuple[Candidates, dict[str, np.ndarray]]:
    stretches = _gather(candidates, source, MARGIN + np.array([query.beyond for query in queries])[candidates.term])
    features = {"first": candidates.score}
    has_text = bool(queries[0].pronunciations)
    if queries[0].examples:
        candidates, heard = _match_examples(queries, candidates, stretches, encoder)
        features |= heard
    if has_text:
        posteriors = encoder.phone_log_posteriors(stretches.frames)
        if posteriors is None:
            candidates, compared = _compare_text(queries, candidates, stretches, encoder)
            return candidates, features | compared
        candidates, aligned = _align_text(queries, candidates, stretches, encoder, posteriors)
        features |= aligned
    edges = stretches.edges(encoder, np.array([candidates.tbeg, candidates.tend]))
    if edges is not None:
        features["opening"], features["closing"] = edges
    if has_text:
        fits = np.isfinite(features["alignment"])
        candidates, features = candidates.take(fits), {name: value[fits] for name, value in features.items()}
    if verifier:
        features["verifier"] = verify(queries, candidates, source, verifier)
    return candidates, features


def _gather(candidates: Candidates, source: FrameSource, margin: float | np.ndarray) -> _Stretches:
    tbeg, tend = candidates.tbeg - margin, candidates.tend + margin
    return _Stretches(*source.stretches(candidates.recording_id, candidates.channel, tbeg, tend))


class _Pronounced:
    """Every candidate with every pronunciation of its term, as n pairs in that order.

    phones (s, L), lengths (s,), embeddings (s, dim), middles (s, 2): of all s pronunciations of all queries, as indices
    into SYMBOLS; candidate, string: (n,) which candidate, which pronunciation.
    """

    def __init__(self, queries: Sequence[Query], term: np.ndarray) -> None:
        strings = [phones for query in queries for phones in query.pronunciations]
        self.phones, self.lengths = pad_phones(strings)
        self.embeddings = np.concatenate([query.text_embeddings for query in queries])
        embedded = [middle(phones) for phones in strings]
        self.middles = np.array([(span.start, span.stop) for span in embedded])
        n_strings = np.array([len(query.pronunciations) for query in queries])
        of_each = n_strings[term]
        self._begin = np.cumsum(of_each) - of_each
        self.candidate = np.repeat(np.arange(len(term)), of_each)
        first = np.cumsum(n_strings) - n_strings
        self.string = np.arange(len(self.candidate)) - np.repeat(self._begin - first[term], of_each)

    def best(self, value: np.ndarray) -> np.ndarray:
        """For each candidate the pair of the greatest value (n,), of equals the first."""
        return np.lexsort((-value, self.candidate))[self._begin]


def _align_text(
    queries: Sequence[Query],
    candidates: Candidates,
    stretches: _Stretches,
    encoder: SearchEncoder,
    posteriors: np.ndarray,
) -> tuple[Candidates, dict[str, np.ndarray]]:
    said = _Pronounced(queries, candidates.term)
    offsets, step = stretches.offsets * encoder.rows_per_frame, stretches.frames.frame_seconds / encoder.rows_per_frame
    above = posteriors - np.asarray(encoder.log_prior)
    np.clip(above, *SCORE_RANGE, out=above)
    above -= np.float32(WORTH)
    strings = offsets, said.phones, said.lengths
    score, borders = align_phones(above, *strings, said.candidate, said.string)
    mean, least = aligned_means(above, *strings, said.candidate, said.string, borders)
    alignment = np.where(np.isfinite(score), mean + WORTH, -np.inf)

    best = said.best(alignment)
    string, borders, every = said.string[best], borders[best], np.arange(len(candidates))
    posterior, _ = aligned_means(posteriors, *strings, every, string, borders)
    times = stretches.start[:, None] + borders * step
    length, (first, last) = said.lengths[string], said.middles[string].T
    tbeg, tend = times[:, 0], times[:, -1]
    embeddings = stretches.embed(encoder, times[every, first], times[every, last])
    features = {
        "alignment": alignment[best],
        "weakest": least[best] + WORTH,
        "posterior": posterior,
        "text": (embeddings * said.embeddings[string]).sum(axis=1),
        "pace": (tend - tbeg) / length,
        "length": np.log(length),
    }
    return replace(candidates, tbeg=tbeg, tend=tend), features


def _compare_text(
    queries: Sequence[Query], candidates: Candidates, stretches: _Stretches, encoder: SearchEncoder
) -> tuple[Candidates, dict[str, np.ndarray]]:
    """Text features without an alignment.

    A candidate of the first pass is taken for a long term's middle, and reaches out by what the other phones need at
    the same pace; what DTW has found is taken for all of the term.
    """
    said = _Pronounced(queries, candidates.term)
    length, (first, last) = said.lengths[said.string], said.middles[said.string].T
    begin, end = (np.zeros_like(length), length) if queries[0].examples else (first, last)  # what a candidate covers
    pace = (candidates.tend - candidates.tbeg)[said.candidate] / (end - begin)
    tbeg = candidates.tbeg[said.candidate] - begin * pace
    embeddings = stretches.embed(encoder, tbeg + first * pace, tbeg + last * pace, said.candidate)
    cosine = (embeddings * said.embeddings[said.string]).sum(axis=1)

    best = said.best(cosine)
    features = {"text": cosine[best], "pace": pace[best], "length": np.log(length[best])}
    tbeg, tend = np.maximum(tbeg, 0)[best], (tbeg + length * pace)[best]
    return replace(candidates, tbeg=tbeg, tend=tend), features


def _of_terms(queries: Sequence[Query], candidates: Candidates) -> Iterator[tuple[Query, slice]]:
    """Each query that has candidates, and where they lie."""
    bounds = np.searchsorted(candidates.term, np.arange(len(queries) + 1)).tolist()
    for query, first, last in zip(queries, bounds, bounds[1:], strict=False):
        if first < last:
            yield query, slice(first, last)


def _match_examples(
    queries: Sequence[Query], candidates: Candidates, stretches: _Stretches, encoder: SearchEncoder
) -> tuple[Candidates, dict[str, np.ndarray]]:
    vectors, step = encoder.match_vectors(stretches.frames), stretches.frames.frame_seconds
    found: list[tuple[np.ndarray, ...]] = []
    for query, own in _of_terms(queries, candidates):
        offsets = stretches.offsets[own.start : own.stop + 1]
        matches = [subsequence_dtw(encoder.match_vectors(e.frames), vectors, offsets) for e in query.examples]
        costs, begins, ends = map(np.array, zip(*matches, strict=True))
        nearest, every = np.argmin(costs, axis=0), np.arange(costs.shape[1])
        begin, end = begins[nearest, every] * step, ends[nearest, every] * step
        share = np.array([example.beyond / example.frames.duration for example in query.examples])[nearest]
        seconds = np.full(len(every), np.mean([example.frames.duration for example in query.examples]))
        wanted = np.broadcast_to(query.example_embedding, (len(every), len(query.example_embedding)))
        found.append((costs.mean(axis=0), begin, end, share * (end - begin), seconds, wanted))
    cost, begin, end, beyond, seconds, wanted = (np.concatenate(column) for column in zip(*found, strict=True))
    tbeg, tend = stretches.start + begin, stretches.start + end
    features = {
        "dtw": 1 - cost,
        "audio": (stretches.embed(encoder, tbeg + beyond, tend - beyond) * wanted).sum(axis=1),
        "stretch": np.log(np.maximum(tend - tbeg, step) / seconds),
        "length": np.log(10 * seconds),
    }
    return replace(candidates, tbeg=tbeg, tend=tend), features


def verify(queries: Sequence[Query], places: Candidates, source: FrameSource, verifier: "Verifier") -> np.ndarray:
    """The feature `verifier` (n,) of places whose borders are exact, which `rescore` gives with the others."""
    if not len(places):
        return np.empty(0)
    spans = _gather(places, source, MARGIN).cut(places.tbeg, places.tend)
    odds = [_log_odds(query, spans[own], verifier) for query, own in _of_terms(queries, places)]
    return np.concatenate(odds)


def _log_odds(query: Query, spans: list[np.ndarray], verifier: "Verifier") -> np.ndarray:
    examples: list[np.ndarray | None] = [example.frames.hidden[:, :-1] for example in query.examples]
    odds = [
        np.mean([verifier.score(spans, phones=phones, example=example) for example in examples or [None]], axis=0)
        for phones in query.pronunciations or [()]
    ]
    return np.asarray(np.max(odds, axis=0))
