from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stdsearch.audio import read
from stdsearch.encoder import SpanEncoder
from stdsearch.errors import StdSearchError
from train.frame_data import FrameData
from train.manifest import read_manifest


def test_clean_frames_are_those_of_the_encoder(manifest: Path, encoder: SpanEncoder, tmp_path: Path) -> None:
    utterances = read_manifest(manifest)
    for copies in (0, 2):
        data = FrameData(utterances, manifest.parent, encoder, tmp_path, copies=copies)
        assert data.seconds == pytest.approx(sum(u.dur for u in utterances), abs=0.05 * len(utterances))
        for i, u in enumerate(utterances):
            expected = encoder.frames(read(manifest.parent / u.audio)).hidden[:, :-1]
            assert data.frames(i).astype(np.float32) == pytest.approx(expected, abs=2e-3)


def test_copies_are_changed_and_the_same_in_every_run(manifest: Path, encoder: SpanEncoder, tmp_path: Path) -> None:
    utterances = read_manifest(manifest)[:2]
    options = {"copies": 2, "noise": [manifest.parent / "d0.wav"]}
    first = FrameData(utterances, manifest.parent, encoder, tmp_path / "a", **options)
    again = FrameData(utterances, manifest.parent, encoder, tmp_path / "b", **options)
    assert np.array_equal(first.hidden, again.hidden)
    versions = [first.frames(1, version) for version in range(3)]
    assert len({len(version) for version in versions}) == 1
    assert not np.array_equal(versions[0], versions[1])
    assert not np.array_equal(versions[1], versions[2])


def test_the_cache_is_read_where_it_holds_and_made_again_where_it_does_not(
    manifest: Path, encoder: SpanEncoder, tmp_path: Path
) -> None:
    utterances = read_manifest(manifest)

    def refuse(items: object) -> list:
        raise AssertionError("audio was read")

    made = FrameData(utterances, manifest.parent, encoder, tmp_path)
    again = FrameData(utterances, manifest.parent, encoder, tmp_path, progress=refuse)
    assert np.array_equal(made.hidden, again.hidden)
    for other, copies in ((utterances[1:], 0), (utterances, 1), ([replace(utterances[0], tbeg=0.1)], 0)):
        with pytest.raises(AssertionError, match="audio was read"):
            FrameData(other, manifest.parent, encoder, tmp_path, copies=copies, progress=refuse)


def test_what_was_left_unfinished_is_made_again(manifest: Path, encoder: SpanEncoder, tmp_path: Path) -> None:
    utterances = read_manifest(manifest)

    def stop(items: object) -> list:
        yield utterances[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FrameData(utterances, manifest.parent, encoder, tmp_path, progress=stop)
    assert FrameData(utterances, manifest.parent, encoder, tmp_path).offset.shape == (9,)


def test_a_cache_that_cannot_be_written_is_told(manifest: Path, encoder: SpanEncoder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StdSearchError, match="frames cannot be written"):
        FrameData(read_manifest(manifest), manifest.parent, encoder, tmp_path / "file")
