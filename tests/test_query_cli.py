import csv
import errno
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

import stdsearch.cli
from indexer.build import build_archive
from indexer.sources import find_sources
from stdsearch.archive import open_archive
from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.calibrate import AS_THEY_ARE, Calibration, Logistic
from stdsearch.cli.clips import _name, cut_clips
from stdsearch.cli.query import query
from stdsearch.encoder import SpanEncoder
from stdsearch.errors import StdSearchError
from stdsearch.formats.hits import read_hits
from stdsearch.slicing import SlicingSettings
from stdsearch.types import Hit, TermHits

KWLIST = """<kwlist ecf_filename="ecf.xml" language="english" encoding="UTF-8" compareNormalize="lowercase" version="1">
<kw kwid="KW-1"><kwtext>evening</kwtext></kw><kw kwid="KW-2"><kwtext>{second}</kwtext></kw></kwlist>"""


@pytest.fixture
def run(archive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Queries the archive from tmp_path, with the recordings that it was made from in "audio"."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audio").symlink_to(archive_folder / "audio")

    def invoke(*arguments: object) -> Result:
        standard = [archive_folder / "archive", "--threads", 1]
        return CliRunner().invoke(query, [str(argument) for argument in (*standard, *arguments)])

    return invoke


Run = Callable[..., Result]


def lines(result: Result) -> list[list[str]]:
    """The hits in a pipe, a list of cells each."""
    assert result.exit_code == 0, result.output
    head, *rest = result.stdout.splitlines()
    assert head == "kwid\tterm\trecording\tchannel\ttbeg\tdur\tscore\tdecision"
    return [line.split("\t") for line in rest]


def test_a_pipe_gets_a_line_a_hit(run: Run) -> None:
    result = run("evening", "star", "--depth", "150")
    hits = lines(result)
    assert not result.stderr
    assert [(kwid, term) for kwid, term, *_ in hits] == [("KW-1", "evening")] * 20 + [("KW-2", "star")] * 20
    for _, _, recording, channel, tbeg, dur, score, decision in hits:
        assert recording in ("news/long.wav", "odd.wav", "short.wav", "two.wav")
        assert channel in ("1", "2")
        assert re.fullmatch(r"\d+\.\d{3} \d+\.\d{3} [01]\.\d{3,}", f"{tbeg} {dur} {score}")
        assert decision in ("YES", "NO")


def test_json_is_as_documented(run: Run) -> None:
    result = run("evening", "star", "--format", "json", "--limit", 3)
    assert result.exit_code == 0
    first, second = json.loads(result.stdout)
    assert list(first) == ["kwid", "term", "search_seconds", "hits"]
    assert (first["kwid"], first["term"], second["kwid"], second["term"]) == ("KW-1", "evening", "KW-2", "star")
    assert len(first["hits"]) == len(second["hits"]) == 3
    hit = first["hits"][0]
    kinds = {"recording": str, "channel": int, "tbeg": float, "dur": float, "score": float, "decision": str}
    assert {name: type(value) for name, value in hit.items()} == kinds


def test_csv_says_the_same_as_json(run: Run) -> None:
    (term,) = json.loads(run("evening", "--format", "json").stdout)
    rows = list(csv.DictReader(run("evening", "--format", "csv").stdout.splitlines()))
    assert [(row["recording"], float(row["score"])) for row in rows] == [
        (hit["recording"], hit["score"]) for hit in term["hits"]
    ]


def test_a_kwslist_holds_all_hits_by_base_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kwlist.xml").write_text(KWLIST.format(second="star"))
    result = run("--kwlist", "kwlist.xml", "--output", "hits.xml")
    assert (result.exit_code, result.output) == (0, "")
    terms, header = read_hits(tmp_path / "hits.xml", "kwslist")
    assert (header["kwlist_filename"], header["language"]) == ("kwlist.xml", "english")
    assert [term.kwid for term in terms] == ["KW-1", "KW-2"]
    for term, text in zip(terms, ("evening", "star"), strict=True):
        assert len(term.hits) == len(lines(run(text, "--limit", 1000))) > 10
    assert {hit.recording for hit in terms[0].hits} == {"long", "odd", "short", "two"}


