from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.ecf import ECF, Excerpt
from stdsearch.formats.kwlist import KWList
from stdsearch.formats.kwslist import DetectedTerm, Hits, KWSList
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics import ScoringSettings, Sources, score
from stdsearch.types import Hit, Term


def word(tbeg: float, ortho: str, file: str = "news") -> RTTMRow:
    return RTTMRow("LEXEME", file, 1, tbeg, 0.5, ortho, "lex", "Ann", None)


ECF_ = ECF((Excerpt("audio/news.sph", 1, 0.0, 600.0, "bnews"), Excerpt("audio/call.sph", 1, 0.0, 400.0, "cts")), 1000.0)
RTTM = [word(10.0, "yes"), word(20.0, "salt"), word(20.5, "lake"), word(30.0, "yes", "call"), word(700.0, "yes")]
KWLIST = KWList(
    (
        Term("KW-1", "yes", {"vocabulary": "IV", "length": "3"}),
        Term("KW-2", "salt lake", {"vocabulary": "OOV", "length": "9"}),
        Term("KW-3", "never", {"vocabulary": "OOV"}),
    ),
    language="english",
)


def kwslist(*lists: tuple[str, list[Hit]], **head: float) -> KWSList:
    return KWSList(tuple(DetectedTerm(kwid, 0.1, 0, Hits.from_hits(hits)) for kwid, hits in lists), **head)


HITS = kwslist(
    ("KW-1", [Hit("news", 1, 10.1, 0.4, 0.9, True), Hit("call", 1, 30.0, 0.5, 0.4, False)]),
    ("KW-2", [Hit("news", 1, 20.0, 1.0, 0.8, True), Hit("call", 1, 99.0, 0.5, 0.7, True)]),
    ("KW-3", [Hit("news", 1, 50.0, 0.5, 0.6, True), Hit("news", 1, 599.8, 0.5, 0.99, True)]),
)


def test_worked_case():
    s = score(HITS, ECF_, RTTM, KWLIST).summary
    assert (s.terms, s.targets, s.hits, s.correct, s.misses) == (2, 3, 4, 2, 1)
    assert (s.non_targets, s.false_alarms, s.correct_rejected) == (1, 1, 0)
    assert (s.total_seconds, s.trials, s.beta) == (1000.0, 1000, pytest.approx(999.9))
    assert s.p_miss == pytest.approx((1 / 2 + 0) / 2)
    assert s.p_fa == pytest.approx((0 + 1 / 999) / 2)
    assert s.atwv == pytest.approx(1 - s.p_miss - 999.9 * s.p_fa)
    assert (s.decision_threshold, s.nist_decision_threshold) == (0.6, 0.5)
    assert (s.mtwv, s.mtwv_threshold) == (pytest.approx(0.75), 0.8)
    assert s.otwv == s.stwv == 1.0
    assert s.map == 1.0


def test_terms_carry_the_same_figures_and_stay_in_order():
    report = score(HITS, ECF_, RTTM, KWLIST)
    page = report.to_json()
    assert set(page) == {"summary", "terms", "conditions"}
    assert [term["kwid"] for term in page["terms"]] == ["KW-1", "KW-2", "KW-3"]
    assert set(page["terms"][0]) == {"kwid", "term", *asdict(report.summary)}
    first, _, never = report.per_term
    assert (first.targets, first.correct, first.misses, first.atwv) == (2, 1, 1, 0.5)
    assert (never.atwv, never.p_miss, never.map) == (None, None, None)
    assert (never.false_alarms, never.p_fa) == (1, 1 / 1000)


def test_a_hit_partly_outside_its_excerpt_is_left_out():
    assert score(HITS, ECF_, RTTM, KWLIST).per_term[2].hits == 1


def test_terms_without_targets_add_false_alarms_only_when_counted():
    counted = score(HITS, ECF_, RTTM, KWLIST, ScoringSettings(count_terms_without_targets=True)).summary
    assert counted.terms == 3
    assert counted.p_fa == pytest.approx((0 + 1 / 999 + 1 / 1000) / 3)
    assert counted.p_miss == pytest.approx(0.25)


def test_pooled_has_one_row():
    report = score(HITS, ECF_, RTTM, KWLIST, ScoringSettings(pooled=True))
    assert [term.kwid for term in report.terms] == ["Pooled"]
    assert report.summary.p_miss == pytest.approx(1 / 3)
    assert report.summary.p_fa == pytest.approx(2 / 997)  # the false alarm of the term that never occurs counts too


def test_source_type_restricts_excerpts_and_duration():
    s = score(HITS, ECF_, RTTM, KWLIST, ScoringSettings(source_types=("CTS",))).summary
    assert (s.terms, s.targets, s.trials, s.correct, s.misses) == (1, 1, 400, 0, 1)
    both = score(HITS, ECF_, RTTM, KWLIST, ScoringSettings(source_types=("cts", "bnews"))).summary
    assert both == score(HITS, ECF_, RTTM, KWLIST).summary


def test_attributes_restrict_the_terms():
    chosen = score(HITS, ECF_, RTTM, KWLIST, ScoringSettings(where=(("vocabulary", "^OOV$"), ("length", "[0-9]"))))
    assert [term.kwid for term in chosen.terms] == ["KW-2"]
    assert chosen.summary.trials == 1000
    lacking = replace(KWLIST, terms=(*KWLIST.terms[:2], Term("KW-3", "yes")))
    for pattern in (".*", "^(?!OOV)"):  # which an attribute that is missing would meet, were it empty
        chosen = score(HITS, ECF_, RTTM, lacking, ScoringSettings(where=(("vocabulary", pattern),)))
        assert "KW-3" not in [term.kwid for term in chosen.terms]


