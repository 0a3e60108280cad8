import csv
import io
import subprocess
import sys
import wave
from pathlib import Path
from time import sleep

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = "The lighthouse keeper, they say, was fond of oranges."

pytest.importorskip("espeakng_loader", reason="the synthetic voices come with the extra `demo`")


def render(folder: Path, *lines: tuple[str, str, str]) -> subprocess.CompletedProcess[str]:
    """Run voices.py, in a process of its own as always, over (recording, voice, text)."""
    folder.mkdir(parents=True)
    table = folder / "lines.tsv"
    rows = [
        "recording\tvoice\trate\tpitch\ttext",
        *(f"{name}\t{voice}\t160\t50\t{text}" for name, voice, text in lines),
    ]
    table.write_text("\n".join(rows), encoding="utf-8")
    command = [sys.executable, str(ROOT / "benchmarks" / "voices.py"), str(table), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def samples(path: Path) -> tuple[np.ndarray, int]:
    """The samples of a WAV file, and its sample rate."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16), file.getframerate()


def test_words_come_back_in_order_with_times_that_hold_their_sound(tmp_path: Path) -> None:
    ended = render(tmp_path / "a", ("deep/one", "en-us+m3", TEXT))
    words = list(csv.DictReader(io.StringIO(ended.stdout), delimiter="\t"))
    assert " ".join(word["word"] for word in words) == "the lighthouse keeper they say was fond of oranges"
    assert {(word["recording"], word["speaker"]) for word in words} == {("deep/one", "en-us+m3")}

    heard, sample_rate = samples(tmp_path / "a" / "deep" / "one.wav")
    borders = np.array([(float(word["tbeg"]), float(word["tend"])) for word in words])
    assert (np.diff(borders.ravel()) >= 0).all()
    assert borders[-1, 1] <= len(heard) / sample_rate

    within = np.zeros(len(heard), dtype=bool)
    for tbeg, tend in borders:
        within[round(tbeg * sample_rate) : round(tend * sample_rate)] = True
    loudness = np.abs(heard.astype(float))
    assert loudness[within].mean() > 20 * loudness[~within].mean()  # outside are the pauses at the commas and the end
    keeper, they = words[2], words[3]
    assert float(they["tbeg"]) - float(keeper["tend"]) > 0.1


def test_renderings_repeat(tmp_path: Path) -> None:
    lines = [("one", "en-us+whisper", TEXT), ("two", "en-029", TEXT)]
    first = render(tmp_path / "a", *lines)
    sleep(1.1)  # left alone, espeak-ng draws the noise of a whisper from the time of day in seconds
    assert render(tmp_path / "b", *lines).stdout == first.stdout
    for name in ("one.wav", "two.wav"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "one.wav").read_bytes() != (tmp_path / "a" / "two.wav").read_bytes()


@pytest.mark.parametrize("voice", ["xx-none", "en-us+nobody"])
def test_unknown_voice_is_named(tmp_path: Path, voice: str) -> None:
    ended = render(tmp_path / "a", ("one", voice, TEXT))
    assert ended.returncode == 1
    assert ended.stderr.endswith(f"espeak-ng has no voice '{voice}'\n")


@pytest.mark.slow
def test_demo_finds_what_was_said(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "demo" / "run.py")]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
