import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.kwslist import DetectedTerm, Hits, KWSList, read_kwslist, write_kwslist
from stdsearch.types import Hit

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
NAMES = TEXT.filter(bool)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.floats(-1e9, 1e9)
HITS = st.lists(st.builds(Hit, NAMES, st.integers(0, 999), TIMES, st.floats(0, 1e6), NUMBERS, st.booleans()))
DETECTED = st.builds(DetectedTerm, NAMES, NUMBERS, st.none() | st.integers(0, 10**9 - 1), HITS.map(Hits.from_hits))
KWSLISTS = st.builds(
    KWSList,
    st.lists(DETECTED, unique_by=lambda detected: detected.kwid, max_size=4).map(tuple),
    TEXT,
    TEXT,
    TEXT,
    st.none() | NUMBERS,
    st.none() | NUMBERS,
)


def plain(kwslist: KWSList) -> tuple:
    """The list as values that compare: columns as hits."""
    detected = [(d.kwid, d.search_time, d.oov_count, d.hits.to_hits()) for d in kwslist.detected]
    head = (kwslist.kwlist_filename, kwslist.language, kwslist.system_id)
    return detected, head, (kwslist.min_score, kwslist.max_score)


@given(KWSLISTS, st.booleans(), st.sampled_from(["kwslist.xml", "kwslist.xml.gz"]))
def test_round_trip_in_both_spellings(tmp_path_factory, kwslist, std2006, name):
    path = tmp_path_factory.mktemp("kwslist") / name
    write_kwslist(kwslist, path, std2006=std2006)
    assert plain(read_kwslist(path)) == plain(kwslist)


def test_std2006_by_hand(tmp_path):
    path = tmp_path / "stdlist.xml"
    path.write_text(
        '<stdlist termlist_filename="t.xml" indexing_time="68.5" language="english" index_size="12" system_id="s">\n'
        '<detected_termlist termid="T-1" term_search_time="0.5" oov_term_count="NA">\n'
        '<term file="a" channel="2" tbeg="1" dur="0.5" score="-3.0" decision="NO"/></detected_termlist></stdlist>'
    )
    kwslist = read_kwslist(path)
    hit = Hit("a", 2, 1.0, 0.5, -3.0, False)
    assert plain(kwslist) == ([("T-1", 0.5, None, (hit,))], ("t.xml", "english", "s"), (None, None))
    assert (kwslist.indexing_time, kwslist.index_size) == ("68.5", "12")


def test_columns():
    hits = Hits.from_hits([Hit("a", 1, 0.0, 1.0, 0.5, True), Hit("b", 2, 3.0, 1.0, 0.25, False)])
    assert len(hits) == 2
    assert hits.file.tolist() == ["a", "b"]
    assert [column.dtype for column in (hits.channel, hits.tbeg, hits.decision)] == [np.int64, np.float64, np.bool_]


LIST = '<detected_kwlist kwid="1" search_time="0" oov_count="0">\n'
HEAD = f'<kwslist kwlist_filename="" language="" system_id="">\n{LIST}'
HIT = '<kw file="a" channel="1" tbeg="0" dur="1" score="0.5" decision="YES"/>\n'
TAIL = "</detected_kwlist></kwslist>"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (HEAD + HIT + HIT.replace("0.5", "NaN") + TAIL, 4, "score 'NaN' is not a finite number"),
        (HEAD + HIT + HIT.replace('dur="1"', 'dur="-1"') + TAIL, 4, "dur '-1' is negative"),
        (HEAD + HIT + HIT.replace("YES", "yes") + TAIL, 4, "decision 'yes' must be 'YES' or 'NO'"),
        (HEAD + HIT + HIT.replace('channel="1"', 'channel="99999999999999999999"') + TAIL, 4, "channel"),
        (HEAD + HIT + HIT.replace('file="a" ', "") + TAIL, 4, "<kw> lacks file"),
        (HEAD + HIT + TAIL.replace("</kwslist>", LIST + TAIL), 4, "the kwid '1' occurs twice"),
        (HEAD.replace('oov_count="0"', 'oov_count="none"') + TAIL, 2, "oov_count 'none' is not a whole number"),
        (HEAD.replace('id="">', 'id="" min_score="-inf">') + TAIL, 1, "min_score '-inf' is not a finite number"),
        (HEAD + HIT, 4, "not well-formed XML (no element found); the file is empty or cut short"),
    ],
)
def test_refusals(tmp_path, content, line, reason):
    path = tmp_path / "kwslist.xml"
    path.write_text(content)
    with pytest.raises(StdSearchError) as refusal:
        read_kwslist(path)
    assert str(refusal.value).startswith(f"{path}:{line}: {reason}")
