import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.kwlist import COMPARE_NORMALIZE, ENCODINGS, KWList, read_kwlist, write_kwlist
from stdsearch.types import Term

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


HEAD = '<kwlist ecf_filename="" version="" language="" encoding="UTF-8" compareNormalize="">\n'


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
