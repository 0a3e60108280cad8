"""An archive opened for reading: look-ups by segment, by region, by condition and by nearness."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
import pyarrow as pa

from stdsearch import kernels
from stdsearch.archive.addresses import FrameBlocks, MappedShards, SegmentCodes
from stdsearch.archive.catalog import Catalog, Recording
from stdsearch.archive.frames import FrameReader
from stdsearch.archive.manifest import SHARD_ROLES, Manifest, hold_manifest
from stdsearch.archive.parts import Part, damaged
from stdsearch.archive.segments import SegmentReader, SegmentTable, from_codes
from stdsearch.archive.spans import Spans
from stdsearch.encoder import Frames
from stdsearch.errors import StdSearchError
from stdsearch.slicing import LONGEST_SLICE
from stdsearch.vectors import FaissIndex, VectorIndex

FEW = 5_000  # segments, of a minute or two: to look at all takes about a millisecond
LONGEST_RECORDING = 1e9  # seconds, 30 years

if TYPE_CHECKING:
    import duckdb


def open_archive(path: Path | str, *, fingerprint: str | None = None) -> "ArchiveReader":
    """The archive at path, every part there and of the size it had; what is in the parts is read when needed.

    Raises StdSearchError if it is none, a half-built or a damaged one, or, where a fingerprint is given, if an encoder
    of another fingerprint made it.
    """
    path = Path(path)
    archive = ArchiveReader(path, *hold_manifest(path))
    with ExitStack() as unless_opened:
        unless_opened.callback(archive.release)
        made_by = archive.encoder_fingerprint
        if fingerprint is not None and fingerprint != made_by:
            raise StdSearchError(
                f"{path}: was made by encoder {made_by}, not {fingerprint}; "
                "search it with the encoder that it carries, or index again"
            )
        for part in archive.manifest.all_parts():
            part.check_size(path)
        unless_opened.pop_all()
    return archive


class ArchiveReader:
    """What search asks of an archive; made by `open_archive`.

    It sees the archive as of when it was opened. Files are memory-mapped when first needed and never changed; those
    that a writer has replaced stay until the reader is gone or `release`d.
    """

    def __init__(self, path: Path, manifest: Manifest, hold: BinaryIO | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self._hold = hold
        self._segment_readers: dict[str, SegmentReader] = {}
        self._frame_readers: dict[str, FrameReader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the files: from now on a writer may delete those that it replaces."""
        if self._hold is not None:
            self._hold.close()

    @property
    def encoder_path(self) -> Path:
        """The encoder that made the archive, for `load_encoder`."""
        return self.path / self.manifest.part("encoder").name

    @property
    def encoder_fingerprint(self) -> str:
        """The fingerprint of the encoder that made the archive."""
        return self.manifest.encoder.fingerprint

    @property
    def settings(self) -> Mapping[str, Any]:
        """How the archive was made."""
        return self.manifest.settings

    @property
    def n_segments(self) -> int:
        """The number of segments, those of removed recordings not counted."""
        return self.manifest.counts.segments

    @property
    def segment_ids(self) -> np.ndarray:
        """The ids (n_segments,) int64, ascending: without gaps from 0 on, unless recordings were removed."""
        first, n_segments = self._catalog.segments(self._catalog.ids)
        before = np.cumsum(n_segments) - n_segments
        return np.sort(np.repeat(first - before, n_segments) + np.arange(n_segments.sum()))

    @property
    def total_seconds(self) -> float:
        """Seconds of audio, each recording counted once, however many channels it has."""
        return self.manifest.counts.seconds

    @cached_property
    def recordings(self) -> dict[int, Recording]:
        """Every recording by its id; search, to which half a million may matter, asks for the columns below."""
        return self._catalog.recordings()

    def durations(self, recording_id: np.ndarray) -> np.ndarray:
        """How many seconds recordings (n,) last."""
        return self._catalog.durations(recording_id)

    def paths(self, recording_id: np.ndarray) -> list[str]:
        """The paths (n,) of recordings (n,)."""
        return self._catalog.paths(recording_id)

    @cached_property
    def recordings_of_shard(self) -> dict[str, list[Recording]]:
        """The recordings in each shard, by its stem."""
        shards: dict[str, list[Recording]] = {}
        for recording in self.recordings.values():
            shards.setdefault(recording.shard, []).append(recording)
        return shards

    @property
    def metadata(self) -> pa.Table:
        """The user's columns, a row for each recording, in their order."""
        return self._catalog.metadata

    def values(self, paths: Sequence[str], columns: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """What columns (n,) of the catalog hold, (n,), of recordings by path; StdSearchError for unknown columns."""
        return self._catalog.values(paths, columns)

    def where(self, condition: str) -> np.ndarray:
        """The ids (n,) int64 of the recordings for which an SQL condition over the catalog's columns holds."""
        return self._catalog.where(condition)

    def segments_of(self, recording_ids: np.ndarray, channel: int | None = None) -> np.ndarray:
        """A mask (n_ids,) over segment ids, True for the segments of recordings (n,), in one channel or all."""
        mask = np.zeros(self.manifest.next_ids.segment, bool)
        for first, n_segments in zip(*self._catalog.segments(recording_ids), strict=True):
            mask[first : first + n_segments] = True
        return mask if channel is None else mask & self.spans.of_channel(channel)

    def database(self) -> "duckdb.DuckDBPyConnection":
        """A new database in memory, with the catalog as its table recordings; `catalog.lock` it before use."""
        return self._catalog.database()

    def segments(self, ids: np.ndarray) -> SegmentTable:
        """Where segments (n,) lie."""
        at = self.spans.at(ids)
        known = self._is_recording[np.clip(at.recording_id, -1, len(self._is_recording) - 1)]
        inside = (at.tbeg < LONGEST_RECORDING) & (at.dur > 0) & (at.dur < LONGEST_SLICE + 1)
        if not (known & (at.channel >= 1) & inside).all():
            raise damaged(self.path / self.manifest.part("spans").name, "it has segments that no recording has")
        return at

    def nearest(
        self, queries: np.ndarray, k: int, *, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k segments nearest to each query (q, dim): cosines (q, k) float32, descending, and ids (q, k) int64.

        With allowed, a mask as of `segments_of`, only those segments compete, as if all others were filtered out of a
        ranking of all. Which k these are an index says, in the lists that it visits, and where it is compressed; of a
        few that are allowed, all are looked at. Cosines are those of the embeddings themselves. Where fewer than k are
        found, ids are -1 and scores -inf.
        """
        if allowed is not None and not self._vectors.is_exact and np.count_nonzero(allowed) <= FEW:
            few = np.flatnonzero(allowed)
            ids = np.full((len(queries), max(k, len(few))), -1)
            ids[:, : len(few)] = few
            scores, ids = self._ranked(queries, ids)
            return scores[:, :k], ids[:, :k]
        scores, ids = self._vectors.nearest(queries, k, allowed=allowed)
        if ids.size and ids.max() >= len(self.spans):
            raise damaged(
                self.path / self.manifest.part("vectors").name, "it has vectors of segments that are not there"
            )
        return (scores, ids) if self._vectors.is_exact else self._ranked(queries, ids)

    def _ranked(self, queries: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cosines (q, k) of queries with segments (q, k), -1 for none, descending, and the segments in this order."""
        found = ids >= 0
        cosines = np.full(ids.shape, -np.inf, np.float32)
        query, _ = np.nonzero(found)
        wanted = np.ascontiguousarray(queries, np.float32)
        cosines[found] = self._codes.cosines(ids[found], wanted, query, in_advance=self._is_large)
        order = np.argsort(-cosines, axis=1, kind="stable")
        return np.take_along_axis(cosines, order, axis=1), np.take_along_axis(ids, order, axis=1)

    def embeddings(self, ids: np.ndarray) -> np.ndarray:
        """Embeddings (n, dim) float32 of segments, L2-normalised, from the Parquet files, memory-mapped."""
        return from_codes(self._codes.rows(np.asarray(ids, np.int64)))

    def stretches(
        self, recording_id: np.ndarray, channel: np.ndarray, tbeg: np.ndarray, tend: np.ndarray
    ) -> tuple[Frames, np.ndarray, np.ndarray]:
        """The frames that cover each of many spans [tbeg, tend), clipped to its recording, end to end.

        All arguments are (n,). Returns the frames, offsets (n + 1,) of each span's among them, and the times (n,) in
        seconds where they begin. Equals `frames`, span by span.
        """
        facts = self.manifest.encoder
        first = np.maximum(np.floor(tbeg / facts.frame_seconds + 1e-6).astype(np.int64), 0)
        last = np.ceil(tend / facts.frame_seconds - 1e-6).astype(np.int64)
        hidden, offsets, start = self._blocks.cut(recording_id, channel, first, last, in_advance=self._is_large)
        if (start < 0).any():
            bad = np.flatnonzero(start < 0)[0]
            path = self.frames_file(self.recordings[int(recording_id[bad])].shard).path
            if start[bad] == kernels.NOT_SOUND:
                raise damaged(path, "a block has frames that no encoder makes")
            raise damaged(
                path, f"it has no frames of channel {channel[bad]} of recording {recording_id[bad]} at {tbeg[bad]:g} s"
            )
        return Frames(hidden, facts.frame_seconds), offsets, start * facts.frame_seconds

    def frames(self, recording_id: int, channel: int, tbeg: float, tend: float) -> tuple[Frames, float]:
        """The frames that cover [tbeg, tend), clipped to the recording, and the time in seconds where they begin."""
        frames, _, start = self.stretches(*(np.array([value]) for value in (recording_id, channel, tbeg, tend)))
        return frames, float(start[0])

    @cached_property
    def _is_large(self) -> bool:
        """Whether it takes more than half of the machine's memory, so that what is read in advance pushes out the rest.

        Then only what a query looks at is read, all of it at once, which costs a fifth of the time where it is there.
        """
        n_bytes = sum(part.bytes for part in self.manifest.all_parts())
        return 2 * n_bytes > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    @cached_property
    def _codes(self) -> SegmentCodes:
        path, shards = self.path / self.manifest.part("groups").name, self._mapped("segments")
        return SegmentCodes(path, shards, self.manifest.encoder.dim, self.manifest.next_ids.segment)

    @cached_property
    def _blocks(self) -> FrameBlocks:
        path = self.path / self.manifest.part("blocks").name
        return FrameBlocks(path, self._mapped("frames"), self.manifest.encoder.frame_width)

    def _mapped(self, role: str) -> MappedShards:
        return MappedShards(self.path, self.manifest.parts[role], scattered=self._is_large)

    @cached_property
    def _catalog(self) -> Catalog:
        path = self.path / self.manifest.part("catalog").name
        return Catalog(path, self.manifest.counts, self.manifest.next_ids)

    @cached_property
    def spans(self) -> Spans:
        """Where the segments lie, those of removed recordings as well; `segments` looks at what it says."""
        spans, runs = (self.path / self.manifest.part(role).name for role in ("spans", "runs"))
        n_ids, frame_seconds = self.manifest.next_ids.segment, self.manifest.encoder.frame_seconds
        return Spans(spans, runs, n_ids, frame_seconds, scattered=self._is_large)

    @cached_property
    def _is_recording(self) -> np.ndarray:
        """By id, whether there is such a recording; False for the id beyond the last, and so for -1."""
        ids = self._catalog.ids
        mask = np.zeros(max(ids, default=-1) + 2, bool)
        mask[ids] = True
        return mask

    @cached_property
    def _vectors(self) -> VectorIndex:
        return FaissIndex.load(self.path / self.manifest.part("vectors").name, self.manifest.encoder.dim)

    def check_shard(self, shard: str) -> None:
        """Raise StdSearchError if a shard's files have other bytes than they had."""
        for role in SHARD_ROLES:
            self._shard_part(role, shard).check(self.path)

    def segments_file(self, shard: str) -> SegmentReader:
        """A shard's segments."""
        if shard not in self._segment_readers:
            path, dim = self.path / self._shard_part("segments", shard).name, self.manifest.encoder.dim
            # of two threads that come at once, both get the first one's: addresses in its map are kept
            self._segment_readers.setdefault(shard, SegmentReader(path, dim, scattered=self._is_large))
        return self._segment_readers[shard]

    def frames_file(self, shard: str) -> FrameReader:
        """A shard's frames."""
        if shard not in self._frame_readers:
            path, width = self.path / self._shard_part("frames", shard).name, self.manifest.encoder.frame_width
            self._frame_readers.setdefault(shard, FrameReader(path, width, scattered=self._is_large))
        return self._frame_readers[shard]

    @cached_property
    def _shard_parts(self) -> dict[tuple[str, str], Part]:
        """By role and shard; there may be thousands."""
        return {(role, Path(part.name).stem): part for role in SHARD_ROLES for part in self.manifest.parts[role]}

    def _shard_part(self, role: str, shard: str) -> Part:
        try:
            return self._shard_parts[role, shard]
        except KeyError:
            path = self.path / self.manifest.part("catalog").name
            raise damaged(path, f"it names a shard {shard!r} that is not there") from None