def test_a_list_of_terms_as_text(run: Run, tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("evening\n\nT-2\tstar\n")
    typed = lines(run("evening", "star"))
    listed = lines(run("--kwlist", "terms.txt"))
    assert listed == [["T-2" if kwid == "KW-2" else kwid, *cells] for kwid, *cells in typed]
    header = run("--kwlist", "terms.txt", "--format", "kwslist").stdout.splitlines()[0]
    assert 'kwlist_filename="terms.txt" language="english"' in header


def test_examples_give_the_terms_of_a_kwlist_their_sound(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a calibration that goes by what is heard, where there is a text too: without one, only the text counts."""
    by_sound = Calibration(Logistic(("dtw",), (0.5,), (0.1,), (1.0,), -2.0), AS_THEY_ARE)
    monkeypatch.setattr("stdsearch.search.carried_by", lambda _: {"both": by_sound})
    (tmp_path / "kwlist.xml").write_text(KWLIST.format(second="star"))
    (tmp_path / "examples.tsv").write_text(
        "kwid\taudio\ttbeg\tdur\tterm\nKW-2\taudio/odd.wav\t0.4\t0.32\tstar\nKW-2\taudio/odd.wav\t0.4\t0.36\tstar\n"
    )
    alone = lines(run("--examples", "examples.tsv"))
    assert {(kwid, term) for kwid, term, *_ in alone} == {("KW-2", "")}
    assert alone[0][2] == "odd.wav"
    both = lines(run("--kwlist", "kwlist.xml", "--examples", "examples.tsv"))
    text = lines(run("--kwlist", "kwlist.xml"))
    assert [cells for cells in both if cells[0] == "KW-1"] == [cells for cells in text if cells[0] == "KW-1"]
    assert [cells for cells in both if cells[0] == "KW-2"] != [cells for cells in text if cells[0] == "KW-2"]


def test_audio_is_an_example_with_or_without_a_text(run: Run) -> None:
    example = ("--audio", "audio/odd.wav@0.4-0.72")
    alone = lines(run(*example))
    assert alone[0][:6] == ["KW-1", "", "odd.wav", "1", "0.400", "0.320"]
    assert lines(run("", *example)) == alone
    both = lines(run("evening", *example))
    assert both[0][1] == "evening"
    assert both != alone
    assert lines(run(*example, "--audio", "audio/news/long.wav@1.2-1.64")) != alone


def test_a_lexicon_says_how_words_are_pronounced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("evening S T AA R\n")
    with_lexicon = lines(run("evening", "--lexicon", "lexicon.txt"))
    assert [cells[2:] for cells in with_lexicon] == [cells[2:] for cells in lines(run("/S T AA R/"))]


def test_options_choose_among_the_hits(run: Run) -> None:
    hits = lines(run("evening", "--limit", 1000))
    assert len(hits) > 20
    assert lines(run("evening", "--depth", 150)) == hits[:20]
    score = hits[4][6]
    assert lines(run("evening", "--threshold", score)) == [cells for cells in hits if cells[6] >= score][:20]
    where = lines(run("evening", "--where", "year = 1960", "--limit", 1000))
    assert {cells[2] for cells in where} == {"odd.wav"}
    second = lines(run("evening", "--channel", 2, "--limit", 1000))
    assert {(cells[2], cells[3]) for cells in second} == {("two.wav", "2")}


def test_columns_of_the_catalog_stand_beside_hits(run: Run, tmp_path: Path) -> None:
    years = {"news/long.wav": 1950, "odd.wav": 1960, "short.wav": 1970, "two.wav": 1980}
    asked = ("evening", "/S T AA R/", "--column", "Year", "--column", "channels", "--column", "Year")
    head, *rest = (line.split("\t") for line in run(*asked).stdout.splitlines())
    assert head[-3:] == ["decision", "Year", "channels"]
    assert [row[:8] for row in rest] == lines(run(*asked[:2]))
    assert [row[8:] for row in rest] == [[str(years[row[2]]), "2" if row[2] == "two.wav" else "1"] for row in rest]

    for name in ("hits.csv", "hits.json"):
        assert run(*asked, "--output", name).exit_code == 0
    with open("hits.csv", newline="") as stream:
        table = [(row["recording"], int(row["Year"])) for row in csv.DictReader(stream)]
    nested = json.loads(Path("hits.json").read_text())
    assert table == [(hit["recording"], hit["metadata"]["Year"]) for term in nested for hit in term["hits"]]
    assert table == [(row[2], int(row[8])) for row in rest]
    as_csv, as_json = (read_hits(name, format_)[0] for name, format_ in (("hits.csv", "csv"), ("hits.json", "json")))
    assert [term.hits for term in as_csv] == [term.hits for term in as_json]


def test_columns_are_on_a_terminal_too(
    run: Run, archive_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    asked = ["evening", "--where", "year = 1960", "--column", "year", "--threshold", "0"]
    query.main([str(archive_folder / "archive"), *asked], standalone_mode=False)
    shown = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if "odd.wav" in line]
    assert rows
    assert [row[6:] for row in rows] == [["1960"]] * len(rows)


@pytest.mark.parametrize("format_", ["table", "json", "kwslist"])
def test_a_kind_that_no_recording_is_of_is_told(run: Run, format_: str) -> None:
    nothing = run("evening", "--where", "year > 2000", "--format", format_)
    assert (nothing.exit_code, nothing.stderr) == (0, "stdsearch: where 'year > 2000': no recording is of that kind\n")
    nothing = run("evening", "--where", "year < 1975", "--channel", 2, "--format", format_)
    assert nothing.stderr == "stdsearch: where 'year < 1975', channel 2: no recording is of that kind\n"
    strict = run("evening", "--where", "year = 1960", "--threshold", 1, "--format", format_)
    assert (strict.exit_code, strict.stderr) == (0, "")


def test_the_cost_of_false_alarms_decides(run: Run) -> None:
    """Accepted are the hits whose probability p >= βN / (T + (β - 1)N), with N expected occurrences in T seconds."""
    hits = lines(run("evening", "--beta", 3, "--limit", 1000))
    scores = [float(cells[6]) for cells in hits]
    least = 3 * sum(scores) / (8.255 + 2 * sum(scores))
    assert [cells[7] for cells in hits] == ["YES" if score >= least else "NO" for score in scores]
    assert {cells[7] for cells in lines(run("evening", "--beta", 0))} == {"YES"}
    assert {cells[7] for cells in lines(run("evening", "--beta", 1e6))} == {"NO"}


def test_normalised_scores_have_the_threshold_of_every_term_at_a_half(run: Run) -> None:
    for term in ("evening", "stars come"):
        hits = lines(run(term, "--normalise", "kst", "--beta", 3, "--limit", 1000))
        assert [cells[7] for cells in hits] == ["YES" if float(cells[6]) >= 0.5 else "NO" for cells in hits]
        plain = lines(run(term, "--beta", 3, "--limit", 1000))
        assert [cells[:6] + cells[7:] for cells in hits] == [cells[:6] + cells[7:] for cells in plain]
    shares = [float(cells[6]) for cells in lines(run("evening", "--normalise", "sto", "--limit", 1000))]
    assert sum(shares) == pytest.approx(1, abs=1e-3)


def test_no_hits_are_an_answer(run: Run) -> None:
    nothing = ("evening", "--threshold", 1)
    assert lines(run(*nothing)) == []
    (term,) = json.loads(run(*nothing, "--format", "json").stdout)
    assert term["hits"] == []
    assert "<kw " not in run(*nothing, "--format", "kwslist").stdout


@pytest.fixture
def terminal(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What a query shows on a terminal for two terms: five hits, of which two are improbable, and those two alone."""
    chances = ((0.5, True), (0.01, False), (0.009, True), (0.009, False), (0.001, False))
    hits = tuple(Hit("a.wav", 1, i, 1.0, score, yes) for i, (score, yes) in enumerate(chances))
    found = [TermHits("KW-1", "evening", hits), TermHits("KW-2", "star", hits[3:])]
    monkeypatch.setattr("stdsearch.search.Archive.search_all", lambda *_, **__: iter(found))
    monkeypatch.setenv("TERM", "dumb")

    def show(*arguments: str) -> str:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        query.main([str(archive_folder / "archive"), "evening", "star", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return show


def test_a_terminal_shows_no_improbable_hits(terminal: Callable[..., str]) -> None:
    shown = terminal()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if "a.wav" in line]
    assert [row[4:] for row in rows] == [["0.500", "YES"], ["0.010", ""], ["0.009", "YES"]]
    *_, last_term, last = shown.splitlines()
    assert (last_term, last) == ("star: no hit", "4 less probable left out; --threshold 0 shows all")


@pytest.mark.parametrize("arguments", [("--threshold", "0"), ("--normalise", "kst"), ("--format", "json")])
def test_all_hits_are_shown_where_asked_for(terminal: Callable[..., str], arguments: tuple[str, str]) -> None:
    shown = terminal(*arguments)
    assert shown.count("a.wav") == 7
    assert "left out" not in shown


def test_a_terminal_names_a_term_without_text_by_its_example(
    run: Run, archive_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    for terms, name in (([], "audio/odd.wav@0.4-0.72"), (["evening"], "evening")):
        asked = [str(archive_folder / "archive"), *terms, "--audio", "audio/odd.wav@0.4-0.72"]
        query.main(asked, standalone_mode=False)
        assert re.fullmatch(re.escape(name) + r" \(\d+ ms\) *", capsys.readouterr().out.splitlines()[0])


@pytest.mark.parametrize(("asked", "context"), [((), 1.0), (("--context", 0.25), 0.25), (("--context", 0), 0.0)])
def test_clips_hold_each_hit_with_what_is_around_it(
    run: Run, tmp_path: Path, asked: tuple[object, ...], context: float
) -> None:
    hits = lines(run("evening", "/S T AA R/", "--limit", 2, "--clips", "new/clips", *asked))
    clips = sorted((tmp_path / "new" / "clips").iterdir())
    assert len(clips) == len(hits) == 4
    seconds = {"news/long.wav": 3.0, "odd.wav": 2.405, "short.wav": 0.25, "two.wav": 2.6}
    for _, term, recording, _, tbeg, dur, *_ in hits:
        stem = re.sub(r"[^\w.-]+", "_", f"-{recording}-{float(tbeg):.2f}.wav")
        (clip,) = (clip for clip in clips if clip.name.endswith(stem) and clip.name[:3] in (term[:3], "_S_"))
        begin, end = max(0, float(tbeg) - context), min(seconds[recording], float(tbeg) + float(dur) + context)
        info = soundfile.info(clip)
        assert (info.samplerate, info.channels) == (SAMPLE_RATE, 1)
        assert info.duration == pytest.approx(end - begin, abs=1e-3)


def test_a_clip_of_a_long_term_gets_a_name_that_a_disk_takes(run: Run, tmp_path: Path) -> None:
    result = run(f"/{'S T AA R ' * 40}/", "--limit", 1, "--clips", "clips")
    assert result.exit_code == 0
    assert len(list((tmp_path / "clips").iterdir())) == len(lines(result))
    name = _name("夜" * 200, 1000, Hit("ö" * 500, 1, 36000.0, 0.5, 0.9, True))
    assert len(name.encode()) < 255


@pytest.mark.parametrize("output", ["hits.json", "hits.csv", "hits.xml", "hits.json.gz"])
def test_the_name_of_the_output_tells_its_format(run: Run, tmp_path: Path, output: str) -> None:
    assert run("evening", "--output", output).output == ""
    format_ = {".csv": "csv", ".xml": "kwslist"}.get(Path(output).suffix, "json")
    terms, _ = read_hits(tmp_path / output, format_)
    assert terms[0].kwid == "KW-1"
    assert terms[0].hits


def test_a_term_that_cannot_be_searched_for_does_not_lose_the_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kwlist.xml").write_text(KWLIST.format(second="日本"))
    result = run("--kwlist", "kwlist.xml", "--output", "hits.json")
    assert result.exit_code == 3
    (told,) = result.stderr.splitlines()
    assert told.startswith("stdsearch: KW-2: 日本: '日' cannot be pronounced")
    assert told.endswith("(no hits)")
    first, second = json.loads((tmp_path / "hits.json").read_text())
    assert first["hits"]
    assert second["hits"] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([""], "nothing to search for"),
        (["..."], "holds no word"),
        (["日本"], "'日' cannot be pronounced"),
        (["/S T XX/"], "`stdsearch pronounce --help` lists all 39"),
        (["/S T AA R"], "/S T AA R: phones go between two slashes"),
        (["star", "--where", "decade = 3"], "no column 'decade'; the columns are"),
        (["star", "--where", "year ="], "the columns are"),
        (["star", "--column", 'the "year"'], "there is no column 'the \"year\"'; the columns are"),
        (["star", "--column", "Score"], "--column Score: hits have a column of that name; call yours something else"),
        (["star", "--lexicon", "nowhere.txt"], "nowhere.txt: cannot be read"),
        (["--audio", "nowhere.wav"], "nowhere.wav: no such file"),
        (["--audio", "empty.wav"], "empty.wav: is empty"),
        (["--audio", "text.wav"], "text.wav: no audio"),
        (["--audio", "text.wav@later"], "after FILE go @TBEG-TEND and @CHANNEL"),
        (["--audio", "audio/odd.wav@1-9"], "1-9 s is not inside it; it lasts 2.40 s"),
        (["--audio", "audio/odd.wav@1-1.01"], "lasts 0.01 s; give 0.1 s or more"),
        (["--audio", "minute.wav"], "minute.wav: the example lasts 60 s; give 30 s or less, as in FILE@TBEG-TEND"),
        (["--kwlist", "nowhere.xml"], "nowhere.xml: cannot be read"),
        (["--kwlist", "minute.wav"], "minute.wav:1: "),
        (["--kwlist", "torn.xml"], "torn.xml:"),
        (["--examples", "text.wav"], "text.wav: holds no example"),
        (["--examples", "columns.tsv"], "columns.tsv:2: wants kwid, audio, tbeg and dur"),
        (["--kwlist", "kwlist.xml", "--examples", "examples.tsv"], "examples.tsv: KW-9 is no kwid of kwlist.xml"),
        (["star", "--output", "nowhere/hits.json"], "nowhere/hits.json: cannot be written"),
        (["star", "--output", "folder.json"], "folder.json: cannot be written"),
        (["star", "--output", "hits"], "does not tell the format"),
        (["star", "--clips", "text.wav"], "text.wav: cannot be made"),
    ],
)
def test_bad_input_is_told_in_a_line(run: Run, tmp_path: Path, arguments: list[str], complaint: str) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    write_wav(tmp_path / "minute.wav", np.zeros(60 * SAMPLE_RATE))
    (tmp_path / "kwlist.xml").write_text(KWLIST.format(second="star"))
    (tmp_path / "torn.xml").write_text(KWLIST[:150])
    (tmp_path / "columns.tsv").write_text("kwid\taudio\nKW-1\taudio/odd.wav\n")
    (tmp_path / "examples.tsv").write_text("kwid\taudio\ttbeg\tdur\nKW-9\taudio/odd.wav\t0.4\t0.32\n")
    (tmp_path / "folder.json").mkdir()
    result = run(*arguments)
    assert isinstance(result.exception, StdSearchError)
    assert complaint in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "nothing to search for: give a TERM"),
        (["one", "two", "--audio", "a.wav"], "--audio is of one term"),
        (["star", "other"], "other: one ARCHIVE at a time; merge them, or query each"),
        (["star", "--kwlist", "kwlist.xml"], "give either TERM and --audio, or --kwlist"),
        (["star", "--column", "year", "--format", "kwslist"], "a KWSList holds no --column; write csv or json"),
        (["star", "--limit", "0"], "--limit"),
        (["star", "--threshold", "2"], "--threshold"),
        (["star", "--threshold", "nan"], "--threshold"),
        (["star", "--beta", "inf"], "--beta"),
        (["star", "--format", "table", "--output", "hits.json"], "a table is for the screen"),
        (["star", "--output", "hits.srt"], "query writes table, json, csv, kwslist"),
    ],
)
def test_wrong_usage_is_told(run: Run, tmp_path: Path, arguments: list[str], complaint: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "archive.json").touch()
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_hits_are_not_lost_with_a_recording_that_is_gone(run: Run, archive_folder: Path, tmp_path: Path) -> None:
    moved = archive_folder / "moved"
    (archive_folder / "audio").rename(moved)
    try:
        result = run("evening", "--limit", 1, "--clips", "clips")
    finally:
        moved.rename(archive_folder / "audio")
    assert len(result.stdout.splitlines()) == 2
    assert result.exit_code == 3
    assert "is gone since it was indexed; bring it back, or where its folder was moved, tell" in result.stderr
    assert "`stdsearch index --update NEWPLACE --out ARCHIVE`" in result.stderr


