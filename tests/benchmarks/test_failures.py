from itertools import product

import numpy as np
import pytest
from failures import (
    AGAIN,
    BEHIND,
    BESIDE,
    CAUTIOUS,
    INFLECTED,
    INSIDE,
    NEAR,
    NO_CANDIDATE,
    NOTHING,
    SAME,
    UNLIKE,
    Transcript,
    analyse,
    compare,
    false_hits,
    fit,
    misses,
    same_lemma,
)

from stdsearch.formats.ecf import ECF, Excerpt
from stdsearch.formats.kwlist import KWList
from stdsearch.formats.kwslist import DetectedTerm, Hits, KWSList
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics import Report, score
from stdsearch.types import Term
from train.confusable import distance


def test_fit_is_the_least_distance_to_any_stretch() -> None:
    random = np.random.default_rng(0)
    for n, m in product(range(1, 5), range(6)):
        term, said = ("".join(random.choice(list("abc"), size=k)) for k in (n, m))
        stretches = [said[i:j] for i in range(m + 1) for j in range(i, m + 1)]
        assert fit(term, said) == min(distance(term, stretch) for stretch in stretches)


@pytest.mark.parametrize(
    ("term", "said", "kind"),
    [
        ("sun", ["son"], SAME),
        ("everyone", ["every", "one"], SAME),
        ("doctor", ["the", "doctors"], INFLECTED),
        ("carried", ["carrying"], INFLECTED),
        ("old men", ["old", "man's"], NEAR),
        ("wise kings", ["wise", "king"], INFLECTED),
        ("light", ["delighted"], INSIDE),
        ("table", ["cable"], NEAR),
        ("table", ["moon"], UNLIKE),
        ("table", [], NOTHING),
    ],
)
def test_what_was_said_tells_the_kind_of_error(term: str, said: list[str], kind: str) -> None:
    assert compare(term, said)[0] == kind


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("stop", "stopped", True),
        ("move", "moving", True),
        ("ponies", "pony", True),
        ("great", "greatest", True),
        ("captive", "captive's", True),
        ("sing", "sting", False),
        ("king", "kin", False),
        ("conscious", "consciousness", False),
    ],
)
def test_inflections_are_known_by_their_spelling(one: str, other: str, *, same: bool) -> None:
    assert same_lemma(one, other) is same
    assert same_lemma(other, one) is same


def row(tbeg: float, dur: float, word: str) -> RTTMRow:
    return RTTMRow("LEXEME", "talk", 1, tbeg, dur, word, "lex", "anna", None)


WORDS = [
    row(1.0, 0.5, "light"), row(5.0, 1.0, "delighted"), row(10.0, 0.5, "table"), row(12.0, 0.5, "moon"),
    row(20.0, 0.4, "the"), row(20.4, 0.6, "lights"), row(30.0, 0.5, "table"), row(40.0, 0.5, "sparrow"),
]  # fmt: skip


def scored(hits: dict[str, list[tuple[float, float, float, bool]]]) -> Report:
    """Hits (tbeg, dur, score, decision) of each term over 100 s."""
    terms = tuple(Term(text, text) for text in ("light", "table", "sparrow"))
    detected = tuple(
        DetectedTerm(
            text,
            0.0,
            0,
            Hits.from_columns(["talk"] * len(of_term), [1] * len(of_term), *zip(*of_term, strict=True)),
        )
        for text, of_term in hits.items()
    )
    ecf = ECF((Excerpt("talk.wav", 1, 0.0, 100.0, "bnews"),), 100.0, "english", "1")
    kwlist = KWList(terms, language="english", compare_normalize="lowercase")
    return score(KWSList(detected), ecf, WORDS, kwlist)


HITS = {
    "light": [
        (1.0, 0.5, 0.9, True), (1.4, 0.5, 0.5, False), (5.2, 0.3, 0.8, True), (20.3, 0.6, 0.7, True),
        (60.0, 0.5, 0.2, False),
    ],
    "table": [(11.9, 0.5, 0.6, True), (30.0, 0.5, 0.4, False)],
}  # fmt: skip


def test_false_hits_are_told_apart() -> None:
    kinds = {(hit.term, hit.tbeg): hit.kind for hit in false_hits(scored(HITS), Transcript(WORDS))}
    assert kinds == {
        ("light", 1.4): AGAIN,
        ("light", 5.2): INSIDE,
        ("light", 20.3): INFLECTED,
        ("light", 60.0): NOTHING,
        ("table", 11.9): BESIDE,
    }


def test_what_was_said_yes_to_is_a_false_alarm_however_low_its_score() -> None:
    report = scored({"light": [(60.0, 0.5, 0.01, False), (70.0, 0.5, 0.02, True)]})
    result = analyse(report, Transcript(WORDS))
    assert (result["false_alarms"], result["false_hits"]) == ({NOTHING: 1}, {})
    assert [hit.tbeg for hit in false_hits(report, Transcript(WORDS))] == [70.0]


def test_misses_are_told_apart() -> None:
    report = scored(HITS | {"sparrow": [(40.0, 0.5, 0.3, False)]})
    kinds = misses(report.outcomes)
    by_term = {report.searched[report.outcomes.term[i]].text: str(kinds[i]) for i in np.flatnonzero(kinds != "")}
    assert by_term["sparrow"] == CAUTIOUS
    assert sorted(kinds[kinds != ""]) == sorted([NO_CANDIDATE, BEHIND, CAUTIOUS])


def test_figures_without_the_forgiven_are_higher_and_the_lists_name_the_words() -> None:
    result = analyse(scored(HITS), Transcript(WORDS))
    assert result["forgiven"]["atwv"] > result["as_scored"]["atwv"]
    assert result["false_alarms"] == {INFLECTED: 1, INSIDE: 1, BESIDE: 1}
    worst = result["worst_terms"][0]
    assert worst["term"] == "light"
    assert {alarm["said"] for alarm in worst["false_alarms"]} == {"delighted", "lights"}
    assert result["surest_false_hits"][0]["said"] == "delighted"


def test_words_under_a_hit_lie_there_with_a_third_of_themselves() -> None:
    transcript = Transcript(WORDS)
    assert transcript.under("talk", 1, 20.3, 20.9) == ["lights"]
    assert transcript.under("talk", 1, 20.2, 20.9) == ["the", "lights"]
    assert transcript.under("talk", 1, 5.4, 5.5) == ["delighted"]
    assert transcript.under("other", 1, 0.0, 9.0) == []
