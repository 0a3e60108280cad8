import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.hits import read_hits, write_hits
from stdsearch.formats.tables import COLUMNS, Facts, best_first, gather
from stdsearch.types import Hit, TermHits

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.floats(-1e9, 1e9)
HITS = st.lists(st.builds(Hit, NAMES, st.integers(0, 999), TIMES, st.floats(0, 1e6), NUMBERS, st.booleans()))
RESULTS = st.lists(
    st.builds(TermHits, NAMES, TEXT, HITS.map(best_first), st.floats(0, 1e6)),
    unique_by=lambda result: result.kwid,
    max_size=4,
)


@given(RESULTS)
@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_json_keeps_everything(tmp_path_factory, name, results):
    path = tmp_path_factory.mktemp("hits") / "hits"
    write_hits(results, path, name)
    assert read_hits(path, name) == (results, {})


@given(RESULTS)
@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_tables_keep_every_hit(tmp_path_factory, name, results):
    path = tmp_path_factory.mktemp("hits") / "hits"
    write_hits(results, path, name)
    kept = [TermHits(result.kwid, result.term, result.hits) for result in results if result.hits]
    assert read_hits(path, name) == (kept, {})


@pytest.mark.parametrize(("name", "between"), [("json", ","), ("jsonl", "\n")])
def test_hits_in_several_archives_come_together(tmp_path, name, between):
    text = TERM % HIT + between + TERM.replace('_seconds": 0', '_seconds": 2') % HIT.replace("0.5", "0.75")
    (tmp_path / "hits").write_text(f"[{text}]" if name == "json" else text)
    hits = tuple(Hit("a", 1, 0.0, 1.0, score, True) for score in (0.75, 0.5))
    assert read_hits(tmp_path / "hits", name) == ([TermHits("1", "ski", hits, 2.0)], {})


def test_json_files_may_be_put_one_behind_the_other(tmp_path):
    other = TermHits("2", "sled", (Hit("b", 1, 0.0, 1.0, 0.5, True),))
    for name, result in (("one", TermHits("1", "ski", ())), ("other", other)):
        write_hits([result], tmp_path / name, "json")
    parts = [(tmp_path / name).read_text() for name in ("one", "other", "one")]
    for between in ("", "\n \n"):
        (tmp_path / "hits").write_text(between.join(parts))
        assert read_hits(tmp_path / "hits", "json") == ([TermHits("1", "ski", ()), other], {})


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.duration("ns"), pa.date32()])
def test_parquet_of_dates_is_refused(tmp_path, kind):
    columns = dict(zip(COLUMNS, (["1"], ["ski"], ["a"], [1], [0.0], [1.0], [0.5], [True]), strict=True))
    columns["tbeg"] = pa.array([2**31 - 1], pa.int32() if kind == pa.date32() else pa.int64()).cast(kind)
    pq.write_table(pa.table(columns), tmp_path / "hits")
    with pytest.raises(StdSearchError, match="its column tbeg is of dates; times are seconds"):
        read_hits(tmp_path / "hits", "parquet")


def test_json_is_what_the_query_command_prints(tmp_path):
    results = [
        TermHits("KW-1", "salt lake", (Hit("a.wav", 1, 0.5, 0.25, 0.75, True),), 0.125),
        TermHits("KW-2", "ski", ()),
    ]
    write_hits(results, tmp_path / "hits.json", "json")
    assert json.loads((tmp_path / "hits.json").read_text()) == [
        {
            "kwid": "KW-1",
            "term": "salt lake",
            "search_seconds": 0.125,
            "hits": [
                {"recording": "a.wav", "channel": 1, "tbeg": 0.5, "dur": 0.25, "score": 0.75, "decision": "YES"},
            ],
        },
        {"kwid": "KW-2", "term": "ski", "search_seconds": 0.0, "hits": []},
    ]


def test_csv_by_hand(tmp_path):
    path = tmp_path / "hits.csv"
    path.write_text(
        "\ufeffscore,kwid,term,recording,channel,tbeg,dur,decision,remark\r\n"
        '0.5,1,"say ""hi"", now","a, b.wav",1,2,0.5,NO,sure?\r\n'
        '0.75,1,"say ""hi"", now","two\nlines",2,3,0.5,YES,\r\n',
        encoding="utf-8",
        newline="",
    )
    (result,), _ = read_hits(path, "csv")
    assert result == TermHits(
        "1",
        'say "hi", now',
        (Hit("two\nlines", 2, 3.0, 0.5, 0.75, True), Hit("a, b.wav", 1, 2.0, 0.5, 0.5, False)),
    )


def test_facts_of_recordings_stand_beside_hits(tmp_path):
    facts = Facts(("place, time", "weight"), {"a.wav": ('Ulm, "1962"', None), "b.wav": (None, float("nan"))})
    hits = tuple(Hit(name, 1, 0.5, 0.25, 0.75, True) for name in ("a.wav", "b.wav"))
    for name in ("csv", "json"):
        write_hits([TermHits("KW-1", "so", hits)], tmp_path / name, name, facts=facts)
    assert (tmp_path / "csv").read_text().splitlines() == [
        'kwid,term,recording,channel,tbeg,dur,score,decision,"place, time",weight',
        'KW-1,so,a.wav,1,0.500,0.250,0.750,YES,"Ulm, ""1962""",',
        "KW-1,so,b.wav,1,0.500,0.250,0.750,YES,,nan",
    ]
    (term,) = json.loads((tmp_path / "json").read_text())
    assert [hit["metadata"] for hit in term["hits"]] == [
        {"place, time": 'Ulm, "1962"', "weight": None},
        {"place, time": None, "weight": None},
    ]


