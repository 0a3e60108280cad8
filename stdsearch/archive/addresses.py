"""Where in the shards' files codes lie, for look-up without parsing: groups.npy and blocks.npy, made from them.

groups.npy has a row for each row group of segments/*.parquet, whose embeddings lie there one behind the other;
blocks.npy one for each block of frames/*.arrow, by recording, channel and first frame. A shard is named by its number
among the archive's parts. There may be thousands: to open them takes seconds, where a query looks into a few.
Addresses in the shards' maps stay in here: who asks gets copies, so that no map goes while a kernel reads from it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from stdsearch import kernels
from stdsearch.archive.arrays import map_array, write_array
from stdsearch.archive.frames import BLOCK, LARGEST, FrameReader
from stdsearch.archive.maps import MappedFile
from stdsearch.archive.parts import Part, damaged
from stdsearch.archive.segments import GROUP, SegmentReader

_CHANNELS = 1 << 16  # numbers of channels stay below


def groups_of(shards: Sequence[SegmentReader | None]) -> np.ndarray:
    """The rows (n,) of groups.npy for shards in the order of their parts; None for one that is left out."""
    return _numbered([None if shard is None else shard.groups for shard in shards], GROUP, ("first_segment",))


def blocks_of(shards: Sequence[FrameReader | None]) -> np.ndarray:
    """The rows (n,) of blocks.npy for shards in the order of their parts; None for one that is left out."""
    return _numbered(
        [None if shard is None else shard.table for shard in shards], BLOCK, ("recording_id", "channel", "first_frame")
    )


def write_addresses(
    groups: Path, segments: Sequence[SegmentReader], blocks: Path, frames: Sequence[FrameReader]
) -> None:
    """Write both files for shards in the order of their parts."""
    write_array(groups, groups_of(segments))
    write_array(blocks, blocks_of(frames))


def _numbered(tables: Sequence[np.ndarray | None], dtype: np.dtype, order: tuple[str, ...]) -> np.ndarray:
    """The rows of all shards, with their shards' numbers, by some columns."""
    held = [np.empty(0, dtype) if table is None else table for table in tables]
    rows = np.concatenate([np.empty(0, dtype), *held])
    rows["shard"] = np.repeat(np.arange(len(held)), [len(table) for table in held])
    return rows[np.lexsort([rows[name] for name in reversed(order)])]


class MappedShards:
    """The files of an archive's shards, of one role, each mapped when it is first looked into.

    scattered: as in `maps.MappedFile`.
    """

    def __init__(self, archive: Path, parts: Sequence[Part], *, scattered: bool) -> None:
        self.sizes = np.array([part.bytes for part in parts], np.int64)
        self._archive, self._parts, self._scattered = archive, parts, scattered
        self._maps: dict[int, MappedFile] = {}
        self._bases = np.zeros(len(parts), np.int64)

    def bases(self, wanted: np.ndarray) -> np.ndarray:
        """Where the files of all shards (s,) begin in memory, those of shards (n,) that are wanted; 0 for others.

        Raises StdSearchError for a file that is missing, or is not as long as it was.
        """
        unmapped = wanted[self._bases[wanted] == 0]
        for number in np.unique(unmapped).tolist():
            path = self._parts[number].check_size(self._archive)
            try:
                mapped = MappedFile(path, scattered=self._scattered)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise damaged(path, error) from error
            if mapped.bytes.size != self.sizes[number]:
                raise damaged(path, "it has another size than it had")
            # of two threads that come at once, both get the first one's
            self._bases[number] = self._maps.setdefault(number, mapped).bytes.address
        return self._bases


