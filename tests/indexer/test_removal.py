from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from indexer.build import Report
from indexer.metadata import Metadata
from indexer.removal import remove_recordings
from stdsearch.archive import open_archive
from stdsearch.errors import StdSearchError
from stdsearch.search import Archive
from tests.indexer.conftest import files, hits, named, segments

Build = Callable[..., Report]


def test_what_is_removed_is_found_no_longer(tmp_path: Path, audio: Path, build: Build) -> None:
    build(metadata=Metadata(pa.table({"year": [1960, 1961, 1962, 1963]}), unmatched=()))
    counts = remove_recordings(tmp_path / "archive", ["1.wav", "3"])
    for name in ("1.wav", "3.wav"):
        (audio / name).unlink()
    assert counts == build("fresh").counts
    assert hits(tmp_path / "archive") == hits(tmp_path / "fresh") != []
    archive = open_archive(tmp_path / "archive")
    assert segments(archive) == segments(open_archive(tmp_path / "fresh"))
    assert sorted(archive.recordings) == [0, 2]
    assert archive.metadata["year"].to_pylist() == [1960, 1962]
    assert archive.where("year > 1960").tolist() == [2]
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_a_shard_of_which_nothing_is_left_goes(tmp_path: Path, audio: Path, build: Build) -> None:
    build()
    whole = segments(open_archive(tmp_path / "archive"))
    (tmp_path / "archive" / "segments" / "00000.parquet").write_bytes(b"damaged")
    remove_recordings(tmp_path / "archive", ["0.wav", "1.wav"])
    assert not (tmp_path / "archive" / "segments" / "00000.parquet").exists()
    left = segments(open_archive(tmp_path / "archive"))
    assert left == [segment for segment in whole if segment[0] in ("2.wav", "3.wav")]


def test_everything_may_go_and_come_again(
    tmp_path: Path, audio: Path, build: Build, update: Callable[..., Report]
) -> None:
    build()
    assert remove_recordings(tmp_path / "archive", ["0", "1", "2", "3"]).recordings == 0
    assert Archive.open(tmp_path / "archive").search("evening").hits == ()
    update()
    build("fresh")
    assert hits(tmp_path / "archive") == hits(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0.wav", "4.wav"], "holds no recording '4.wav'; `stdsearch sql"),
        (["x"], "'x' is the name of 2 recordings; give their paths"),
    ],
)
def test_a_name_that_is_none_removes_nothing(
    tmp_path: Path, audio: Path, build: Build, record: Callable[..., Path], names: list[str], complaint: str
) -> None:
    record("a/x.wav", 1)
    record("b/x.wav", 1)
    build()
    with pytest.raises(StdSearchError, match=complaint):
        remove_recordings(tmp_path / "archive", names)
    assert open_archive(tmp_path / "archive").manifest.generation == 1


def test_there_must_be_an_archive(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="no such archive"):
        remove_recordings(tmp_path / "nowhere", ["a"])
    assert not (tmp_path / "nowhere").exists()
