from pathlib import Path

import numpy as np
from latency import enlarge, nudged

from stdsearch.archive import open_archive
from stdsearch.archive.frames import quantise
from stdsearch.search import Archive


def test_an_enlarged_archive_is_one_of_copies(archive: Archive, tmp_path: Path) -> None:
    """A copy's slices are the original's; its frames differ by a step at most, its hits have its names."""
    before = archive.reader
    enlarge(before, 3, tmp_path)
    after = open_archive(tmp_path)
    assert after.n_segments == 3 * before.n_segments
    assert after.total_seconds == 3 * before.total_seconds
    assert len(after.recordings) == 3 * len(before.recordings)
    ids = np.arange(before.n_segments)
    moved = after.segments(ids + 2 * before.n_segments)
    np.testing.assert_array_equal(moved.tbeg, before.segments(ids).tbeg)
    assert {after.recordings[i].path for i in np.unique(moved.recording_id)} == {
        f"copy-2/{recording.path}" for recording in before.recordings.values()
    }
    frames, copy = (reader.frames(i, 1, 0.0, 9.0)[0].hidden for reader, i in ((before, 0), (after, 4 * 2)))
    assert 0 < np.abs(copy - frames).max() <= np.ptp(frames, axis=0).max() / 255 * 1.001
    hits = Archive(after, archive.encoder, archive.pronouncer).search("/S T AA R/").hits
    assert {hit.recording.split("/")[0] for hit in hits} == {"copy-0", "copy-1", "copy-2"}


def test_a_copys_frames_are_nudged_by_a_step_within_the_codes() -> None:
    block = quantise(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    other = nudged(block, np.random.default_rng(1))
    difference = other.codes.astype(int) - block.codes
    assert set(np.unique(difference)) == {-1, 0, 1}
    assert (difference[block.codes == 0] >= 0).all()
    assert other.low is block.low
