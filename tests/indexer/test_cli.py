import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from click.testing import CliRunner, Result

from indexer.cli import index
from stdsearch.archive import open_archive
from stdsearch.encoder import load_encoder, save_encoder
from stdsearch.errors import StdSearchError

Record = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, encoder_file: Path) -> Callable[..., Result]:
    def invoke(*arguments: object) -> Result:
        standard = ["--out", tmp_path / "archive", "--encoder", encoder_file, "--threads", 1]
        return CliRunner().invoke(index, [str(argument) for argument in (*standard, *arguments)])

    return invoke


def test_index_says_in_a_line_what_it_has_done(tmp_path: Path, record: Record, run: Callable[..., Result]) -> None:
    record("a.wav", 3)
    record("b.wav", 2)
    result = run(tmp_path / "audio", "--all")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    n_segments = open_archive(tmp_path / "archive").n_segments
    assert line.startswith(f"{tmp_path / 'archive'}: 2 recordings, 0.00 h, {n_segments} segments; indexed at ")
    assert not result.stderr


def test_exit_code_3_says_that_some_failed(tmp_path: Path, record: Record, run: Callable[..., Result]) -> None:
    record("a.wav", 1)
    (tmp_path / "audio" / "text.wav").write_text("no sound at all")
    result = run(tmp_path / "audio")
    assert result.exit_code == 3
    assert "1 recordings, 1 left out" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"stdsearch: {tmp_path}/audio/text.wav: ")
    assert line.endswith("(skipped)")


def test_metadata_columns_can_be_asked_for(tmp_path: Path, record: Record, run: Callable[..., Result]) -> None:
    record("a.wav", 1)
    record("b.wav", 1)
    (tmp_path / "table.csv").write_text("file,collection\na,news\nelsewhere,news\n")
    result = run(tmp_path / "audio", "--metadata", tmp_path / "table.csv")
    assert result.exit_code == 0
    assert "table.csv: 1 row names no recording, the first 'elsewhere'" in result.stderr
    assert open_archive(tmp_path / "archive").where("collection = 'news'").tolist() == [0]
    (tmp_path / "table.csv").write_text("file,collection\na,news\nelsewhere,news\nnowhere,news\n")
    result = run("--update", tmp_path / "audio", "--metadata", tmp_path / "table.csv")
    assert "table.csv: 2 rows name no recording, the first 'elsewhere'" in result.stderr


def test_slices_may_be_fewer(tmp_path: Path, record: Record, run: Callable[..., Result]) -> None:
    """Of 75 frames of 40 ms: slices of 5 frames begin at 0, 2 ... 70, slices of 50 at 0 and 25."""
    record("a.wav", 3)
    assert run(tmp_path / "audio", "--all", "--longest", 2, "--lengths", 2, "--hop", 0.5).exit_code == 0
    archive = open_archive(tmp_path / "archive")
    assert archive.settings["slicing"] | {"longest": 2.0, "n_lengths": 2, "hop": 0.5} == archive.settings["slicing"]
    lengths, counts = np.unique(archive.segments(np.arange(archive.n_segments)).dur, return_counts=True)
    assert lengths.tolist() == pytest.approx([0.2, 2.0])
    assert counts.tolist() == [36, 2]


def test_kind_and_recall_of_the_vector_index_may_be_chosen(
    tmp_path: Path, record: Record, run: Callable[..., Result]
) -> None:
    def vectors() -> list[object]:
        settings = open_archive(tmp_path / "archive").settings["vectors"]
        return [settings[name] for name in ("chosen", "recall", "kind")]

    record("a.wav", 20)
    assert run(tmp_path / "audio", "--all", "--vectors", "ivf-sq8").exit_code == 0
    assert vectors() == ["ivf-sq8", 0.99, "ivf-sq8"]
    assert run("--update", tmp_path / "audio", "--recall", 0.9).exit_code == 0
    assert vectors() == ["ivf-sq8", 0.9, "ivf-sq8"]
    assert run("--update", tmp_path / "audio", "--vectors", "exact").exit_code == 0
    assert vectors() == ["exact", 0.9, "exact"]


