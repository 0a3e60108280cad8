"""Search: from a typed term, spoken examples, or both, to hits.

First pass: the nearest segments, overlapping ones merged, at most `CANDIDATES`. Second: rescored, on request verified,
calibrated, decided.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stdsearch.archive import ArchiveReader, open_archive
from stdsearch.archive.manifest import FILE_NAME
from stdsearch.calibrate import BETA, BY_VERIFIER, UNCALIBRATED, Calibration, carried_by, decide
from stdsearch.encoder import Encoder, load_encoder
from stdsearch.enrol import enrol
from stdsearch.errors import StdSearchError
from stdsearch.kernels import merge_overlaps
from stdsearch.pronounce import Pronouncer
from stdsearch.rescore import Candidates, Query, rescore
from stdsearch.types import Hit, Spoken, TermHits
from stdsearch.verifier import Verifier

SEGMENTS = 3000  # looked at for each query vector; a place that fits is found by ten to twenty of them
CANDIDATES = 150  # rescored for each term


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
    """

    def __init__(
        self, reader: ArchiveReader, encoder: Encoder, pronouncer: Pronouncer, verifier: Verifier | None = None
    ) -> None:
        self.reader = reader
        self.encoder = encoder
        self.pronouncer = pronouncer
        self.verifier = verifier
        # a verifier's feature has its weight in the verifier's calibration
        self.calibrations = carried_by((verifier or encoder).metadata)
        self.uncalibrated = BY_VERIFIER if verifier else UNCALIBRATED

    @classmethod
    def open(cls, path: Path | str, *, lexicon: Path | None = None, verifier: Verifier | None = None) -> "Archive":
        """The archive at path, with the encoder that it carries; lexicon: the user's own pronunciations.

        verifier: has the last look at candidates, whose probabilities then come from its calibration.

        Raises StdSearchError if there is no sound archive, or if the verifier is of another encoder.
        """
        reader = open_archive(path)
        encoder = load_encoder(reader.encoder_path)
        if encoder.fingerprint != reader.encoder_fingerprint:
            raise StdSearchError(
                f"{reader.encoder_path}: is encoder {encoder.fingerprint}, but the archive was made by "
                f"{reader.encoder_fingerprint}; restore the encoder or index again"
            )
        shape, made = encoder.settings, reader.manifest.encoder
        if (shape.dim, shape.frame_width, shape.frame_seconds) != (made.dim, made.frame_width, made.frame_seconds):
            raise StdSearchError(
                f"{reader.path / FILE_NAME}: does not tell the shape of its encoder; restore it or index again"
            )
        if verifier and verifier.encoder_fingerprint != encoder.fingerprint:
            raise StdSearchError(
                f"{reader.path}: made by encoder {encoder.fingerprint}, but the verifier was trained on "
                f"{verifier.encoder_fingerprint}; give a verifier of the archive's encoder"
            )
        if verifier and verifier.settings.width != made.frame_width - 1:
            raise StdSearchError(f"{reader.path}: the verifier reads other frames than its encoder makes; give another")
        return cls(reader, encoder, Pronouncer(lexicon), verifier)

    def search(
        self,
        text: str = "",
        *,
        examples: Sequence[Spoken | str | Path] = (),
        kwid: str = "KW-1",
        where: str | None = None,
        limit: int | None = None,
        threshold: float = 0.0,
        beta: float = BETA,
    ) -> TermHits:
        """The hits of a term, best first.

        text is a word, a phrase, or phones between slashes; examples are recordings or spans of them, as Spoken or as
        "FILE[@TBEG-TEND]". where is an SQL condition over the recordings' metadata. limit and threshold leave out hits
        beyond a number or below a score. beta is the cost of a false alarm that decisions go by.

        Raises StdSearchError for a text that cannot be pronounced, an example that cannot be read, an unknown column.
        """
        spoken = tuple(e if isinstance(e, Spoken) else Spoken.parse(str(e)) for e in examples)
        request = Request(kwid, text, spoken)
        (found,) = self.search_all([request], where=where, limit=limit, threshold=threshold, beta=beta)
        return found

    def search_all(
        self,
        requests: Iterable[Request],
        *,
        where: str | None = None,
        limit: int | None = None,
        threshold: float = 0.0,
        beta: float = BETA,
        on_error: Callable[[Request, StdSearchError], None] | None = None,
    ) -> Iterator[TermHits]:
        """The hits of each request in turn; arguments as in `search`.

        on_error is told of a request that cannot be searched for, which then has no hits; without it, it is raised.
        """
        recording_ids = self.reader.where(where) if where is not None else None
        for request in requests:
            started = time.perf_counter()
            hits: list[Hit] = []
            try:
                query = self.prepare(request)
            except StdSearchError as error:
                if on_error is None:
                    raise
                on_error(request, error)
            else:
                hits = self._hits(query, *self.candidates(query, recording_ids), beta)
            kept = tuple(hit for hit in hits if hit.score >= threshold)[:limit]
            yield TermHits(request.kwid, request.text, kept, time.perf_counter() - started)

    def prepare(self, request: Request) -> Query:
        """The request with its pronunciations and examples embedded."""
        longest = self.reader.settings["slicing"]["longest"]
        return enrol(request.text, request.examples, self.encoder, self.pronouncer, longest=longest)

    def candidates(
        self, query: Query, recording_ids: np.ndarray | None = None
    ) -> tuple[Candidates, dict[str, np.ndarray]]:
        """Both passes for a query: places with exact borders, and their features for `calibrate`."""
        k = min(SEGMENTS, self.reader.n_segments)
        if k == 0 or (recording_ids is not None and not len(recording_ids)):
            return _NOWHERE, {}
        scores, ids = self.reader.nearest(query.vectors, k, recording_ids=recording_ids)
        ids, scores = _best_of_each(ids.ravel(), scores.ravel())
        if not len(ids):
            return _NOWHERE, {}
        at = self.reader.segments(ids)
        places = Candidates(at.recording_id, at.channel, at.tbeg, at.tbeg + at.dur, scores)
        kept = merge_overlaps(places.recording_id, places.channel, places.tbeg, places.tend, places.score)
        places, features = rescore(query, places.take(kept[:CANDIDATES]), self.reader, self.encoder, self.verifier)
        duration = np.array([self.reader.recordings[i].duration for i in places.recording_id.tolist()])
        return places.within(duration), features

    def _hits(self, query: Query, places: Candidates, features: dict[str, np.ndarray], beta: float) -> list[Hit]:
        calibration = self.calibrations.get(query.mode, self.uncalibrated)
        paths = {i: self.reader.recordings[i].path for i in np.unique(places.recording_id).tolist()}
        return decided(places, features, calibration, paths, self.reader.total_seconds, beta)