class SegmentCodes:
    """The codes of the segments of all shards, dim bytes each, by segment id, of which there are n_ids.

    Raises StdSearchError for a groups.npy that contradicts itself or the shards' sizes.
    """

    def __init__(self, path: Path, shards: MappedShards, dim: int, n_ids: int) -> None:
        self._path, self._shards, self._dim = path, shards, dim
        self._groups = map_array(path, GROUP)
        first, n = self._groups["first_segment"], self._groups["n_segments"].astype(np.int64)
        follow = ((first >= 0) & (first < n_ids) & (n > 0) & (first + n <= np.append(first[1:], n_ids))).all()
        if not follow or not _lie_inside(self._groups, self._groups["offset"], n * dim, shards.sizes):
            raise damaged(path, "its row groups do not lie in the shards' files, one behind the other")
        self._first = first.copy()

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Codes (n, dim) int8 of segments (n,) int64; raises StdSearchError for one that no shard has."""
        return kernels.rows_at(self._addresses(ids), self._dim)

    def cosines(
        self, ids: np.ndarray, queries: np.ndarray, query: np.ndarray, *, in_advance: bool = False
    ) -> np.ndarray:
        """Cosines (n,) float32 of segments (n,) int64, each with one, query (n,), of queries (q, dim) float32.

        in_advance: whether all are fetched from the disk before the first is looked at. Raises as `rows`.
        """
        addresses = self._addresses(ids)
        if in_advance:
            kernels.fetch(addresses, self._dim)
        return kernels.cosines_at(addresses, queries, query)

    def _addresses(self, ids: np.ndarray) -> np.ndarray:
        """Where in memory the codes of segments (n,) lie (n,) int64, while this object lives."""
        group = np.searchsorted(self._first, ids, side="right") - 1
        groups = self._groups[np.maximum(group, 0)] if len(self._groups) else np.zeros(len(ids), GROUP)
        row = ids - groups["first_segment"]
        if ((group < 0) | (row >= groups["n_segments"])).any():
            raise damaged(self._path, "it lacks segments that recordings have")
        return np.asarray(self._shards.bases(groups["shard"])[groups["shard"]] + groups["offset"] + row * self._dim)


class FrameBlocks:
    """The blocks of frames of all shards, `width` values a frame: table (n,) of dtype BLOCK.

    Raises StdSearchError for a blocks.npy that contradicts itself or the shards' sizes.
    """

    def __init__(self, path: Path, shards: MappedShards, width: int) -> None:
        self._shards, self._width = shards, width
        self.table = table = map_array(path, BLOCK)
        self._keys = _channel_key(table["recording_id"], table["channel"])
        same = np.diff(self._keys) == 0
        sound = (table["recording_id"] >= 0) & (table["channel"] >= 0) & (table["channel"] < _CHANNELS)
        sound &= (table["first_frame"] >= 0) & (table["n_frames"] > 0)
        in_order = (np.diff(self._keys) > 0) | (
            same & (np.diff(table["first_frame"]) > 0) & (np.diff(table["shard"]) == 0)
        )
        inside = _lie_inside(table, table["codes"], table["n_frames"].astype(np.int64) * width, shards.sizes)
        for name in ("low", "step"):
            inside = inside and _lie_inside(table, table[name], 4 * width, shards.sizes) and not (table[name] % 4).any()
        if not (sound.all() and in_order.all() and inside):
            raise damaged(path, "its blocks do not lie in the shards' files, one behind the other")

    def cut(
        self,
        recording_id: np.ndarray,
        channel: np.ndarray,
        first: np.ndarray,
        last: np.ndarray,
        *,
        in_advance: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The frames [first, last) (n,) of recording channels (n,), clipped to these; as `kernels.frames_at`."""
        key = _channel_key(recording_id, channel)
        begin, end = np.searchsorted(self._keys, key), np.searchsorted(self._keys, key, side="right")
        bases = self._shards.bases(self.table["shard"][begin[begin < end]])
        found: tuple[np.ndarray, np.ndarray, np.ndarray] = kernels.frames_at(
            self.table, bases, begin, end, first, last, self._width, LARGEST, in_advance
        )
        return found


def _channel_key(recording_id: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """A number (n,) for each recording channel, ascending by both."""
    return (recording_id.astype(np.int64) * _CHANNELS) + channel


def _lie_inside(rows: np.ndarray, offset: np.ndarray, n_bytes: np.ndarray | int, sizes: np.ndarray) -> bool:
    """Whether what rows tell of, n_bytes from an offset on, lies in the files of their shards, of so many bytes."""
    shard = rows["shard"]
    if not ((shard >= 0) & (shard < len(sizes))).all():
        return False
    return bool(((offset >= 0) & (offset <= sizes[shard] - n_bytes)).all())
