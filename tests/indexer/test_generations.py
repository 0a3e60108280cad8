import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.build import Report
from indexer.removal import remove_recordings
from stdsearch.archive import open_archive
from stdsearch.errors import StdSearchError
from tests.indexer.conftest import files, named

Build = Callable[..., Report]


def test_only_what_an_archive_has_made_is_swept(tmp_path: Path, audio: Path, build: Build) -> None:
    build()
    path = tmp_path / "archive"
    strays = {"README.md", "segments/notes.txt", "spans.txt", "spans-old.npy", "catalog.csv", "frames/x.arrow"}
    left = {"segments/00009.parquet", "frames/00009.arrow", "spans-7.npy", "archive.json.new"}
    for name in strays | left:
        (path / name).touch()
    remove_recordings(path, ["0"])
    assert files(path) == named(path) | strays


def test_directories_of_such_names_stay(tmp_path: Path, audio: Path, build: Build) -> None:
    build()
    path = tmp_path / "archive"
    strays = [path / name for name in ("spans-7.npy", "segments/00009.parquet", "past/7.json")]
    for stray in strays:
        stray.mkdir(parents=True)
    remove_recordings(path, ["0"])
    assert all(stray.is_dir() for stray in strays)
    assert files(path) == named(path)


@pytest.mark.parametrize("folder", ["past", "segments"])
def test_what_a_link_leads_to_is_not_the_archives(tmp_path: Path, audio: Path, build: Build, folder: str) -> None:
    build()
    path, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    (path / folder).rename(elsewhere) if (path / folder).exists() else elsewhere.mkdir()
    for name in ("1.json", "00007.parquet"):
        (elsewhere / name).touch()
    (path / folder).symlink_to(elsewhere)
    held = files(elsewhere)
    with pytest.raises(StdSearchError, match=f"{folder}: is a link"):
        remove_recordings(path, ["0", "1"])
    assert files(elsewhere) == held
    assert open_archive(path).manifest.counts.recordings == 4


@pytest.mark.parametrize("error", [PermissionError(1, "not permitted"), OSError(95, "not supported")])
def test_a_file_system_without_links_takes_commits(
    tmp_path: Path, audio: Path, build: Build, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def no_links(*arguments: object) -> None:
        raise error

    build()
    monkeypatch.setattr(os, "link", no_links)
    remove_recordings(tmp_path / "archive", ["0"])
    assert open_archive(tmp_path / "archive").manifest.counts.recordings == 3
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_readers_are_seen_where_only_what_may_be_written_is_locked_for_one(
    tmp_path: Path, audio: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS: see flock(2)."""
    flock = fcntl.flock

    def as_on_nfs(file: Any, operation: int) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if is_file and operation & fcntl.LOCK_EX and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == 0:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(file, operation)

    build()
    monkeypatch.setattr(fcntl, "flock", as_on_nfs)
    reader = open_archive(tmp_path / "archive")
    remove_recordings(tmp_path / "archive", ["0"])
    assert {part.name for part in reader.manifest.all_parts()} <= files(tmp_path / "archive")
    reader.release()
    remove_recordings(tmp_path / "archive", ["1"])
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_what_is_no_file_among_past_generations_goes_away(
    tmp_path: Path, audio: Path, build: Callable[..., Report]
) -> None:
    """A pipe would keep a writer waiting for ever."""
    build()
    past = tmp_path / "archive" / "past"
    past.mkdir()
    os.mkfifo(past / "7.json")
    (past / "8.json").symlink_to(tmp_path / "nowhere")
    remove_recordings(tmp_path / "archive", ["0"])
    assert files(tmp_path / "archive") == named(tmp_path / "archive")
    assert not past.exists()
