"""`stdsearch convert` as it is used from a shell, in this process."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from stdsearch.cli import main

ROOT = Path(__file__).resolve().parents[2]
KWSLIST = """<kwslist kwlist_filename="k.xml" language="english" system_id="s">
<detected_kwlist kwid="KW-1" search_time="0.5" oov_count="0">
<kw file="a" channel="1" tbeg="1" dur="0.5" score="0.9" decision="YES"/>
<kw file="b" channel="1" tbeg="2" dur="0.5" score="0.1" decision="NO"/>
</detected_kwlist></kwslist>"""
KWLIST = """<kwlist ecf_filename="" version="" language="" encoding="UTF-8" compareNormalize="">
<kw kwid="KW-1"><kwtext>salt lake</kwtext></kw></kwlist>"""


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """Runs the command in a directory that holds hits.xml and kwlist.xml: (exit code, stdout, stderr)."""
    (tmp_path / "hits.xml").write_text(KWSLIST)
    (tmp_path / "kwlist.xml").write_text(KWLIST)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["stdsearch", "convert", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return run


def test_to_standard_output(convert):
    assert convert("hits.xml", "-", "--to", "csv", "--kwlist", "kwlist.xml") == (
        0,
        "kwid,term,recording,channel,tbeg,dur,score,decision\n"
        "KW-1,salt lake,a,1,1.000,0.500,0.900,YES\n"
        "KW-1,salt lake,b,1,2.000,0.500,0.100,NO\n",
        "",
    )


@pytest.mark.parametrize("name", ["csv", "json", "jsonl", "kwslist", "parquet"])
def test_from_standard_input(convert, tmp_path, name):
    assert convert("hits.xml", "hits", "--to", name)[0] == 0
    command = [sys.executable, "-m", "stdsearch", "convert", "-", "-", "--to", "srt", "--decision", "yes"]
    given = (tmp_path / "hits").read_bytes()
    for packed in (given, gzip.compress(given)):
        ended = subprocess.run([*command, "--from", name], input=packed, capture_output=True, check=True, cwd=ROOT)
        assert ended.stdout.decode() == "1\n00:00:01,000 --> 00:00:01,500\nKW-1 0.900\n\n"


def test_standard_input_does_not_tell_its_format(convert):
    code, _, err = convert("-", "out.csv")
    assert code == 1
    assert err.startswith("stdsearch: -: the name does not tell the format; name one of kwslist, ")


def test_there_and_back(convert, tmp_path):
    for source, target in [("hits.xml", "1.json"), ("1.json", "2.parquet"), ("2.parquet", "3.csv"), ("3.csv", "4.xml")]:
        assert convert(source, target, "--language", "english", "--system-id", "s") == (0, "", "")
    hits = [line for line in (tmp_path / "4.xml").read_text().splitlines() if "<kw " in line]
    assert hits == [
        '    <kw file="a" channel="1" tbeg="1.000" dur="0.500" score="0.900" decision="YES"/>',
        '    <kw file="b" channel="1" tbeg="2.000" dur="0.500" score="0.100" decision="NO"/>',
    ]


@pytest.mark.parametrize("choice", [("--decision", "yes"), ("--min-score", "0.5"), ("--recording", "a")])
def test_a_choice_of_hits(convert, choice):
    code, out, _ = convert("hits.xml", "-", "--to", "srt", *choice)
    assert (code, out) == (0, "1\n00:00:01,000 --> 00:00:01,500\nKW-1 0.900\n\n")


def test_a_base_name_chooses_the_recording_that_has_it_alone(convert, tmp_path):
    rows = [f"KW-1,ski,{name},1,1,0.5,0.9,YES\n" for name in ("x/anna.wav", "x/bob.wav", "y/bob.wav", "/")]
    (tmp_path / "hits.csv").write_text("".join(["kwid,term,recording,channel,tbeg,dur,score,decision\n", *rows]))
    for name in ("anna.wav", "anna", "x/anna", "x/anna.wav"):
        code, out, _ = convert("hits.csv", "-", "--to", "csv", "--recording", name)
        assert (code, out.splitlines()[1:]) == (0, ["KW-1,ski,x/anna.wav,1,1.000,0.500,0.900,YES"])
    code, _, err = convert("hits.csv", "-", "--to", "csv", "--recording", "bob")
    assert (code, err) == (1, "stdsearch: hits.csv: 'bob' is the name of 2 recordings; give the path of one\n")


def test_labels_checked_by_ear_come_back(convert, tmp_path):
    assert convert("hits.xml", "labels/", "--to", "audacity", "--kwlist", "kwlist.xml")[0] == 0
    assert convert("labels/a.txt", "checked.csv", "--recording", "a")[0] == 0
    assert (tmp_path / "checked.csv").read_text().splitlines()[1] == "salt lake,salt lake,a,1,1.000,0.500,0.900,YES"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.xml", "out.csv"], "missing.xml: cannot be read (No such file or directory)"),
        (["hits.xml", "out"], "out: the name does not tell the format"),
        (["hits.xml", "no/such/out.csv"], "no/such/out.csv: cannot be written (No such file or directory)"),
        (["hits.xml", "out.srt"], "the hits lie in 2 recordings"),
        (
            ["hits.xml", "out.csv", "--recording", "c"],
            "hits.xml: has no hit in the recording 'c'; it has hits in a, b\n",
        ),
        (["hits.xml", "out.csv", "--kwlist", "hits.xml"], "hits.xml:1: unexpected <kwslist>"),
        (["labels.txt", "out.csv"], "labels.txt: labels do not name their recording"),
    ],
)
def test_bad_input_is_one_line(convert, tmp_path, arguments, message):
    (tmp_path / "labels.txt").write_text("0.0\t1.0\tski\n")
    code, out, err = convert(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"stdsearch: {message}")
    assert err.count("\n") == 1


def test_a_kwlist_that_does_not_know_the_term(convert, tmp_path):
    (tmp_path / "kwlist.xml").write_text(KWLIST.replace("KW-1", "KW-2"))
    code, _, err = convert("hits.xml", "out.csv", "--kwlist", "kwlist.xml")
    assert (code, err) == (1, "stdsearch: kwlist.xml: has no term 'KW-1'; give the KWList that was searched\n")
