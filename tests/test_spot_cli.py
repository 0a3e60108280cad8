import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.cli.spot import spot
from stdsearch.encoder import load_encoder, save_encoder
from stdsearch.errors import StdSearchError
from stdsearch.formats.tables import read_csv
from stdsearch.spotter import SpotterSettings
from stdsearch.types import Hit
from stdsearch.verifier import Verifier, VerifierSettings, save_verifier
from tests.conftest import babble
from tests.test_spotter import calibration

TBEG, TEND = 2.2, 2.84
EXAMPLE = f"word=talk.wav@{TBEG}-{TEND}"
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def calibrated(encoder_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrated") / "tiny.safetensors"
    save_encoder(load_encoder(encoder_file), path, {"calibration": calibration()})
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Here lie talk.wav, of one channel, and two.wav, the second channel of which is the talk."""
    monkeypatch.chdir(tmp_path)
    talk = babble(6, seed=7)
    write_wav("talk.wav", talk)
    soundfile.write("two.wav", np.stack([babble(6, seed=8), talk], axis=1), SAMPLE_RATE)
    return tmp_path


@pytest.fixture
def run(folder: Path, calibrated: Path) -> Run:
    def invoke(*arguments: object, stdin: bytes | None = None) -> Result:
        standard = ["--encoder", calibrated, "--threads", 1]
        return CliRunner().invoke(spot, [str(argument) for argument in (*standard, *arguments)], input=stdin)

    return invoke


def detections(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.output
    assert not result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def raw(path: str) -> bytes:
    samples, _ = soundfile.read(path, dtype="int16")
    return samples.astype("<i2").tobytes()


def test_a_pipe_gets_an_object_a_line(run: Run) -> None:
    (found,) = detections(run("--example", EXAMPLE, "talk.wav"))
    assert list(found) == ["source", "channel", "keyword", "tbeg", "dur", "score"]
    assert (found["source"], found["channel"], found["keyword"]) == ("talk.wav", 1, "word")
    assert (found["tbeg"], found["tbeg"] + found["dur"]) == pytest.approx((TBEG, TEND), abs=0.05)
    assert 0.5 < found["score"] <= 1


def test_every_channel_of_every_file_is_listened_to(run: Run) -> None:
    found = detections(run("--example", EXAMPLE, "two.wav", "talk.wav"))
    assert [(d["source"], d["channel"]) for d in found] == [("two.wav", 2), ("talk.wav", 1)]


def test_raw_audio_comes_by_the_standard_input(run: Run) -> None:
    (found,) = detections(run("--example", EXAMPLE, "-", stdin=raw("talk.wav")))
    assert (found["source"], found["channel"]) == ("-", 1)
    assert found["tbeg"] == pytest.approx(TBEG, abs=0.05)
    assert detections(run("--example", EXAMPLE, "-", stdin=raw("talk.wav") + b"\x01")) == [found]


def test_a_stream_of_nothing_is_an_error(run: Run) -> None:
    result = run("star", "-", stdin=b"")
    assert isinstance(result.exception, StdSearchError)
    assert str(result.exception).startswith("standard input: no audio came")


@pytest.mark.parametrize("stdin", [b"\x00", b"\x00\x00\x01", bytes(64000)])
def test_silence_has_no_keywords(run: Run, stdin: bytes) -> None:
    assert detections(run("star", "--example", EXAMPLE, "-", stdin=stdin)) == []


def test_an_example_names_its_channel(run: Run) -> None:
    of_talk = detections(run("--example", EXAMPLE, "talk.wav"))
    assert detections(run("--example", "word=two.wav@0:02.20-0:02.84@2", "talk.wav")) == of_talk
    assert detections(run("--example", f"word=two.wav@{TBEG}-{TEND}@1", "talk.wav")) != of_talk


def test_text_alone_and_with_an_example(run: Run) -> None:
    everything = ("--threshold", 0.0, "talk.wav")
    text = detections(run("star", "/B AH T/", *everything))
    assert {d["keyword"] for d in text} == {"star", "/B AH T/"}
    both = detections(run("star", "/B AH T/", "--example", EXAMPLE.replace("word", "star"), *everything))
    assert [d for d in both if d["keyword"] == "/B AH T/"] == [d for d in text if d["keyword"] == "/B AH T/"]
    assert [d for d in both if d["keyword"] == "star"] != [d for d in text if d["keyword"] == "star"]


def test_a_lexicon_says_how_words_are_pronounced(run: Run) -> None:
    Path("lexicon.txt").write_text("star B AH T\n")
    with_lexicon = detections(run("star", "--lexicon", "lexicon.txt", "--threshold", 0, "talk.wav"))
    phones = detections(run("/B AH T/", "--threshold", 0, "talk.wav"))
    assert with_lexicon
    assert [d["tbeg"] for d in with_lexicon] == [d["tbeg"] for d in phones]


def test_the_threshold_leaves_out_what_is_less_probable(run: Run) -> None:
    assert detections(run("--example", EXAMPLE, "--threshold", 1, "talk.wav")) == []
    told = " ".join(CliRunner().invoke(spot, ["--help"]).output.split())
    assert f"[default: {SpotterSettings().threshold}]" in told


def test_a_table_has_a_head_and_a_row_each(run: Run) -> None:
    result = run("--example", EXAMPLE, "--format", "table", "talk.wav")
    head, row = (line.split("\t") for line in result.stdout.splitlines())
    assert head == ["keyword", "from", "dur", "score", "ch", "source"]
    assert (row[0], row[1], row[4], row[5]) == ("word", "0:02.20", "1", "talk.wav")


def test_a_row_stays_one_whatever_the_names(run: Run) -> None:
    Path("a\tb\n\x1b[31m.wav").write_bytes(Path("talk.wav").read_bytes())
    result = run("--example", EXAMPLE.replace("word", "w\to", 1), "--format", "table", "a\tb\n\x1b[31m.wav")
    assert [len(line.split("\t")) for line in result.stdout.splitlines()] == [6, 6]
    assert "\x1b" not in result.stdout


def test_a_long_phrase_is_no_file_name(run: Run) -> None:
    assert run(*["evening star " * 30, "--threshold", "1", "talk.wav"]).stdout == ""


def test_csv_is_the_hits_that_convert_reads(run: Run) -> None:
    asked = ("star", "--example", EXAMPLE, "--threshold", 0, "two.wav")
    found = detections(run(*asked))
    result = run(*asked, "--format", "csv")
    Path("hits.csv").write_text(result.stdout)
    terms = {term.term: term for term in read_csv("hits.csv")}
    assert {name: term.kwid for name, term in terms.items()} == {"star": "KW-1", "word": "KW-2"}
    for name, term in terms.items():
        expected = [
            Hit(d["source"], d["channel"], d["tbeg"], d["dur"], d["score"], True) for d in found if d["keyword"] == name
        ]
        assert sorted(term.hits, key=hash) == sorted(expected, key=hash)


def test_keywords_come_in_a_list(run: Run, folder: Path) -> None:
    (folder / "terms.txt").write_text("A\tevening\nB\t日本\nC\t/S T AA R/\nD\tevening\n")
    asked = ("--threshold", 0, "--no-verify", "talk.wav")
    typed = detections(run("evening", "/S T AA R/", "--example", "evening=talk.wav@1-1.5", *asked))
    result = run("--kwlist", "terms.txt", "--example", "evening=talk.wav@1-1.5", "--format", "csv", *asked)
    assert result.exit_code == 3
    assert result.stderr.startswith("stdsearch: B: 日本: '日' cannot be pronounced")
    assert result.stderr.endswith("(not listened for)\n")
    (folder / "hits.csv").write_text(result.stdout)
    heard = {(term.kwid, term.term, hit.tbeg) for term in read_csv("hits.csv") for hit in term.hits}
    kwids = {"evening": "A", "/S T AA R/": "C"}
    assert heard == {(kwids[d["keyword"]], d["keyword"], d["tbeg"]) for d in typed}


def test_a_file_that_cannot_be_read_does_not_lose_the_others(run: Run) -> None:
    Path("text.wav").write_text("no sound at all")
    result = run("--example", EXAMPLE, "text.wav", "talk.wav")
    assert result.exit_code == 3
    (told,) = result.stderr.splitlines()
    assert told.startswith("stdsearch: text.wav: no audio")
    assert len(result.stdout.splitlines()) == 1


def test_a_verifier_has_the_last_word(run: Run, calibrated: Path) -> None:
    settings = VerifierSettings(width=8, dim=8, positions=4, hidden=8, heads=1)
    verifier = Verifier(settings, load_encoder(calibrated).fingerprint)
    save_verifier(verifier, Path("verifier.safetensors"))
    save_verifier(Verifier(settings, "another"), Path("other.safetensors"))
    arguments = ("--example", EXAMPLE, "--threshold", 0, "talk.wav")
    plain = detections(run(*arguments))
    assert detections(run("--no-verify", *arguments)) == plain  # the one that ships is of another encoder
    (found,) = [d for d in detections(run("--verifier", "verifier.safetensors", *arguments)) if d["tbeg"] > 2]
    (same,) = [d for d in plain if d["tbeg"] == found["tbeg"]]
    assert same["score"] != found["score"]
    result = run("--verifier", "other.safetensors", *arguments)
    assert str(result.exception).startswith("other.safetensors: was trained on encoder another, but this is ")
    assert run("--verifier", "verifier.safetensors", "--no-verify", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "keywords", "sources"),
    [
        (["star", "talk.wav", "two.wav"], {"star"}, {"talk.wav", "two.wav"}),
        (["star", "evening", "talk.wav"], {"star", "evening"}, {"talk.wav"}),
        (["evening", "star", "./talk.wav"], {"star", "evening"}, {"./talk.wav"}),
        (["star", "star", "talk.wav"], {"star"}, {"talk.wav"}),
        (["/S T AA R/", "talk.wav"], {"/S T AA R/"}, {"talk.wav"}),
        (["the star", "talk.wav", "-"], {"the star"}, {"talk.wav", "-"}),
    ],
)
def test_keywords_go_first_and_files_last(
    run: Run, arguments: list[str], keywords: set[str], sources: set[str]
) -> None:
    if arguments[0] == "evening":
        Path("evening").touch()
    found = detections(run(*arguments, "--threshold", 0, stdin=raw("talk.wav")))
    assert {d["keyword"] for d in found} == keywords
    assert {d["source"] for d in found} == sources


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["star", "nowhere.wav"], "nowhere.wav: no such file; check the path"),
        (["star", "nowhere.MP3", "talk.wav"], "nowhere.MP3: no such file"),
        (["star", "folder/nowhere"], "folder/nowhere: no such file"),
        (["star", "folder/"], "folder/: is a folder; name files in it"),
        (["star", "empty.wav"], "empty.wav: is empty"),
        (["日本", "talk.wav"], "'日' cannot be pronounced"),
        (["/S T XX/", "talk.wav"], "`stdsearch pronounce --help` lists all 39"),
        (["  ", "talk.wav"], "nothing to search for"),
        (["--example", "word=nowhere.wav", "talk.wav"], "nowhere.wav: no such file"),
        (["--example", "word=talk.wav@5-9", "talk.wav"], "is not inside it"),
        (["star", "talk.wav", "--lexicon", "nowhere.txt"], "nowhere.txt: cannot be read"),
        (["star", "talk.wav", "--encoder", "nowhere.safetensors"], "nowhere.safetensors: no such encoder"),
        (["--example", "caf\udce9=talk.wav@2-3", "talk.wav"], "its name is no UTF-8; write it so"),
        (["--kwlist", "nowhere.txt", "talk.wav"], "nowhere.txt: cannot be read"),
        (["--kwlist", "strange.txt", "talk.wav"], "'日' cannot be pronounced"),
        (["--kwlist", "strange.txt", "--example", EXAMPLE, "talk.wav"], "word: is no term of strange.txt"),
        (["star", "-"], "a file with a header, not raw audio; send 16 kHz 16-bit mono samples, as in `ffmpeg"),
    ],
)
def test_bad_input_is_told_in_a_line(run: Run, arguments: list[str], complaint: str) -> None:
    Path("folder").mkdir()
    Path("strange.txt").write_text("日本\n日光")
    Path("empty.wav").touch()
    result = run(*arguments, stdin=Path("talk.wav").read_bytes())
    assert isinstance(result.exception, StdSearchError)
    assert complaint in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no audio"),
        (["star", "talk.wav", "--kwlist", "terms.txt"], "give either KEYWORDs or --kwlist; 'star' is no audio"),
        (["star"], "no audio: end with files, or with -"),
        (["talk.wav"], "no keyword"),
        (["talk.wav", "star"], "talk.wav: keywords go first, then the audio"),
        (["-", "star"], "keywords go first"),
        (["star", "-", "-"], "more than once"),
        (["star", "talk.wav", "--threshold", "2"], "--threshold"),
        (["star", "talk.wav", "--example", "talk.wav"], "KEYWORD=FILE"),
    ],
)
def test_wrong_usage_is_told(run: Run, arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_a_detection_comes_while_the_stream_is_open(folder: Path, calibrated: Path) -> None:
    """Nothing but what is said tells the command to print: the pipe stays open. Then it is interrupted."""
    command = [sys.executable, "-m", "stdsearch", "spot", "--example", EXAMPLE, "--encoder", calibrated]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "--threads", "1", "-"], env=os.environ, **pipes) as process:
        assert isinstance(process.stdin, io.BufferedWriter)
        assert isinstance(process.stdout, io.BufferedReader)
        process.stdin.write(raw("talk.wav")[: 2 * round((TEND + 1) * SAMPLE_RATE)])
        process.stdin.flush()
        found = json.loads(process.stdout.readline())
        assert found["tbeg"] == pytest.approx(TBEG, abs=0.05)
        process.send_signal(signal.SIGINT)
        rest, told = process.communicate()
    assert (process.returncode, rest, told.strip()) == (130, b"", b"stdsearch: interrupted")
