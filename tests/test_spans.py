from pathlib import Path

import numpy as np
import pytest

from stdsearch.archive import SegmentTable
from stdsearch.archive.segments import SegmentReader, SegmentWriter
from stdsearch.archive.spans import RUN_FRAMES, Spans, write_spans
from stdsearch.errors import StdSearchError

DIM, FRAME_SECONDS = 8, 0.04


def shard_of(path: Path, first_id: int, table: SegmentTable) -> SegmentReader:
    with SegmentWriter(path, DIM, first_id=first_id) as writer:
        writer.write(table, np.zeros((len(table), DIM), np.int8))
    return SegmentReader(path, DIM)


def test_spans_are_plain_npy_files_with_a_row_for_each_id(tmp_path: Path) -> None:
    """Of ids 0 to 11 two shards hold 2 to 4 and 7 to 9."""
    shards = [
        shard_of(tmp_path / f"{i}", i, SegmentTable(np.full(3, i), np.ones(3, int), np.arange(3.0), np.full(3, 0.5)))
        for i in (7, 2)
    ]
    assert [shard.first_id for shard in shards] == [7, 2]
    assert shards[0].ids().tolist() == [7, 8, 9]
    paths = tmp_path / "spans.npy", tmp_path / "runs.npy"
    write_spans(*paths, shards, 12, 0.1)
    spans, runs = (np.load(path) for path in paths)
    rows = [(0, 5), (10, 5), (20, 5)]
    assert spans.tolist() == [(0, 0)] * 2 + rows + [(0, 0)] * 2 + rows + [(0, 0)] * 2
    assert runs.tolist() == [(2, 2, 1, 0), (7, 7, 1, 0)]
    for path, array in zip(paths, (spans, runs), strict=True):
        np.save(tmp_path / "expected.npy", array)
        assert path.read_bytes() == (tmp_path / "expected.npy").read_bytes()
    at = Spans(*paths, 12, 0.1).at(np.arange(12))
    assert at.recording_id.tolist() == [-1, -1, *[2] * 5, *[7] * 5]
    assert at.dur.tolist() == [0, 0, *[0.5] * 3, 0, 0, *[0.5] * 3, 0, 0]
    with pytest.raises(StdSearchError, match=r"7: is damaged \(its segments have ids beyond 9\)"):
        write_spans(*paths, shards, 9, 0.1)


@pytest.mark.parametrize(
    ("begins", "of_runs"),
    [
        ([0, 0, 1, 5], [0]),
        ([5, 4, 4, 3], [0, 1, 3]),  # as where windows of two channels take turns
        ([7, 6 + RUN_FRAMES, 7 + RUN_FRAMES, 6 + 9 * RUN_FRAMES, 8 + 9 * RUN_FRAMES], [0, 2, 3, 4]),
        ([2**31 - 1], [0]),
    ],
)
def test_spans_tell_what_segments_do(tmp_path: Path, begins: list[int], of_runs: list[int]) -> None:
    """In two recordings, and, of the second, in two channels."""
    n = len(begins)
    recording, channel = np.repeat([3, 4, 4], n), np.repeat([1, 1, 2], n)
    table = SegmentTable(recording, channel, np.tile(begins, 3) * FRAME_SECONDS, np.full(3 * n, 40 * FRAME_SECONDS))
    paths = tmp_path / "spans.npy", tmp_path / "runs.npy"
    write_spans(*paths, [shard_of(tmp_path / "x", 10, table)], 10 + 3 * n, FRAME_SECONDS)
    assert np.load(paths[1])["first_segment"].tolist() == [10 + i * n + run for i in range(3) for run in of_runs]
    drawn = np.random.default_rng(0).permutation(3 * n)
    spans = Spans(*paths, 10 + 3 * n, FRAME_SECONDS, scattered=True)
    at = spans.at(10 + drawn)
    for name in ("recording_id", "channel", "tbeg"):
        np.testing.assert_array_equal(getattr(at, name), getattr(table, name)[drawn])
    np.testing.assert_array_equal(at.dur, np.float32(1.6))
    for one in (1, 2, 3):
        assert np.flatnonzero(spans.of_channel(one)).tolist() == (10 + np.flatnonzero(channel == one)).tolist()
        assert len(spans.of_channel(one)) == 10 + 3 * n


@pytest.mark.parametrize(
    ("tbeg", "dur"), [(0.42, 0.4), (-0.4, 0.4), (np.nan, 0.4), (0.4, 0.41), (0.4, 0.0), (0.4, 1e9)]
)
def test_segments_that_are_not_of_whole_frames_are_refused(tmp_path: Path, tbeg: float, dur: float) -> None:
    shard = shard_of(tmp_path / "x", 0, SegmentTable(*(np.array([value]) for value in (0, 1, tbeg, dur))))
    with pytest.raises(StdSearchError, match=r"x: is damaged \(its segments do not begin and end with frames\)"):
        write_spans(tmp_path / "spans.npy", tmp_path / "runs.npy", [shard], 1, FRAME_SECONDS)
