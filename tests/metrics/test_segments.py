"""Segment mode on a conversation small enough to score by hand."""

import numpy as np

from stdsearch.formats.ecf import ECF, Excerpt
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics.coverage import Coverage
from stdsearch.metrics.outcomes import ScoredHits
from stdsearch.metrics.reference import find_occurrences, spoken_words
from stdsearch.metrics.segments import Segments, align_segments, find_segments


def turn(tbeg: float, tend: float, name: str, channel: int = 1) -> RTTMRow:
    return RTTMRow("SPEAKER", "a", channel, tbeg, tend - tbeg, "<NA>", "<NA>", name, None)


def word(tbeg: float, tend: float, ortho: str, name: str) -> RTTMRow:
    return RTTMRow("LEXEME", "a", 1, tbeg, tend - tbeg, ortho, "lex", name, None)


ROWS = [
    turn(1.0, 5.0, "Ann"),
    turn(4.0, 6.0, "Bob"),  # overlaps: one segment, 1 to 6
    turn(4.5, 5.5, "Cem"),  # within it
    turn(8.0, 9.0, "Ann"),
    turn(9.0, 10.0, "Bob"),  # touches: a segment of its own
    turn(19.0, 21.0, "Ann"),  # leaves the excerpt
    word(1.0, 2.0, "salt", "Ann"),
    word(2.0, 3.0, "lake", "Ann"),
    word(5.0, 6.0, "salt", "Bob"),
    word(8.5, 9.0, "salt", "Ann"),
    word(9.0, 9.4, "lake", "Ann"),  # Ann's word in Bob's turn
    word(9.4, 9.8, "lake", "Bob"),
]
EXCERPTS = ECF((Excerpt("a.wav", 1, 0.0, 20.0, "cts"), Excerpt("a.wav", 2, 0.0, 20.0, "cts")), 40.0)
COVERAGE = Coverage.from_ecf(EXCERPTS)
WORDS = spoken_words(ROWS, COVERAGE, word_gap=0.5)


def segments() -> Segments:
    return find_segments(EXCERPTS, ROWS, COVERAGE, WORDS)


def outcomes(hits: list[tuple[int, float, float]], *texts: str) -> list[tuple[int, float, str]]:
    """Term, begin of the target (or of the hit) and label, for hits given as term, midpoint and score."""
    term, middle, score = (np.array(column) for column in zip(*hits, strict=True)) if hits else (np.empty(0),) * 3
    n = len(hits)
    scored = ScoredHits(
        term.astype(int), np.zeros(n, dtype=int), middle - 0.25, np.full(n, 0.5), score, np.ones(n, dtype=bool)
    )
    table = align_segments(scored, find_occurrences(WORDS, texts, compare_normalize="lowercase"), segments())
    begin = np.where(table.is_target, table.target_tbeg, table.hit_tbeg)
    return sorted(zip(table.term.tolist(), begin.tolist(), table.label.tolist(), strict=True))


def test_turns_and_pauses_are_the_trials():
    found = segments()
    spans = list(zip(found.channel.tolist(), found.tbeg.tolist(), found.tend.tolist(), strict=True))
    first = [(0, 0.0, 1.0), (0, 1.0, 6.0), (0, 6.0, 8.0), (0, 8.0, 9.0), (0, 9.0, 10.0), (0, 10.0, 20.0)]
    assert spans == [*first, (1, 0.0, 20.0)]  # a silent channel is one pause


def test_words_belong_to_their_speakers_turns():
    assert segments().of_word.tolist() == [1, 1, 3, -1, 1, 4]  # by voice: Ann's four words, then Bob's two


def test_a_segment_is_one_target_however_often_it_holds_the_term():
    assert outcomes([], "salt") == [(0, 1.0, "MISS"), (0, 8.0, "MISS")]


def test_a_term_across_two_segments_is_no_target():
    assert outcomes([], "salt lake") == [(0, 1.0, "MISS")]


def test_only_the_best_hit_in_a_segment_counts():
    assert outcomes([(0, 1.5, 0.3), (0, 5.5, 0.9), (0, 7.0, 0.2), (0, 7.5, 0.1)], "salt") == [
        (0, 1.0, "CORR"),
        (0, 6.75, "FA"),
        (0, 8.0, "MISS"),
    ]


def test_hits_outside_all_segments_are_left_out():
    assert outcomes([(0, 25.0, 0.9)], "yes") == []


def test_terms_are_apart():
    assert outcomes([(1, 1.5, 0.9)], "salt", "lake") == [
        (0, 1.0, "MISS"),
        (0, 8.0, "MISS"),
        (1, 1.0, "CORR"),
        (1, 9.0, "MISS"),
    ]
