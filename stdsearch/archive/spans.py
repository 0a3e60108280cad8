"""Where segments lie, for look-up without parsing: runs.npy and spans.npy, made from the segments' Parquet files.

A run are segments that follow each other in one recording channel, over RUN_FRAMES frames at most: runs.npy tells of
each the first segment, recording, channel, and in which frame it begins. spans.npy has a row for each segment, row =
segment_id: how many frames after its run it begins, and how many it lasts. A query looks at thousands of rows, here and
there; at four bytes a row those of a thousand hours, 0.9 GB, soon stay in memory.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from stdsearch import kernels
from stdsearch.archive.arrays import header, map_array, write_array
from stdsearch.archive.parts import damaged
from stdsearch.archive.segments import SegmentReader, SegmentTable

RUN = np.dtype([("first_segment", "<i8"), ("recording_id", "<i4"), ("channel", "<i2"), ("begin", "<i4")])
SPAN = np.dtype([("begin", "<u2"), ("length", "<u2")])
RUN_FRAMES = 1 << 16
_MOST_FRAMES = (1 << 31) - 1  # of a recording
_OFF_GRID = 0.01  # frames, by which a segment's times may differ from those of whole frames
_NOWHERE = np.array([(-1, -1, 0, 0)], RUN)  # the run of what lies before the first


def write_spans(
    spans_path: Path, runs_path: Path, shards: Iterable[SegmentReader], n_ids: int, frame_seconds: float
) -> None:
    """Write where the segments of all shards lie; rows of ids that no shard has are zero.

    Raises StdSearchError for a shard whose ids reach beyond n_ids, or whose segments are not of whole frames.
    """
    runs = [np.empty(0, RUN)]
    with spans_path.open("wb") as file:  # no memory map, which a full disk would end with a signal
        begin = file.write(header(SPAN, n_ids))
        for shard in shards:
            if shard.first_id + len(shard) > n_ids:
                raise damaged(shard.path, f"its segments have ids beyond {n_ids}")
            own_runs, spans = _in_runs(shard, frame_seconds)
            runs.append(own_runs)
            file.seek(begin + shard.first_id * SPAN.itemsize)
            file.write(spans.tobytes())
        file.truncate(begin + n_ids * SPAN.itemsize)
    write_array(runs_path, np.sort(np.concatenate(runs), order="first_segment"))


def _in_runs(shard: SegmentReader, frame_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """A shard's runs (m,) and the rows (n,) of its segments."""
    found = shard.places()
    tbeg, dur = found["tbeg"] / frame_seconds, found["dur"] / frame_seconds
    begin, length = np.rint(tbeg), np.rint(dur)
    on_grid = (abs(tbeg - begin) < _OFF_GRID) & (abs(dur - length) < _OFF_GRID)  # which nan is not
    if not (on_grid & (begin >= 0) & (begin <= _MOST_FRAMES) & (length > 0) & (length < RUN_FRAMES)).all():
        raise damaged(shard.path, "its segments do not begin and end with frames")
    frame = begin.astype(np.int64)
    breaks = (np.diff(found["recording_id"]) != 0) | (np.diff(found["channel"]) != 0) | (np.diff(frame) < 0)
    first = _first_of_run(breaks, len(found))
    breaks |= np.diff((frame - frame[first]) // RUN_FRAMES) != 0
    first = _first_of_run(breaks, len(found))

    spans, heads = np.empty(len(found), SPAN), np.unique(first)
    spans["begin"], spans["length"] = frame - frame[first], length
    runs = np.empty(len(heads), RUN)
    runs["first_segment"], runs["begin"] = shard.first_id + heads, frame[heads]
    for name in ("recording_id", "channel"):
        runs[name] = found[name][heads]
    return runs, spans


def _first_of_run(breaks: np.ndarray, n: int) -> np.ndarray:
    """The row (n,) that begins each row's run; breaks (n - 1,): whether one begins after a row."""
    is_first = np.ones(n, bool)
    is_first[1:] = breaks
    return np.maximum.accumulate(np.where(is_first, np.arange(n), 0))


class Spans:
    """Where the segments of an archive lie, by segment id, of which there are n_ids.

    Raises StdSearchError if the files are not what `write_spans` writes. scattered: as in `MappedFile`.
    """

    def __init__(
        self, spans_path: Path, runs_path: Path, n_ids: int, frame_seconds: float, *, scattered: bool = False
    ) -> None:
        self._frame_seconds, self._scattered = frame_seconds, scattered
        self._spans = map_array(spans_path, SPAN, n_ids, scattered=scattered)
        self._runs = np.concatenate([_NOWHERE, open_runs(runs_path, n_ids)])
        self._first = self._runs["first_segment"].copy()

    def __len__(self) -> int:
        return len(self._spans)

    def at(self, ids: np.ndarray) -> SegmentTable:
        """Where segments (n,) lie; those that no shard has last 0 s."""
        if self._scattered:
            kernels.fetch(self._spans.ctypes.data + ids * SPAN.itemsize, SPAN.itemsize)
        spans = self._spans[ids]
        run = self._runs[np.searchsorted(self._first, ids, side="right") - 1]
        tbeg = (run["begin"] + spans["begin"].astype(np.int64)) * self._frame_seconds
        return SegmentTable(
            run["recording_id"], run["channel"], tbeg, (spans["length"] * self._frame_seconds).astype(np.float32)
        )

    def of_channel(self, channel: int) -> np.ndarray:
        """A mask (n_ids,), True for the segments of that channel of any recording."""
        return np.repeat(self._runs["channel"] == channel, np.diff(self._first, append=len(self)))[1:]


def open_runs(path: Path, n_ids: int) -> np.ndarray:
    """runs.npy of so many ids; raises StdSearchError if it is not."""
    runs = map_array(path, RUN)
    first = runs["first_segment"]
    if (np.diff(first, prepend=-1, append=n_ids) <= 0).any() or (runs["begin"] < 0).any():
        raise damaged(path, "its runs do not follow each other")
    return runs
