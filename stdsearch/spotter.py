"""Keyword spotting: search turned round, where the keywords wait and the audio passes.

What the stream has brought lately is encoded every `hop` seconds, together with what came before, and goes the way of
an archive: slices that come near a keyword's embedding are candidates, these are rescored, and calibration, or a
verifier, gives the probability. The encoder normalises each window by itself and sees about half a second to each
side, hence the seconds of the past that are encoded again.

A place is looked at once the stream has gone on for MARGIN after it, as rescoring wants; then the best of those that
overlap is held back until half its own length, at most LONGEST_HOLD, has been looked at beyond it: of places equally
long, only those that end by then could overlap it. So a keyword is reported within a second of its end: MARGIN,
LONGEST_HOLD and a hop. A term longer than a slice is recognised by its middle and takes `Query.beyond` longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from stdsearch.activity import speech_spans
from stdsearch.audio import SAMPLE_RATE
from stdsearch.calibrate import BY_VERIFIER, UNCALIBRATED, Calibration, carried_by
from stdsearch.encoder import Frames, SearchEncoder
from stdsearch.kernels import merge_overlaps
from stdsearch.rescore import MARGIN, Candidates, Query, rescore, verify
from stdsearch.slicing import SlicingSettings, slice_stretch
from stdsearch.verifier import Verifier

LONGEST_HOLD = 0.4  # seconds
SURROUNDINGS = 0.6  # seconds that the network sees to the left of a frame
REACH = 2.0  # spreads below the mean cosine of the candidates that a calibration was fitted on: it knows none lower
PROMISING = -4.0  # log odds by calibration; a verifier is not asked about less


@dataclass(frozen=True, slots=True)
class SpotterSettings:
    """When to look and what to report; times in seconds.

    hop: from one look to the next; one of many seconds is for audio that is there already, as it encodes less twice.
    past: what is encoded again with each hop, at least; more where a keyword is long. threshold: the least probability.
    """

    hop: float = 0.24
    past: float = 8.0
    threshold: float = 0.3
    slicing: SlicingSettings = field(default_factory=SlicingSettings)


@dataclass(frozen=True, slots=True)
class Detection:
    """A place in a stream where a keyword is said; score: its probability."""

    keyword: str
    tbeg: float
    dur: float
    score: float

    @property
    def tend(self) -> float:
        """Where it ends, in seconds."""
        return self.tbeg + self.dur


@dataclass(frozen=True, slots=True)
class _Window:
    """The frames of what the stream has brought lately, from frame number `begin` on."""

    recent: Frames
    begin: int

    def stretches(
        self, recording_id: np.ndarray, channel: np.ndarray, tbeg: np.ndarray, tend: np.ndarray
    ) -> tuple[Frames, np.ndarray, np.ndarray]:
        """As those of an archive; there is but one recording."""
        step = self.recent.frame_seconds
        first = np.maximum(np.floor(tbeg / step + 1e-6).astype(int) - self.begin, 0)
        last = np.ceil(tend / step - 1e-6).astype(int) - self.begin
        parts = [self.recent.hidden[a:b] for a, b in zip(first, last, strict=True)]
        offsets = np.cumsum([0, *map(len, parts)])
        return Frames(np.concatenate(parts), step), offsets, (self.begin + first) * step


@dataclass(frozen=True, slots=True)
class _Group:
    """Keywords that need as much room after a slice: `lag` in frames.

    vectors (v, dim) of all its keywords, end to end; starts (k,): where each one's begin; gate (k,): the least cosine.
    """

    lag: int
    keywords: tuple[int, ...]
    vectors: np.ndarray
    starts: np.ndarray
    gate: np.ndarray


class Spotter:
    """Listens to one channel for keywords, each a name and what `enrol` made of it.

    Memory and work for each second are bounded however long the stream is, and how it is cut into blocks has no say in
    what is found.

    >>> spotter = Spotter({"evening": query}, encoder)  # doctest: +SKIP
    >>> for block in microphone:  # doctest: +SKIP
    ...     for detection in spotter.feed(block):
    ...         print(detection.keyword, detection.tbeg, detection.score)
    """

    def __init__(
        self,
        keywords: Mapping[str, Query],
        encoder: SearchEncoder,
        *,
        verifier: Verifier | None = None,
        settings: SpotterSettings | None = None,
    ) -> None:
        self.settings = settings or SpotterSettings()
        self._names = tuple(keywords)
        self._queries = tuple(keywords.values())
        self._encoder = encoder
        self._verifier = verifier
        self._verified = carried_by(verifier.metadata) if verifier else {}
        calibrations = carried_by(encoder.metadata)
        self._calibrations = [calibrations.get(query.mode, UNCALIBRATED) for query in self._queries]
        self._groups = self._grouped()

        self._step = encoder.settings.frame_seconds
        self._frame_samples = round(self._step * SAMPLE_RATE)
        self._hop_samples = max(1, round(self.settings.hop / self._step)) * self._frame_samples
        beyond = max((query.beyond for query in self._queries), default=0.0)
        past = max(self.settings.past, self.settings.slicing.longest + 2 * (MARGIN + beyond) + SURROUNDINGS)
        self._past_frames = round(past / self._step)

        self._held = np.empty(0, np.float32)  # samples from frame self._begin on, looked at up to frame self._edge
        self._begin = self._edge = 0
        self._fresh: list[np.ndarray] = []  # samples after those held
        self._n_fresh = 0
        self._pending: list[Detection] = []
        self._reported: list[Detection] = []  # of late, for what overlaps them

    def feed(self, samples: np.ndarray) -> list[Detection]:
        """What is settled by the next samples (n,) of the stream, float32 at 16 kHz, by time."""
        settled: list[Detection] = []
        at = 0
        while self._n_fresh + len(samples) - at >= self._hop_samples:
            end = at + self._hop_samples - self._n_fresh
            self._fresh.append(samples[at:end])
            at = end
            settled += self._listen(is_final=False)
        self._fresh.append(np.array(samples[at:], np.float32))
        self._n_fresh += len(samples) - at
        return settled

    def finish(self) -> list[Detection]:
        """What is left, by time, now that the stream has ended."""
        return self._listen(is_final=True) if self._n_fresh or len(self._held) else []

    def _listen(self, *, is_final: bool) -> list[Detection]:
        """Take up what is fresh and look at it, but for the room after it that places need."""
        self._held = np.concatenate([self._held, *self._fresh], dtype=np.float32)
        self._fresh, self._n_fresh = [], 0
        edge = self._begin - (-len(self._held) // self._frame_samples)
        frames = self._encoder.frames(self._held)
        window = _Window(Frames(frames.hidden[: edge - self._begin], self._step), self._begin)
        speech = speech_spans(self._held) + self._begin * self._step
        duration = self._begin * self._step + len(self._held) / SAMPLE_RATE
        rivals = [*self._reported, *self._pending]
        looked: dict[str, float] = {}  # seconds up to which each keyword's places have been looked at
        for group in self._groups:
            last = edge if is_final else edge - group.lag
            rivals += self._places(group, window, speech, self._edge - group.lag, last, duration)
            looked |= dict.fromkeys((self._names[i] for i in group.keywords), last * self._step)
        self._edge = edge

        best = self._best(rivals)
        settled = [d for d in best if is_final or d.tend + min(d.dur / 2, LONGEST_HOLD) <= looked[d.keyword]]
        self._pending = [d for d in best if d not in settled]
        kept = max(self._begin, edge - self._past_frames)
        self._reported = [d for d in (*self._reported, *settled) if d.tend > kept * self._step]
        self._held = self._held[(kept - self._begin) * self._frame_samples :]
        self._begin = kept
        return sorted(settled, key=lambda detection: detection.tbeg)

    def _best(self, rivals: Sequence[Detection]) -> list[Detection]:
        """Of those that overlap the best, unless it is one of the first, which are reported already."""
        which = np.array([self._names.index(rival.keyword) for rival in rivals], np.int64)
        score = np.array([rival.score for rival in rivals])
        score[: len(self._reported)] = np.inf
        tbeg, tend = (np.array([value(rival) for rival in rivals]) for value in (_tbeg, _tend))
        kept = merge_overlaps(which, np.zeros_like(which), tbeg, tend, score)
        return [rivals[i] for i in kept if i >= len(self._reported)]

    def _places(
        self, group: _Group, window: _Window, speech: np.ndarray, first: int, last: int, duration: float
    ) -> list[Detection]:
        """The likely places around slices that end after frame `first` and by frame `last`."""
        settings, step = self.settings.slicing, self._step
        earliest = max(window.begin, first + 1 - round(settings.longest / step))
        slices = slice_stretch(settings, step, earliest, last, last, speech)
        slices = slices[(slices[:, 1] > first) & (slices[:, 1] <= last)]
        if not len(slices):
            return []
        spans = (slices - window.begin) * step
        embeddings = self._encoder.embed_spans(window.recent, spans[:, 0], spans[:, 1])
        cosine = np.maximum.reduceat(embeddings @ group.vectors.T, group.starts, axis=1)
        at, keyword = np.nonzero(cosine >= group.gate)
        nowhere = np.zeros_like(keyword)
        tbeg, tend = slices[at].T * step
        kept = merge_overlaps(keyword, nowhere, tbeg, tend, cosine[at, keyword])
        places = Candidates(nowhere, nowhere, tbeg, tend, cosine[at, keyword]).take(kept)
        found: list[Detection] = []
        for k in np.unique(keyword[kept]):
            candidates = places.take(np.flatnonzero(keyword[kept] == k))
            found += self._judge(group.keywords[k], candidates, window, duration)
        return found

    def _judge(self, keyword: int, candidates: Candidates, window: _Window, duration: float) -> list[Detection]:
        """The candidates of one keyword that are likely enough, with their exact borders."""
        query = self._queries[keyword]
        places, features = rescore([query], candidates, window, self._encoder)
        places, odds = places.within(duration), self._calibrations[keyword].own_odds(features)
        if self._verifier:
            promising = odds >= PROMISING
            if not promising.any():
                return []
            places = places.take(promising)
            features = {name: value[promising] for name, value in features.items()}
            features["verifier"] = verify([query], places, window, self._verifier)
            odds = self._verified.get(query.mode, BY_VERIFIER).own_odds(features)
        score = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        return [
            Detection(
                self._names[keyword], float(places.tbeg[i]), float(places.tend[i] - places.tbeg[i]), float(score[i])
            )
            for i in np.flatnonzero(score >= self.settings.threshold)
        ]

    def _grouped(self) -> tuple[_Group, ...]:
        lags = [
            int(np.ceil((MARGIN + query.beyond) / self._encoder.settings.frame_seconds - 1e-6))
            for query in self._queries
        ]
        groups = []
        for lag in sorted(set(lags)):
            keywords = tuple(i for i, other in enumerate(lags) if other == lag)
            vectors = [self._queries[i].vectors for i in keywords]
            starts = np.cumsum([0, *map(len, vectors[:-1])])
            gate = np.array([_gate(self._calibrations[i]) for i in keywords])
            groups.append(_Group(lag, keywords, np.concatenate(vectors), starts, gate))
        return tuple(groups)


def _gate(calibration: Calibration) -> float:
    """The least cosine of a slice with a keyword for which the place is looked at again."""
    own = calibration.own
    first = own.features.index("first")
    return own.centre[first] - REACH * own.spread[first]


_tbeg, _tend = attrgetter("tbeg"), attrgetter("tend")
