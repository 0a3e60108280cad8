"""docs/formats.md shows what the code does: its examples are read, and its hits are what is written."""

import io
import re
from pathlib import Path

import pytest

from stdsearch.formats.ecf import ECF, Excerpt, read_ecf
from stdsearch.formats.examples import read_examples
from stdsearch.formats.hits import FORMATS, read_hits, write_hits
from stdsearch.formats.kwlist import KWList, read_kwlist, write_kwlist
from stdsearch.formats.rttm import read_rttm
from stdsearch.types import Hit, Spoken, Term, TermHits

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^```([\w-]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
RECORDING = "audio/talk.wav"
HITS = (Hit(RECORDING, 1, 1.2, 0.65, 0.967, True), Hit(RECORDING, 1, 40.5, 0.62, 0.125, False))
RESULTS = [TermHits("KW-1", "salt lake", HITS, 0.125)]
SHOWN = {"rttm": "rttm-hits"}  # what the page calls the example of a format, where that differs


def written(name: str) -> str:
    stream = io.StringIO()
    write_hits(RESULTS, stream, name, kwlist_filename="kwlist.xml", language="english", system_id="stdsearch")
    return stream.getvalue()


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"jsonl", "parquet", "eaf"}))
def test_hits_are_written_as_shown(name):
    assert written(name).rstrip("\n") == EXAMPLES[SHOWN.get(name, name)].rstrip("\n")


def test_the_excerpt_of_an_eaf_is_of_the_eaf():
    assert set(EXAMPLES["eaf"].splitlines()) <= set(written("eaf").splitlines())


@pytest.mark.parametrize("name", ["csv", "json"])
def test_hits_are_read_as_shown(tmp_path, name):
    (tmp_path / "hits").write_text(EXAMPLES[name])
    (result,), _ = read_hits(tmp_path / "hits", name)
    assert (result.kwid, result.term, result.hits) == ("KW-1", "salt lake", HITS)


def test_nist_files_are_read_as_shown(tmp_path):
    for name in ("ecf", "rttm", "kwlist"):
        (tmp_path / name).write_text(EXAMPLES[name])
    assert read_ecf(tmp_path / "ecf") == ECF((Excerpt(RECORDING, 1, 0.0, 60.0, "bnews"),), 60.0, "english", "1")
    assert [(row.type, row.ortho) for row in read_rttm(tmp_path / "rttm")] == [
        ("SPEAKER", "<NA>"),
        ("LEXEME", "salt"),
        ("LEXEME", "lake"),
    ]
    kwlist = KWList((Term("KW-1", "salt lake", {"vocabulary": "OOV"}),), "ecf.xml", "1", "english")
    assert read_kwlist(tmp_path / "kwlist") == kwlist
    write_kwlist(kwlist, tmp_path / "again")
    assert (tmp_path / "again").read_text() == EXAMPLES["kwlist"]


def test_terms_are_read_as_shown(tmp_path):
    (tmp_path / "terms").write_text(EXAMPLES["terms"])
    terms = Term("KW-1", "salt lake"), Term("KW-harbour", "harbour"), Term("KW-3", "/S T AA R/")
    assert read_kwlist(tmp_path / "terms") == KWList(terms)


def test_examples_are_read_as_shown(tmp_path):
    talk, lake = tmp_path / "talk.wav", tmp_path / "lake.wav"
    talk.touch()
    lake.touch()
    (tmp_path / "examples.tsv").write_text(EXAMPLES["examples"])
    assert read_examples(tmp_path / "examples.tsv") == {
        "KW-1": (Spoken(talk, 61.2, 61.2 + 0.7, 2), Spoken(lake, 0.15, 0.15 + 0.62))
    }
