"""`stdsearch score` as its users run it: what it prints, writes and refuses."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from stdsearch.cli.score import score
from stdsearch.cli.score_tables import Comparison, print_tables, vocabulary_of
from stdsearch.errors import StdSearchError
from stdsearch.formats.ecf import read_ecf
from stdsearch.formats.kwlist import read_kwlist
from stdsearch.formats.kwslist import read_kwslist
from stdsearch.formats.rttm import read_rttm
from stdsearch.metrics import score as score_kwslist
from stdsearch.types import Term

SUMMARY = [  # the schema that other tools read
    "terms", "targets", "non_targets", "hits", "correct", "correct_rejected", "false_alarms", "misses", "p_fa",
    "p_miss", "atwv", "decision_threshold", "mtwv", "mtwv_p_fa", "mtwv_p_miss", "mtwv_threshold", "otwv", "stwv", "map",
    "total_seconds", "trials", "beta",
]  # fmt: skip

ECF = """<ecf source_signal_duration="1000" language="english" version="1">
<excerpt audio_filename="audio/news.sph" channel="1" tbeg="0.000" dur="600.000" source_type="bnews"/>
<excerpt audio_filename="audio/call.sph" channel="1" tbeg="0.000" dur="400.000" source_type="cts"/>
</ecf>"""
RTTM = """;; a reference of a few words
SPEAKER news 1 9.000 20.000 <NA> <NA> Ann <NA>
LEXEME news 1 10.000 0.500 yes lex Ann <NA>
LEXEME news 1 20.000 0.500 Salt lex Ann <NA>
LEXEME news 1 20.500 0.500 lake lex Ann <NA>
LEXEME call 1 30.000 0.500 yes lex Bob <NA>
LEXEME call 1 50.000 0.600 听到 lex Bob <NA>
"""
KWLIST = """<kwlist ecf_filename="e" version="1" language="english" encoding="UTF-8" compareNormalize="lowercase">
<kw kwid="KW-1"><kwtext>yes</kwtext>
<kwinfo><attr><name>vocabulary</name><value>IV</value></attr></kwinfo></kw>
<kw kwid="KW-2"><kwtext>salt lake</kwtext>
<kwinfo><attr><name>vocabulary</name><value>OOV</value></attr></kwinfo></kw>
<kw kwid="KW-3"><kwtext>到</kwtext></kw>
</kwlist>"""
KWSLIST = """<kwslist kwlist_filename="k" language="english" system_id="{system}">
<detected_kwlist kwid="KW-1" search_time="1" oov_count="0">
<kw file="news" channel="1" tbeg="10.100" dur="0.400" score="0.9" decision="YES"/>
<kw file="call" channel="1" tbeg="99.000" dur="0.400" score="0.8" decision="{decision}"/>
<kw file="lost" channel="1" tbeg="1.000" dur="0.400" score="0.7" decision="YES"/>
</detected_kwlist>
<detected_kwlist kwid="KW-2" search_time="1" oov_count="1">
<kw file="news" channel="1" tbeg="20.100" dur="0.800" score="0.6" decision="YES"/>
</detected_kwlist>
</kwslist>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "ecf.xml": ECF,
        "ref.rttm": RTTM,
        "kwlist.xml": KWLIST,
        "ours.xml": KWSLIST.format(system="ours", decision="NO"),
        "theirs.xml": KWSLIST.format(system="theirs", decision="YES"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def arguments(folder: Path, *options: str, kwslist: str = "ours.xml") -> list[str]:
    inputs = {"--ecf": "ecf.xml", "--rttm": "ref.rttm", "--kwlist": "kwlist.xml"}
    return [str(folder / kwslist), *(part for k, v in inputs.items() for part in (k, str(folder / v))), *options]


def printed(folder: Path, *options: str) -> str:
    result = CliRunner().invoke(score, arguments(folder, *options), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def page(folder: Path, *options: str) -> dict:
    return json.loads(printed(folder, "--json", *options))


def table(folder: Path, *options: str) -> list[dict[str, str]]:
    return list(csv.DictReader(printed(folder, *options).splitlines(), delimiter="\t"))


def test_what_is_undefined_in_a_draw_has_no_interval(folder):
    """Of a system that has no hit on a term that occurs, as MTWV, which then has no threshold."""
    hits = KWSLIST.replace("KW-1", "KW-3").replace(
        '<kw file="news" channel="1" tbeg="20.100"', '<kw file="lost" channel="1" tbeg="1"'
    )
    (folder / "ours.xml").write_text(hits.format(system="ours", decision="NO"), encoding="utf-8")
    assert page(folder, "--bootstrap", "5")["intervals"]["mtwv"] == {"low": None, "high": None}
    row = table(folder, "--bootstrap", "5")[0]
    assert (row["mtwv_low"], row["mtwv_high"]) == ("", "")


def test_json_has_the_schema(folder):
    result = page(folder)
    assert list(result) == ["summary", "terms", "conditions"]
    assert set(SUMMARY) <= set(result["summary"])
    assert [term["kwid"] for term in result["terms"]] == ["KW-1", "KW-2", "KW-3"]
    for term in result["terms"]:
        assert set(SUMMARY) <= set(term)
    assert result["summary"]["atwv"] == pytest.approx(0.75)
    assert result["terms"][2]["atwv"] is None
    assert result["conditions"]["cost"] == 0.1
    assert result["conditions"]["hits_outside"] == 1
    assert result["conditions"]["vocabulary"]["OOV"]["atwv"] == pytest.approx(1.0)


def test_a_pipe_gets_tab_separated_values_worst_term_first(folder):
    rows = table(folder)
    assert [(row["kwid"], row["vocabulary"]) for row in rows] == [
        ("ALL", ""), ("ALL", "IV"), ("ALL", "OOV"), ("KW-1", "IV"), ("KW-2", "OOV"), ("KW-3", ""),
    ]  # fmt: skip
    assert (rows[0]["atwv"], rows[0]["p_fa"], rows[0]["p_miss"], rows[0]["beta"]) == (
        "0.7500",
        "0.00000",
        "0.250",
        "999.9",
    )
    assert rows[-1]["atwv"] == ""


def test_a_terminal_gets_tables_with_the_vocabularies_apart(folder):
    inputs = (read_ecf(folder / "ecf.xml"), read_rttm(folder / "ref.rttm"), read_kwlist(folder / "kwlist.xml"))
    reports = {name: score_kwslist(read_kwslist(folder / f"{name}.xml"), *inputs) for name in ("ours", "theirs")}
    screen = io.StringIO()
    for shown in (Comparison({"ours": reports["ours"]}), Comparison(reports)):
        print_tables(shown, Console(file=screen, width=120))
    text = screen.getvalue()
    order = ["Summary", "ours IV", "ATWV", "Terms in vocabulary", "KW-1", "Terms out of", "KW-2", "KW-3", "ours loses"]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert "0.7500" in text


def test_brackets_in_names_are_no_markup(folder):
    (folder / "kwlist.xml").write_text(KWLIST.replace("<kwtext>yes<", "<kwtext>yes [bold][/b]<"), encoding="utf-8")
    (folder / "ref.rttm").write_text(RTTM, encoding="utf-8")
    inputs = (read_ecf(folder / "ecf.xml"), read_rttm(folder / "ref.rttm"), read_kwlist(folder / "kwlist.xml"))
    report = score_kwslist(read_kwslist(folder / "ours.xml"), *inputs)
    screen = io.StringIO()
    for shown in (Comparison({"my [/test]": report}), Comparison({"my [/test]": report, "[red]": report})):
        print_tables(shown, Console(file=screen, width=160))
    assert screen.getvalue().count("yes [bold][/b]") == 2
    assert "my [/test] loses against [red]" in screen.getvalue()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--cost", "1"], {"beta": 9999.0}),
        (["--value", "10", "--prior", "0.5"], {"beta": pytest.approx(0.01)}),
        (["--tolerance", "0"], {"correct": 2}),
        (["--count-terms-without-targets"], {"terms": 3}),
        (["--pooled"], {"terms": 1, "p_miss": pytest.approx(1 / 3)}),
        (["--segments"], {"trials": 4, "targets": 2, "misses": 0}),
        (["--source-type", "cts"], {"terms": 1, "trials": 400, "misses": 1}),
        (["--where-term", "vocabulary=^O"], {"terms": 1, "targets": 1}),
        (["--split-characters", "--keep-ascii-words"], {"terms": 3, "targets": 4}),
        (["--word-gap", "0"], {"targets": 3}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options(folder, options, expected):
    summary = page(folder, *options)["summary"]
    assert {name: summary[name] for name in expected} == expected


def test_letter_case_can_be_ignored(folder):
    (folder / "kwlist.xml").write_text(KWLIST.replace('"lowercase"', '""'), encoding="utf-8")
    assert page(folder)["summary"]["targets"] == 2  # "Salt" is not "salt"
    assert page(folder, "--ignore-case")["summary"]["targets"] == 3


def test_compare_gives_both_systems_and_the_interval_of_the_difference(folder):
    result = page(folder, "--compare", str(folder / "theirs.xml"), "--bootstrap", "50")
    assert result["conditions"]["system"] == "ours"
    assert result["compared_with"]["conditions"]["system"] == "theirs"
    gained = result["difference"]["atwv"]
    assert gained["value"] == pytest.approx(999.9 / 998 / 2)  # one false alarm less, in one term of two
    assert gained["low"] == 0.0
    assert gained["high"] == pytest.approx(999.9 / 998)
    assert result["intervals"]["atwv"].keys() == {"low", "high"}
    rows = table(folder, "--compare", str(folder / "theirs.xml"), "--bootstrap", "50")
    assert rows[-1]["system"] == "difference"
    assert rows[-1]["atwv"] == f"{999.9 / 998 / 2:.4f}"
    assert page(folder, "--compare", str(folder / "theirs.xml"), "--bootstrap", "50") == result


def test_files_are_written(folder):
    det = folder / "det.csv"
    both = ("--compare", str(folder / "theirs.xml"), "--bootstrap", "0")
    printed(folder, "--det", str(det), "--alignment", str(folder / "a.csv"), *both)
    assert {row["system"] for row in csv.DictReader(det.open())} == {"ours", "theirs"}
    rows = list(csv.DictReader((folder / "a.csv").open(encoding="utf-8")))
    assert [row["alignment"] for row in rows] == ["CORR", "CORR!DET", "MISS", "CORR"]
    printed(folder, "--det", str(folder / "det.svg"))
    assert "</svg>" in (folder / "det.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "options",
    [
        ["--prior", "1"], ["--cost", "nan"], ["--tolerance", "-1"], ["--where-term", "vocabulary"],
        ["--where-term", "vocabulary=("], ["--det", "det.pdf"], ["--delete-hyphens"], ["--bootstrap", "-1"],
        ["--pooled", "--bootstrap", "10"], ["--cost", "1e300", "--value", "1e-300"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_options_are_usage_errors(folder, options):
    result = CliRunner().invoke(score, arguments(folder, *options))
    assert result.exit_code == 2


def test_recordings_that_only_one_file_of_the_reference_names_are_told(folder):
    reference = RTTM.replace(" call ", " call_2 ") + "SPEAKER tape_3 1 0 1 <NA> <NA> Bob <NA>\n"
    (folder / "ref.rttm").write_text(reference, encoding="utf-8")
    result = CliRunner().invoke(score, arguments(folder))
    assert result.exit_code == 0
    ecf, rttm = folder / "ecf.xml", folder / "ref.rttm"
    assert result.stderr.splitlines() == [
        f"stdsearch: {rttm}: left out 2 recordings not in {ecf}, first 'call_2'",
        f"stdsearch: {ecf}: 1 recording without a row in {rttm}, first 'call'; every YES there is a false alarm",
        f"stdsearch: ours: left out 1 hit in no channel of {ecf}",
    ]


def test_names_that_agree_need_no_note(folder):
    result = CliRunner().invoke(score, arguments(folder, "--source-type", "cts"))
    assert result.stderr.count("\n") == 1  # of the hits


def test_vocabulary_is_told_by_any_attribute():
    assert vocabulary_of(Term("k", "t", {"OOV status": "iv"})) == "IV"
    assert vocabulary_of(Term("k", "t", {"length": "3"})) == ""


GOOD_KWSLIST = KWSLIST.format(system="ours", decision="NO")
BILLION_LAUGHS = '<!DOCTYPE kwslist [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' + GOOD_KWSLIST


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ours.xml", GOOD_KWSLIST[:300], "ours.xml:5:"),
        ("ours.xml", "", "ours.xml:1:"),
        ("ours.xml", "[\n", "hits in another format become a KWSList by `stdsearch convert"),
        ("ours.xml", BILLION_LAUGHS, "ours.xml:1:"),
        ("ours.xml", GOOD_KWSLIST.replace("KW-2", "KW-7"), 'the kwid "KW-7" is not in'),
        ("ours.xml", GOOD_KWSLIST.replace('"0.9"', '"nan"'), "ours.xml:3:"),
        ("ours.xml", GOOD_KWSLIST.replace('"0.400"', '"-0.400"'), "ours.xml:3:"),
        ("ours.xml", GOOD_KWSLIST.replace('"KW-2"', '"KW-1"'), "ours.xml:7:"),
        ("ours.xml", GOOD_KWSLIST.replace("news", "new").replace("call", "cal"), "ours.xml: no hit lies"),
        ("ours.xml", GOOD_KWSLIST[: GOOD_KWSLIST.index(">") + 1] + "</kwslist>", "ours.xml: holds no hit"),
        ("kwlist.xml", KWLIST.replace("KW-2", "KW-1"), "kwlist.xml:4:"),
        ("kwlist.xml", KWLIST[: KWLIST.index(">") + 1] + "</kwlist>", "kwlist.xml: holds no term"),
        ("ecf.xml", ECF[: ECF.index(">") + 1] + "</ecf>", "ecf.xml: holds no excerpt"),
        ("ecf.xml", ECF.replace('"600.000"', '"-600.000"'), "ecf.xml:2:"),
        ("ref.rttm", "", "ref.rttm: none of the 3 terms occurs"),
        ("ref.rttm", RTTM.replace("0.500 yes lex", "yes lex"), "ref.rttm:3:"),
    ],
    ids=[
        "truncated", "empty file", "JSON", "billion laughs", "unknown kwid", "NaN score", "negative duration",
        "kwid twice", "recordings unknown", "no hits", "duplicate terms", "no terms", "no excerpts", "negative excerpt",
        "no words", "short line",
    ],
)  # fmt: skip
def test_bad_input_is_one_line(folder, name, text, message):
    (folder / name).write_text(text, encoding="utf-8")
    result = CliRunner().invoke(score, arguments(folder))
    assert isinstance(result.exception, StdSearchError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""


def test_the_command_ends_with_one_line_and_exit_code_1(folder):
    command = [sys.executable, "-m", "stdsearch", "score", *arguments(folder, kwslist="absent.xml")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("stdsearch: ")
    assert "absent.xml: cannot be read" in result.stderr
    assert result.stderr.count("\n") == 1


def test_help_and_scoring_load_nothing_heavy(folder):
    heavy = {"torch", "faiss", "numba", "duckdb", "pyarrow", "torchaudio", "matplotlib"}

    def loaded(*arguments: str) -> set[str]:
        command = [sys.executable, "-X", "importtime", "-m", "stdsearch", "score", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        return {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}

    assert not loaded("--help") & {*heavy, "scipy", "numpy", "rich"}
    assert not loaded(*arguments(folder)) & heavy