def decided(
    places: Candidates,
    features: Mapping[str, np.ndarray],
    calibration: Calibration,
    paths: Mapping[int, str],
    seconds: float,
    beta: float = BETA,
) -> list[Hit]:
    """The hits, best first, that a term's candidates come to, overlapping ones merged.

    paths: of the recordings, by recording id; seconds: of all that was searched.
    """
    if not len(places):
        return []
    odds = calibration.own_odds(features)
    sound = np.isfinite(odds)  # which they are not where encoder or frames are damaged
    places, odds = places.take(sound), odds[sound]
    kept = merge_overlaps(places.recording_id, places.channel, places.tbeg, places.tend, odds)
    places, score = places.take(kept), calibration.probability(odds[kept])
    decisions = decide(score, seconds, beta)
    return [
        Hit(
            recording=paths[int(places.recording_id[i])],
            channel=int(places.channel[i]),
            tbeg=round(float(places.tbeg[i]), 3),
            dur=round(float(places.tend[i] - places.tbeg[i]), 3),
            score=round(float(score[i]), 6),
            decision=bool(decisions[i]),
        )
        for i in np.argsort(-score, kind="stable")
    ]


def _best_of_each(ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each id (>= 0) once with its best score, best first."""
    order = np.argsort(-scores, kind="stable")
    _, first = np.unique(ids[order], return_index=True)
    kept = order[np.sort(first)]
    kept = kept[ids[kept] >= 0]
    return ids[kept], scores[kept]


_NOWHERE = Candidates(*(np.empty(0, dtype) for dtype in (np.int32, np.int16, np.float64, np.float64, np.float32)))
