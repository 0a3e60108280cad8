"""Search: from a typed term, spoken examples, or both, to hits.

First pass: the nearest segments, overlapping ones merged, the best `depth` of these places. Second: rescored, on
request verified, calibrated, decided. A term takes one core; those of a list are shared out to all.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from math import ceil, sqrt
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from stdsearch.archive import ArchiveReader, open_archive
from stdsearch.archive.manifest import FILE_NAME
from stdsearch.calibrate import BETA, BY_VERIFIER, UNCALIBRATED, Calibration, carried_by, decide, normalise
from stdsearch.encoder import SearchEncoder, load_for_search
from stdsearch.enrol import enrol, enrol_all
from stdsearch.errors import StdSearchError
from stdsearch.kernels import merge_overlaps
from stdsearch.pronounce import Pronouncer
from stdsearch.rescore import Candidates, Query, rescore
from stdsearch.threads import n_threads, shared_out
from stdsearch.types import Hit, Spoken, TermHits

if TYPE_CHECKING:
    from stdsearch.verifier import Verifier

SEGMENTS_A_PLACE = 5  # looked at for each place that is rescored; of real speech they are of three places or more
FEWEST_PLACES, MOST_PLACES = 150, 3000  # rescored for each term
PLACES_AN_HOUR = 30  # of an archive: the term, and what sounds like it, is said in each
PLACES_AT_A_GLANCE = 10  # times the root of the hours: where the best few hits are sought
FEWEST_AT_A_GLANCE = 60  # a place is weighed against the others of its term: among fewer its probability is another
BATCH = 64  # terms of a list searched for together, at most: lists of the index that several visit are read once
PLACES_IN_BATCH = BATCH * FEWEST_PLACES  # at most


def depth_for(seconds: float, limit: int | None = None) -> int:
    """How many places of a term are rescored in an archive of so many seconds.

    All hits: PLACES_AN_HOUR, which on dev cost no MTWV and .005 of MAP, from FEWEST_PLACES to MOST_PLACES. The best
    few, of which there may be `limit`, are sought less far down, which in a large archive may miss a rare term. Up
    to 20 are sought as far down as 20, so that hits and scores of fewer are the first of theirs.

    >>> depth_for(600.0), depth_for(36e4), depth_for(36e4, limit=20), depth_for(600.0, limit=1)
    (150, 3000, 100, 60)
    """
    hours = seconds / 3600
    every = min(max(FEWEST_PLACES, round(PLACES_AN_HOUR * hours)), MOST_PLACES)
    glance = round(PLACES_AT_A_GLANCE * sqrt(hours))
    return every if limit is None else min(every, max(FEWEST_AT_A_GLANCE, 3 * limit, glance))


@dataclass(frozen=True, slots=True)
class Request:
    """What to search for under one name: a text, spoken examples, or both."""

    kwid: str
    text: str = ""
    examples: tuple[Spoken, ...] = ()


class Archive:
    """An archive opened for search.

    >>> archive = Archive.open("ARCHIVE")  # doctest: +SKIP
    >>> for hit in archive.search("evening").hits:  # doctest: +SKIP
    ...     print(hit.recording, hit.tbeg, hit.score)

    It sees the archive as of when it was opened, until the end of a `with` or of itself.
    """

    def __init__(
        self, reader: ArchiveReader, encoder: SearchEncoder, pronouncer: Pronouncer, verifier: "Verifier | None" = None
    ) -> None:
        self.reader = reader
        self.encoder = encoder
        self.pronouncer = pronouncer
        self.verifier = verifier
        # a verifier's feature has its weight in the verifier's calibration
        self.calibrations = carried_by((verifier or encoder).metadata)
        self.uncalibrated = BY_VERIFIER if verifier else UNCALIBRATED

    @classmethod
    def open(
        cls, path: Path | str, *, lexicon: Path | str | None = None, verifier: "Verifier | None" = None
    ) -> "Archive":
        """The archive at path, with the encoder that it carries; lexicon: the user's own pronunciations.

        verifier: has the last look at candidates, whose probabilities then come from its calibration.

        Raises StdSearchError if there is no sound archive, or if the verifier is of another encoder.
        """
        reader = open_archive(path)
        reader.manifest.part("encoder").check(reader.path)
        encoder = load_for_search(reader.encoder_path)
        shape, made = encoder.settings, reader.manifest.encoder
        if (shape.dim, shape.frame_width, shape.frame_seconds) != (made.dim, made.frame_width, made.frame_seconds):
            raise StdSearchError(
                f"{reader.path / FILE_NAME}: does not tell the shape of its encoder; restore it or index again"
            )
        if verifier and verifier.encoder_fingerprint != reader.encoder_fingerprint:
            raise StdSearchError(
                f"{reader.path}: made by encoder {reader.encoder_fingerprint}, but the verifier was trained on "
                f"{verifier.encoder_fingerprint}; give a verifier of the archive's encoder"
            )
        if verifier and verifier.settings.width != made.frame_width - 1:
            raise StdSearchError(f"{reader.path}: the verifier reads other frames than its encoder makes; give another")
        return cls(reader, encoder, Pronouncer(lexicon), verifier)

    def __repr__(self) -> str:
        counts = self.reader.manifest.counts
        return f"<Archive {str(self.reader.path)!r}: {counts.seconds / 3600:.2f} hours, {counts.recordings} recordings>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the files, as `ArchiveReader.release` does."""
        self.reader.release()

    def search(
        self,
        text: str = "",
        *,
        examples: Sequence[Spoken | str | Path] | Spoken | str | Path = (),
        kwid: str = "KW-1",
        where: str | None = None,
        channel: int | None = None,
        limit: int | None = None,
        depth: int | None = None,
        threshold: float = 0.0,
        beta: float = BETA,
        normalisation: str | None = None,
    ) -> TermHits:
        """The hits of a term, best first.

        text is a word, a phrase, or phones between slashes; examples are recordings or spans of them, as Spoken or as
        "FILE[@TBEG-TEND][@CHANNEL]", or one of them. where is an SQL condition over the recordings' metadata, channel
        the one of theirs to search in. limit and threshold leave out hits beyond a number or below a score. depth is
        how many places are rescored, by `depth_for` if it is not given: the more, the longer it takes, and the more of
        a frequent term is found. beta is the cost of a false alarm that decisions go by. Scores are probabilities, or
        what a normalisation of `calibrate.normalise` makes of them.

        Raises StdSearchError for a text that cannot be pronounced, an example that cannot be read, an unknown column,
        and ValueError for a limit, depth or channel below 1.
        """
        examples = (examples,) if isinstance(examples, Spoken | str | Path) else examples
        spoken = tuple(e if isinstance(e, Spoken) else Spoken.parse(str(e)) for e in examples)
        request = Request(kwid, text, spoken)
        (found,) = self.search_all(
            [request],
            where=where,
            channel=channel,
            limit=limit,
            depth=depth,
            threshold=threshold,
            beta=beta,
            normalisation=normalisation,
        )
        return found

    def search_all(
        self,
        requests: Sequence[Request],
        *,
        where: str | None = None,
        channel: int | None = None,
        limit: int | None = None,
        depth: int | None = None,
        threshold: float = 0.0,
        beta: float = BETA,
        normalisation: str | None = None,
        on_error: Callable[[Request, StdSearchError], None] | None = None,
    ) -> Iterator[TermHits]:
        """The hits of each request in turn; arguments as in `search`.

        on_error is told of a request that cannot be searched for, which then has no hits; without it, it is raised.
        """
        limit, depth, channel = (None if number is None else _positive(number) for number in (limit, depth, channel))
        depth = depth or depth_for(self.reader.total_seconds, limit)
        among = None if where is channel is None else self.among(where, channel)
        find = partial(
            self._found,
            allowed=None if among is None else self.reader.segments_of(among, channel),
            seconds=self.reader.total_seconds if among is None else float(self.reader.durations(among).sum()),
            limit=limit,
            depth=depth,
            threshold=threshold,
            beta=beta,
            normalisation=normalisation,
        )
        at_most = min(BATCH, max(1, PLACES_IN_BATCH // depth))
        for results in shared_out(find, _batches(requests, at_most, n_threads())):
            for request, found, error in results:
                if error is not None:
                    if on_error is None:
                        raise error
                    on_error(request, error)
                yield found

    def among(self, where: str | None, channel: int | None) -> np.ndarray:
        """The ids (n,) int64 of the recordings that `search` would search in."""
        found = self.reader.where("true" if where is None else where)
        return found if channel is None else np.intersect1d(found, self.reader.where(f"channels >= {channel}"))

    def _found(
        self, requests: Sequence[Request], **wanted: Any
    ) -> list[tuple[Request, TermHits, StdSearchError | None]]:
        """The hits of each request, all of one kind, or none and why; wanted: the further arguments of `_hits`."""
        started = time.perf_counter()
        terms = [(request.text, request.examples) for request in requests]
        enrolled = enrol_all(terms, self.encoder, self.pronouncer, longest=self._longest)
        hits = iter(self._hits([query for query in enrolled if isinstance(query, Query)], **wanted))
        found = [(next(hits), None) if isinstance(query, Query) else ((), query) for query in enrolled]
        seconds = (time.perf_counter() - started) / len(requests)
        return [
            (request, TermHits(request.kwid, request.text, own, seconds), error)
            for request, (own, error) in zip(requests, found, strict=True)
        ]

    def prepare(self, request: Request) -> Query:
        """The request with its pronunciations and examples embedded."""
        return enrol(request.text, request.examples, self.encoder, self.pronouncer, longest=self._longest)

    @property
    def _longest(self) -> float:
        return float(self.reader.settings["slicing"]["longest"])

    def candidates(
        self, *queries: Query, allowed: np.ndarray | None = None, depth: int | None = None
    ) -> tuple[Candidates, dict[str, np.ndarray]]:
        """Both passes for queries of one mode: places with exact borders, and their features for `calibrate`.

        allowed: a mask over the segments that may be found.
        """
        depth = depth or depth_for(self.reader.total_seconds)
        k = min(SEGMENTS_A_PLACE * depth, self.reader.n_segments)
        if k == 0 or not queries:
            return _NOWHERE, {}
        vectors = [query.vectors for query in queries]
        scores, ids = self.reader.nearest(np.concatenate(vectors), k, allowed=allowed)
        found = ids >= 0
        if not found.any():
            return _NOWHERE, {}
        term = np.repeat(np.repeat(np.arange(len(queries)), [len(own) for own in vectors]), found.sum(axis=1))
        at = self.reader.segments(ids[found])
        places = Candidates(at.recording_id, at.channel, at.tbeg, at.tbeg + at.dur, scores[found], term)
        kept = _apart(places, places.score)
        kept = kept[_place_in_group(term[kept]) < depth]
        places, features = rescore(queries, places.take(kept), self.reader, self.encoder, self.verifier)
        return places.within(self.reader.durations(places.recording_id)), features

    def _hits(
        self,
        queries: Sequence[Query],
        *,
        allowed: np.ndarray | None,
        seconds: float,
        limit: int | None,
        depth: int,
        threshold: float,
        beta: float,
        normalisation: str | None,
    ) -> list[tuple[Hit, ...]]:
        """The hits of each query, all of one mode."""
        places, features = self.candidates(*queries, allowed=allowed, depth=depth)
        if not len(places):
            return [()] * len(queries)
        calibration = self.calibrations.get(queries[0].mode, self.uncalibrated)
        recordings = np.unique(places.recording_id)
        paths = dict(zip(recordings.tolist(), self.reader.paths(recordings), strict=True))
        return decided(
            places,
            features,
            calibration,
            paths,
            seconds,
            beta,
            n_terms=len(queries),
            limit=limit,
            threshold=threshold,
            normalisation=normalisation,
        )


def _positive(number: int) -> int:
    """A limit, depth or channel as Python's own int, which numpy's are not; ValueError below 1."""
    if index(number) < 1:
        raise ValueError(f"{number} is no limit, depth or channel; give 1 or more")
    return index(number)


def decided(
    places: Candidates,
    features: Mapping[str, np.ndarray],
    calibration: Calibration,
    paths: Mapping[int, str],
    seconds: float,
    beta: float = BETA,
    *,
    n_terms: int = 1,
    limit: int | None = None,
    threshold: float = 0.0,
    normalisation: str | None = None,
) -> list[tuple[Hit, ...]]:
    """The hits of each term, best first, that the candidates come to, overlapping ones merged.

    paths: of the recordings, by recording id; seconds: of the archive; the others as in `search`.
    """
    hits: list[list[Hit]] = [[] for _ in range(n_terms)]
    if len(places):
        odds = calibration.own_odds(features)
        sound = np.isfinite(odds)  # which they are not where encoder or frames are damaged
        places, odds = places.take(sound), odds[sound]
        kept = _apart(places, odds)
        places, odds = places.take(kept), odds[kept]
        score = calibration.probability(odds, places.term)
        decision = decide(score, seconds, beta, term=places.term)
        if normalisation:
            score = normalise(score, normalisation, seconds, beta, term=places.term)
        order = np.lexsort((-score, places.term))
        order = order[_place_in_group(places.term[order]) < (len(order) if limit is None else limit)]
        columns = places.recording_id, places.channel, places.tbeg, places.tend - places.tbeg, score, decision
        rows = zip(*(column[order].tolist() for column in (places.term, *columns)), strict=True)
        for term, recording, channel, tbeg, dur, value, yes in rows:
            # small normalised scores must not become equal
            rounded = round(value, 6) if normalisation is None else float(f"{value:.6g}")
            if rounded >= threshold:
                hits[term].append(Hit(paths[recording], channel, round(tbeg, 3), round(dur, 3), rounded, yes))
    return [tuple(own) for own in hits]


def _batches(requests: Sequence[Request], at_most: int, threads: int) -> Iterator[list[Request]]:
    """The requests in turn, so many together that all threads have the same to do, and of one kind.

    One kind: with text or not, with examples or not.
    """
    rounds = ceil(len(requests) / (at_most * threads))
    size = ceil(len(requests) / max(1, rounds * threads))
    for _, alike in groupby(requests, lambda request: (not request.text.strip(), not request.examples)):
        while batch := list(islice(alike, size)):
            yield batch


def _apart(places: Candidates, score: np.ndarray) -> np.ndarray:
    """Which places are left where overlapping ones of a term are merged, by term, best first."""
    kept = merge_overlaps(places.recording_id, places.channel, places.tbeg, places.tend, score, term=places.term)
    return kept[np.argsort(places.term[kept], kind="stable")]


def _place_in_group(group: np.ndarray) -> np.ndarray:
    """The place (n,), from 0, of each in its group; groups ascend."""
    return np.arange(len(group)) - np.searchsorted(group, group)


_NOWHERE = Candidates(*(np.empty(0, dtype) for dtype in ("i4", "i2", "f8", "f8", "f4")))
