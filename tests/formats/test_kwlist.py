import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.kwlist import COMPARE_NORMALIZE, ENCODINGS, KWList, read_kwlist, write_kwlist
from stdsearch.types import Term

HEAD = '<kwlist ecf_filename="" version="" language="" encoding="UTF-8" compareNormalize="">\n'
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
STRIPPED = TEXT.map(str.strip)
TERMS = st.lists(st.builds(Term, TEXT, STRIPPED, st.dictionaries(STRIPPED, STRIPPED)), unique_by=lambda term: term.kwid)


@given(
    st.builds(
        KWList,
        TERMS.map(tuple),
        TEXT,
        TEXT,
        TEXT,
        st.sampled_from(ENCODINGS),
        st.sampled_from(COMPARE_NORMALIZE),
    ),
    st.booleans(),
)
def test_round_trip_in_both_spellings(tmp_path_factory, kwlist, std2006):
    path = tmp_path_factory.mktemp("kwlist") / "kwlist.xml"
    write_kwlist(kwlist, path, std2006=std2006)
    assert read_kwlist(path) == kwlist


def test_std2006_compares_without_regard_to_case(tmp_path):
    path = tmp_path / "tlist.xml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<termlist ecf_filename="e" language="mandarin" version="1">'
        '<term termid="T-1"><termtext> 對症 </termtext><terminfo></terminfo></term></termlist>',
        encoding="utf-8",
    )
    assert read_kwlist(path) == KWList((Term("T-1", "對症"),), "e", "1", "mandarin", "UTF-8", "lowercase")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_text_has_a_term_a_line(tmp_path, pack):
    path = tmp_path / "terms.txt"
    path.write_bytes(pack("\ufeffsalt lake\r\n\n  \t\nT-7\tharbour\n /S T AA R/ \n對症".encode()))
    terms = Term("KW-1", "salt lake"), Term("T-7", "harbour"), Term("KW-3", "/S T AA R/"), Term("KW-4", "對症")
    assert read_kwlist(path) == KWList(terms)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", ": holds no term; give NIST's XML, or text with a term a line"),
        (b"\n \n", ": holds no term"),
        (b"star\nRIFF\0\0\0WAVE", ":2: is no term; give NIST's XML, or TERM, or KWID and tab and TERM, a line"),
        (b"a\tb\tc\n", ":1: is no term"),
        (b"a\t\n", ":1: is no term"),
        (b"\tstar\n", ":1: is no term"),
        (b"caf\xe9\n", ":1: not UTF-8 text"),
        (b"KW-2\tstar\nlake\n", ":2: the kwid 'KW-2' occurs twice; give every term its own"),
    ],
)
def test_refusals_of_text(tmp_path, content, complaint):
    path = tmp_path / "terms.txt"
    path.write_bytes(content)
    with pytest.raises(StdSearchError) as refusal:
        read_kwlist(path)
    assert str(refusal.value).startswith(f"{path}{complaint}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_xml_is_known_in_every_encoding(tmp_path, encoding):
    path = tmp_path / "kwlist.xml"
    path.write_text(f'\n{HEAD}<kw kwid="1"><kwtext>a</kwtext></kw></kwlist>', encoding=encoding)
    assert read_kwlist(path).terms == (Term("1", "a"),)


@pytest.mark.parametrize("content", ["star\n", f'{HEAD}<kw kwid="KW-1"><kwtext>star</kwtext></kw></kwlist>'])
def test_a_list_may_come_by_a_pipe(content):
    """As from `<(cut -f 1 words)`: what was read to tell the format is not lost."""
    reading, writing = os.pipe()
    os.write(writing, content.encode())
    os.close(writing)
    assert read_kwlist(f"/dev/fd/{reading}").terms == (Term("KW-1", "star"),)
    os.close(reading)


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (HEAD + '<kw kwid="1"/></kwlist>', 2, "the term '1' lacks its <kwtext>"),
        (HEAD + '<kw kwid="1"><kwtext>a</kwtext>\n<kwtext>b</kwtext></kw></kwlist>', 3, "the term '1' has two texts"),
        (
            HEAD + '<kw kwid="1"><kwtext>a</kwtext></kw>\n<kw kwid="1"><kwtext>b</kwtext></kw></kwlist>',
            3,
            "the kwid '1' occurs twice",
        ),
        (
            HEAD + '<kw kwid="1"><kwtext>a</kwtext><kwinfo>\n<attr><name>x</name></attr></kwinfo></kw></kwlist>',
            3,
            "an <attr> of the term '1' lacks its <name> or <value>",
        ),
        (HEAD.replace("UTF-8", "EBCDIC") + "</kwlist>", 1, "encoding 'EBCDIC' must be 'UTF-8' or"),
        (HEAD.replace('ize=""', 'ize="upper"') + "</kwlist>", 1, "compareNormalize 'upper' must be 'lowercase' or ''"),
        (HEAD.replace('version="" ', "") + "</kwlist>", 1, "<kwlist> lacks version"),
        (HEAD.replace('compareNormalize=""', "") + "</kwlist>", 1, "<kwlist> lacks compareNormalize"),
        (HEAD + '<kw kwid="1"><kwtext>a</kwtext></kw>', 2, "not well-formed XML (no element found)"),
    ],
)
def test_refusals(tmp_path, content, line, reason):
    path = tmp_path / "kwlist.xml"
    path.write_text(content)
    with pytest.raises(StdSearchError) as refusal:
        read_kwlist(path)
    assert str(refusal.value).startswith(f"{path}:{line}: {reason}")