@pytest.mark.parametrize(
    "option", [("--longest", 0.1), ("--lengths", 1), ("--hop", 0), ("--hop", 1.5), ("--recall", 0)]
)
def test_values_out_of_range_are_a_usage_error(tmp_path: Path, run: Callable[..., Result], option: tuple) -> None:
    result = run(tmp_path / "audio", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere"], "no such file or folder"),
        (["audio", "--metadata", "nowhere.csv"], "no such file"),
        (["audio", "--encoder", "nowhere.safetensors"], "no such encoder"),
        (["audio", "--out", "audio"], "holds other files"),
    ],
)
def test_bad_input_makes_nothing(
    tmp_path: Path,
    record: Record,
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    complaint: str,
) -> None:
    record("a.wav", 1)
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert isinstance(result.exception, StdSearchError)
    assert complaint in str(result.exception)
    assert not (tmp_path / "archive").exists()


def test_ctrl_c_leaves_a_build_that_the_same_command_finishes(
    tmp_path: Path, record: Record, encoder_file: Path
) -> None:
    record("long.wav", 600)
    command = [sys.executable, "-m", "stdsearch", "index", "audio", "--all", "--out", "archive"]
    command += ["--encoder", str(encoder_file), "--threads", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "archive" / "segments" / "00000.parquet").exists():
        assert process.poll() is None
        sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert stderr == "stdsearch: interrupted; 0 recordings are kept, and the same command goes on from there\n"
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert open_archive(tmp_path / "archive").total_seconds == 600


def test_an_update_builds_what_is_not_there_and_says_what_it_changed(
    tmp_path: Path, record: Record, run: Callable[..., Result]
) -> None:
    record("a.wav", 1)
    record("b.wav", 1)
    result = run(tmp_path / "audio", "--all", "--update")
    assert result.exit_code == 0
    assert "2 recordings" in result.stdout
    (tmp_path / "audio" / "b.wav").unlink()
    record("c.wav", 2)
    result = run(tmp_path / "audio", "--update")
    assert result.exit_code == 0
    n_segments = open_archive(tmp_path / "archive").n_segments
    assert result.stdout == (
        f"{tmp_path / 'archive'}: 1 added, 0 changed, 1 removed, 1 unchanged; "
        f"2 recordings, 0.00 h, {n_segments} segments\n"
    )


def test_an_update_from_a_disk_that_is_not_mounted_removes_nothing(
    tmp_path: Path, record: Record, run: Callable[..., Result]
) -> None:
    record("a.wav", 1)
    (tmp_path / "disk").mkdir()
    assert run(tmp_path / "audio", tmp_path / "disk", "--update").exit_code == 0  # there is nothing to lose yet
    result = run(tmp_path / "audio", tmp_path / "disk", "--update")
    assert isinstance(result.exception, StdSearchError)
    assert "disk: no audio files" in str(result.exception)


def test_an_update_keeps_to_the_slices_and_the_encoder_of_the_archive(
    tmp_path: Path, record: Record, run: Callable[..., Result], encoder_file: Path
) -> None:
    record("a.wav", 1)
    run(tmp_path / "audio", "--hop", 0.5)
    record("a.wav", 2)
    result = run(tmp_path / "audio", "--update", "--hop", 0.2)
    assert "made with hop 0.5, not 0.2; leave the option out" in str(result.exception)
    other = load_encoder(encoder_file)
    other.log_prior[0] += 1
    save_encoder(other, tmp_path / "other.safetensors")
    result = run(tmp_path / "audio", "--update", "--encoder", tmp_path / "other.safetensors")
    assert "was made by encoder" in str(result.exception)
    assert run(tmp_path / "audio", "--update", "--hop", 0.5).exit_code == 0
    assert open_archive(tmp_path / "archive").total_seconds == 2