def test_word_gap_and_tolerance():
    apart = [*RTTM[:2], word(21.0, "lake"), *RTTM[3:]]
    assert score(HITS, ECF_, apart, KWLIST).summary.targets == 3
    assert score(HITS, ECF_, apart, KWLIST, ScoringSettings(word_gap=0.4)).summary.targets == 2
    late = kwslist(("KW-1", [Hit("news", 1, 10.8, 0.4, 0.9, True)]))  # its middle is 0.5 s past the word's end
    assert score(late, ECF_, RTTM, KWLIST).summary.correct == 1
    assert score(late, ECF_, RTTM, KWLIST, ScoringSettings(tolerance=0.4)).summary.correct == 0


def test_words_of_another_script():
    kwlist = KWList((Term("KW-1", "听到 喂"), Term("KW-2", "CAFÉ")), language="cantonese")
    rows = [word(1.0, "听到"), word(1.5, "喂"), word(5.0, "café")]
    hits = kwslist(("KW-1", [Hit("news", 1, 1.0, 1.0, 0.5, True)]), ("KW-2", [Hit("news", 1, 5.0, 0.5, 0.5, True)]))
    report = score(hits, ECF_, rows, kwlist)
    assert report.summary.atwv == 1.0
    assert [row[4] for row in report.alignment()] == ["听到 喂", "CAFÉ"]


def test_alignment_rows():
    rows = list(score(HITS, ECF_, RTTM, KWLIST).alignment())
    assert rows == [
        ("english", "news", "1", "KW-1", "yes", "10.000", "10.5000", "10.100", "10.5", "0.900", "YES", "CORR"),
        ("english", "call", "1", "KW-1", "yes", "30.000", "30.5000", "30.000", "30.5", "0.400", "NO", "MISS"),
        ("english", "news", "1", "KW-2", "salt lake", "20.000", "21.0000", "20.000", "21", "0.800", "YES", "CORR"),
        ("english", "call", "1", "KW-2", "salt lake", "", "", "99.000", "99.5", "0.700", "YES", "FA"),
        ("english", "news", "1", "KW-3", "never", "", "", "50.000", "50.5", "0.600", "YES", "FA"),
    ]


@settings(max_examples=30)
@given(st.integers(-400_000, 400_000).map(lambda n: n / 1000))
def test_shifting_all_times_shifts_nothing(shift):
    shift = shift + 500.0
    ecf = replace(ECF_, excerpts=tuple(replace(e, tbeg=round(e.tbeg + shift, 3)) for e in ECF_.excerpts))
    rows = [row._replace(tbeg=round(row.tbeg + shift, 3)) for row in RTTM]
    moved = tuple(
        replace(term, hits=replace(term.hits, tbeg=np.round(term.hits.tbeg + shift, 3))) for term in HITS.detected
    )
    there = score(replace(HITS, detected=moved), ecf, rows, KWLIST)
    here = score(HITS, ECF_, RTTM, KWLIST)
    assert replace(there.summary, total_seconds=1000.0) == here.summary
    assert there.summary.total_seconds == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kwslist": kwslist(("KW-9", []))}, 'hits.xml: the kwid "KW-9" is not in terms.xml'),
        ({"kwslist": kwslist()}, "hits.xml: holds no hit"),
        ({"kwslist": kwslist(("KW-1", []))}, "hits.xml: holds no hit"),
        (
            {"kwslist": kwslist(("KW-1", [Hit("news.sph", 1, 10.0, 0.5, 1.0, True)]))},
            "hits.xml: no hit lies in a recording and channel of ecf.xml; compare the names, here 'news.sph', ther",
        ),
        ({"ecf": ECF((), 0.0)}, "ecf.xml: holds no excerpt"),
        ({"kwlist": KWList(())}, "terms.xml: holds no term"),
        ({"rttm": []}, "ref.rttm: none of the 3 terms occurs"),
        (
            {"settings": ScoringSettings(source_types=("confmtg",))},
            "ecf.xml: no excerpt of source type confmtg; it has",
        ),
        ({"settings": ScoringSettings(where=(("speed", "."),))}, "terms.xml: no term has the attribute 'speed'"),
        ({"settings": ScoringSettings(where=(("length", "7"),))}, "terms.xml: no term meets length=7"),
        (
            {"ecf": ECF((Excerpt("news", 1, 10, 1, "cts"),), 1), "rttm": [word(10, "yes"), word(10.5, "yes")]},
            "ecf.xml: 1 trials are too few for 2 targets",
        ),
        (
            {"ecf": replace(ECF_, excerpts=(replace(ECF_.excerpts[0], dur=1e20),))},
            "ecf.xml: covers 1e+20 seconds, more than can be counted",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message):
    inputs = {"kwslist": HITS, "ecf": ECF_, "rttm": RTTM, "kwlist": KWLIST, **change}
    with pytest.raises(StdSearchError) as caught:
        score(**inputs, sources=Sources("hits.xml", "ecf.xml", "ref.rttm", "terms.xml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"cost": 0.0}, {"value": -1.0}, {"prior": 1.0}, {"prior": float("nan")}, {"tolerance": -0.1}, {"prior": 1e-320}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ScoringSettings(**wrong)