def test_clips_of_other_recordings_are_cut_when_one_is_gone(run: Run, archive_folder: Path, tmp_path: Path) -> None:
    asked = ("evening", "/S T AA R/", "--limit", 9)
    recordings = [hit[2] for hit in lines(run(*asked))]
    gone = archive_folder / "audio" / recordings[0]
    moved = gone.rename(archive_folder / "moved.wav")
    try:
        result = run(*asked, "--clips", "clips")
    finally:
        moved.rename(gone)
    assert result.exit_code == 3
    (told,) = result.stderr.splitlines()
    assert told.startswith(f"stdsearch: {gone}: is gone")
    others = [recording for recording in recordings if recording != recordings[0]]
    assert len(list((tmp_path / "clips").iterdir())) == len(others) > 0


def test_there_is_no_archive(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stdsearch", "query", "nowhere", "star"]
    told = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert told.returncode == 1
    (line,) = told.stderr.splitlines()
    assert line.startswith("stdsearch: nowhere")


def test_a_full_disk_is_told_in_a_line(archive_folder: Path) -> None:
    command = [sys.executable, "-m", "stdsearch", "query", str(archive_folder / "archive"), "evening"]
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr == "stdsearch: the output: No space left on device; make room and run again\n"


def test_a_name_that_no_disk_takes_is_told_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stdsearch", "index", "a" * 300, "--out", "archive"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr == f"stdsearch: {tmp_path / ('a' * 300)}: File name too long; give it a shorter name\n"


def test_a_hyphen_is_the_standard_output(run: Run, tmp_path: Path) -> None:
    assert run("evening", "--format", "csv", "--output", "-").stdout == run("evening", "--format", "csv").stdout != ""
    assert not (tmp_path / "-").exists()


def test_a_closed_output_is_no_error(archive_folder: Path, tmp_path: Path) -> None:
    asked = shlex.join([sys.executable, "-m", "stdsearch", "query", str(archive_folder / "archive"), "evening"])
    clips = shlex.quote(str(tmp_path / "clips"))
    told = subprocess.run(f"{asked} --limit 1 --clips {clips} >&-", shell=True, capture_output=True, check=False)
    assert (told.returncode, told.stderr) == (0, b"")
    assert len(list((tmp_path / "clips").iterdir())) == 1


def test_a_closed_standard_error_is_no_error(archive_folder: Path) -> None:
    """As where a daemon closes it."""
    asked = shlex.join([sys.executable, "-m", "stdsearch", "query", str(archive_folder / "archive"), "evening"])
    closed, ordinary = (
        subprocess.run(f"{asked} {how}", shell=True, capture_output=True, check=True, text=True).stdout
        for how in ("2>&-", "")
    )
    assert closed == ordinary != ""


def test_what_duckdb_tells_of_an_interrupt_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> None:
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(stdsearch.cli.cli, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        stdsearch.cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "stdsearch: interrupted\n")


CHANGED = "has changed since it was indexed"


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ({"bytes": 1}, CHANGED),
        ({"mtime_ns": 0, "sha256": "0" * 64}, CHANGED),  # of the same size
        ({"mtime_ns": 0}, ""),  # touched
        ({"mtime_ns": None}, ""),
    ],
)
def test_only_what_was_indexed_gets_clips(
    archive_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    facts: dict[str, Any],
    complaint: str,
) -> None:
    recording = replace(next(iter(open_archive(archive_folder / "archive").recordings.values())), **facts)
    found = [TermHits("1", "star", (Hit(recording.path, 1, 0.0, 0.2, 0.5, True),))]
    assert cut_clips({recording.path: recording}, found, tmp_path) == [recording.path] * bool(complaint)
    assert complaint in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == (not complaint)


