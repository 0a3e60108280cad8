from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from indexer.build import Report
from indexer.cli import compact, merge, remove
from stdsearch.archive import open_archive
from stdsearch.errors import StdSearchError

Build = Callable[..., Report]


def run(command: object, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]


def test_removing_and_compacting_say_what_is_left(tmp_path: Path, audio: Path, build: Build) -> None:
    build()
    path = tmp_path / "archive"
    result = run(remove, path, "0", "2.wav")
    n_segments = open_archive(path).n_segments
    assert (result.exit_code, result.stdout) == (0, f"{path}: 2 recordings, 0.00 h, {n_segments} segments are left\n")
    result = run(compact, path)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{path}: 2 recordings, 0.00 h, {n_segments} segments; ")
    assert run(compact, path).stdout == f"{path}: is compact already\n"


def test_merging_says_what_was_made(tmp_path: Path, audio: Path, build: Build) -> None:
    build()
    audio.rename(tmp_path / "elsewhere")
    (tmp_path / "audio").mkdir()
    (tmp_path / "elsewhere" / "0.wav").rename(tmp_path / "audio" / "x.wav")
    build("other")
    result = run(merge, tmp_path / "archive", tmp_path / "other", "--out", tmp_path / "merged")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{tmp_path / 'merged'}: 5 recordings, ")


def test_one_archive_is_nothing_to_merge(tmp_path: Path) -> None:
    assert run(merge, tmp_path, "--out", tmp_path / "merged").exit_code == 2


@pytest.mark.parametrize("command", [remove, compact])
def test_what_is_no_archive_is_refused(tmp_path: Path, command: object) -> None:
    result = run(command, tmp_path, *(["a"] if command is remove else []))
    assert isinstance(result.exception, StdSearchError)
    assert "holds no archive.json" in str(result.exception)
    assert not list(tmp_path.iterdir())