def test_gather_keeps_the_order_of_terms_and_of_equal_scores():
    def hit(tbeg, score):
        return Hit("a", 1, tbeg, 1.0, score, True)

    rows = [("2", "b", hit(0, 0.5)), ("1", "a", hit(0, 0.1)), ("2", "b", hit(1, 0.9)), ("2", "b", hit(2, 0.5))]
    assert gather(rows) == [
        TermHits("2", "b", (hit(1, 0.9), hit(0, 0.5), hit(2, 0.5))),
        TermHits("1", "a", (hit(0, 0.1),)),
    ]


HEAD = "kwid,term,recording,channel,tbeg,dur,score,decision\n"
ROW = "1,ski,a.wav,1,0,1,0.5,YES\n"
HIT = '{"recording": "a", "channel": 1, "tbeg": 0, "dur": 1, "score": 0.5, "decision": "YES"}'
TERM = '{"kwid": "1", "term": "ski", "search_seconds": 0, "hits": [%s]}'


@pytest.mark.parametrize(
    ("name", "content", "where", "reason"),
    [
        ("csv", "", ":1", "lacks the column kwid, term, recording"),
        ("csv", HEAD.replace("score,", ""), ":1", "lacks the column score; the first line must name the columns"),
        ("csv", HEAD + ROW + ROW.replace("0.5", "NaN"), ":3", "score 'NaN' is not a finite number"),
        ("csv", HEAD + ROW.replace(",1,0,1,", ",1,0,-1,"), ":2", "dur '-1' is negative"),
        ("csv", HEAD + ROW.replace(",1,0,1,", ",1,1e300,1,"), ":2", "tbeg '1e300' is more seconds than a recording"),
        ("csv", HEAD + ROW.replace("YES", "true"), ":2", "decision 'true' must be 'YES' or 'NO'"),
        ("csv", HEAD + ROW.replace("a.wav", ""), ":2", "recording '' is empty"),
        ("csv", HEAD + ROW.replace(",YES", ""), ":2", "the row has more or fewer fields"),
        ("csv", HEAD + ROW + ROW.replace("ski", "sky"), ":3", "the kwid '1' stands for two terms, 'ski' and 'sky'"),
        ("csv", HEAD + '1,"ski', ":2", "unexpected end of data"),
        ("json", '[{"kwid": ', "", "not sound JSON"),
        ("json", " \n", "", "not sound JSON (the file is empty)"),
        ("json", "[] and", "", "not sound JSON"),
        ("json", f"[]{TERM % HIT}", "", "holds no JSON list of terms"),
        ("json", '{"hits": []}', "", "holds no JSON list of terms"),
        ("json", "[" * 100_000, "", "not sound JSON"),
        ("json", f"[{TERM % HIT.replace('0.5', 'NaN')}]", "", "score 'nan' is not a finite number"),
        ("json", f"[{TERM % HIT.replace('0.5', 'true')}]", "", "score is missing or not of type float"),
        ("json", f"[{TERM % HIT.replace('1,', '-1,')}]", "", "channel, tbeg or dur is negative or too large"),
        ("json", f"[{TERM % HIT.replace('0,', '1e10,')}]", "", "channel, tbeg or dur is negative or too large"),
        ("json", f"[{TERM % HIT},{TERM.replace('ski', 'sky') % HIT}]", "", "the kwid '1' stands for two terms"),
        ("json", f"[{TERM % HIT.replace('YES', 'true')}]", "", "decision 'true' must be 'YES' or 'NO'"),
        ("json", "[3]", "", "kwid is missing or not of type str"),
        ("jsonl", TERM % HIT + "\n\n" + TERM % '"hit"', ":3", "decision is missing or not of type str"),
        ("jsonl", TERM % HIT + "\n{", ":2", "Expecting property name"),
        ("parquet", "PAR1, they said", "", "not a sound Parquet file"),
    ],
)
def test_refusals(tmp_path, name, content, where, reason):
    path = tmp_path / "hits"
    path.write_text(content)
    with pytest.raises(StdSearchError) as refusal:
        read_hits(path, name)
    assert str(refusal.value).startswith(f"{path}{where}: {reason}")
    assert "\n" not in str(refusal.value)


def test_parquet_of_something_else(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"kwid": ["1"], "score": [0.5]}), tmp_path / "hits.parquet")
    with pytest.raises(StdSearchError, match="lacks the column term, recording, channel, tbeg, dur, decision"):
        read_hits(tmp_path / "hits.parquet", "parquet")


def test_text_in_parquet_that_is_none_is_refused(tmp_path):
    """Which pyarrow finds out only when it is made Python's text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_hits([TermHits("1", "cafe", (Hit("a", 1, 0.0, 1.0, 0.5, True),))], tmp_path / "hits.parquet", "parquet")
    table = pq.read_table(tmp_path / "hits.parquet")
    term = pa.array([b"caf\xe9"]).cast(pa.string(), safe=False)
    table = table.set_column(table.schema.get_field_index("term"), "term", term)
    pq.write_table(table, tmp_path / "hits.parquet")
    with pytest.raises(StdSearchError, match="not a sound Parquet file"):
        read_hits(tmp_path / "hits.parquet", "parquet")