def test_a_recording_that_cannot_be_reached_gets_no_clips(
    archive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = next(iter(open_archive(archive_folder / "archive").recordings.values()))
    found = [TermHits("1", "star", (Hit(recording.path, 1, 0.0, 0.2, 0.5, True),))]
    denied = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(Path, "stat", lambda path: (_ for _ in ()).throw(denied))
    assert cut_clips({recording.path: recording}, found, tmp_path) == [recording.path]
    assert "cannot be reached (Permission denied)" in capsys.readouterr().err


def test_a_kwslist_that_could_not_tell_recordings_apart_is_refused_before_the_search(
    tmp_path: Path, encoder: SpanEncoder, encoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        (tmp_path / "audio" / folder).mkdir(parents=True)
        write_wav(tmp_path / "audio" / folder / "1.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 8000))
    settings = SlicingSettings(speech_only=False)
    sources = find_sources([tmp_path / "audio"])
    build_archive(sources, tmp_path / "archive", encoder, encoder_file=encoder_file, settings=settings)
    asked = [str(tmp_path / "archive"), "star", "--format", "kwslist"]
    alone = CliRunner().invoke(query, [*asked, "--where", "path LIKE 'a%'"])
    assert 'file="1"' in alone.stdout
    monkeypatch.setattr("stdsearch.search.Archive.search_all", lambda *_, **__: pytest.fail("searched"))
    refused = CliRunner().invoke(query, asked)
    assert "'a/1.wav' and 'b/1.wav': both have the file id '1'" in str(refused.exception)


@pytest.mark.parametrize("format_", ["table", "csv"])
def test_a_pipe_that_nobody_reads_is_no_failure(archive_folder: Path, format_: str) -> None:
    command = [
        sys.executable,
        "-m",
        "stdsearch",
        "query",
        str(archive_folder / "archive"),
        "evening",
        "--format",
        format_,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_what_goes_to_a_pipe_is_utf_8(archive_folder: Path) -> None:
    command = [sys.executable, "-m", "stdsearch", "query", str(archive_folder / "archive"), "naïve", "--format", "csv"]
    told = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=True)
    assert "naïve" in told.stdout.decode()


def test_a_process_that_ends_at_once_has_written_all(archive_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stdsearch", "query", str(archive_folder / "archive"), "evening"]
    command += ["--format", "csv"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    subprocess.run([*command, "--output", str(tmp_path / "hits.csv")], check=True)
    assert told.stdout == (tmp_path / "hits.csv").read_text() != ""


def test_an_archive_of_no_segments_has_no_hits(tmp_path: Path, encoder: SpanEncoder, encoder_file: Path) -> None:
    write_wav(tmp_path / "brief.wav", np.full(800, 0.1))
    sources = find_sources([tmp_path / "brief.wav"])
    build_archive(sources, tmp_path / "archive", encoder, encoder_file=encoder_file, settings=SlicingSettings())
    assert open_archive(tmp_path / "archive").n_segments == 0
    assert lines(CliRunner().invoke(query, [str(tmp_path / "archive"), "star", "--threads", "1"])) == []
