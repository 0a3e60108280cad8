import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.formats.ecf import ECF, Excerpt
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics.coverage import Coverage
from stdsearch.metrics.reference import find_occurrences, spoken_words

COVERAGE = Coverage.from_ecf(ECF((Excerpt("a.wav", 1, 0.0, 1e6, "cts"), Excerpt("a.wav", 2, 0.0, 1e6, "cts")), 0.0))


def word(tbeg: float, dur: float, ortho: str, *, stype: str = "lex", name: str = "Ann", channel: int = 1) -> RTTMRow:
    return RTTMRow("LEXEME", "a", channel, tbeg, dur, ortho, stype, name, None)


def found(rows, text: str, *, gap: float = 0.5, normalize: str = "lowercase") -> list[tuple[float, float]]:
    words = spoken_words(rows, COVERAGE, word_gap=gap)
    occurrences = find_occurrences(words, [text], compare_normalize=normalize)
    spans = zip(words.tbeg[occurrences.first].tolist(), words.tend[occurrences.last].tolist(), strict=True)
    return sorted(spans)


def test_words_of_a_term_follow_within_the_gap():
    rows = [word(0.0, 1.0, "salt"), word(1.5, 1.0, "lake"), word(3.0, 0.5, "salt"), word(4.001, 0.5, "lake")]
    assert found(rows, "salt lake") == [(0.0, 2.5)]
    assert found(rows, "  salt   lake ") == [(0.0, 2.5)]
    assert found(rows, "salt lake", gap=0.501) == [(0.0, 2.5), (3.0, 4.501)]
    assert found(rows, "salt lake", gap=0.4999) == []


def test_gap_is_measured_between_rounded_times():
    assert found([word(0.1, 0.2, "a"), word(0.8, 0.1, "b")], "a b", gap=0.5) == [(0.1, 0.9)]


def test_letter_case():
    rows = [word(0.0, 1.0, "Salt"), word(1.0, 1.0, "LAKE")]
    assert found(rows, "sALT lake") == [(0.0, 2.0)]
    assert found(rows, "salt lake", normalize="") == []
    assert found(rows, "Salt lake", normalize="") == [(0.0, 2.0)]  # the further words never mind their case


@pytest.mark.parametrize("stype", ["frag", "fp"])
def test_fragments_and_filled_pauses_start_nothing_and_are_stepped_over(stype):
    rows = [word(0.0, 1.0, "salt"), word(1.0, 0.4, "la-", stype=stype), word(1.5, 1.0, "lake")]
    assert found(rows, "salt lake") == [(0.0, 2.5)]
    assert found(rows, "la-") == []
    assert found(rows, "salt la-") == []
    far = [word(0.0, 1.0, "salt"), word(1.6, 0.4, "uh", stype=stype), word(2.1, 1.0, "lake")]
    assert found(far, "salt lake") == []  # each step must keep to the gap


def test_words_of_others_do_not_come_between():
    rows = [
        word(0.0, 1.0, "salt"),
        word(0.5, 1.0, "yes", name="Bob"),
        word(1.0, 1.0, "lake"),
        word(1.0, 1.0, "lake", channel=2),
    ]
    assert found(rows, "salt lake") == [(0.0, 2.0)]
    assert found(rows, "yes lake") == []


def test_only_lexemes_of_covered_channels_count():
    other = RTTMRow("NON-LEX", "a", 1, 0.0, 1.0, "salt", "other", "Ann", None)
    elsewhere = RTTMRow("LEXEME", "b", 1, 0.0, 1.0, "salt", "lex", "Ann", None)
    assert found([other, elsewhere, word(5.0, 1.0, "salt")], "salt") == [(5.0, 6.0)]
    assert found([], "salt") == []


def test_overlapping_occurrences_all_count():
    rows = [word(float(i), 1.0, ortho) for i, ortho in enumerate(["a", "a", "b", "a", "a", "b"])]
    assert found(rows, "a a") == [(0.0, 2.0), (3.0, 5.0)]
    assert found(rows, "a b") == [(1.0, 3.0), (4.0, 6.0)]


speech = st.lists(
    st.tuples(
        st.integers(0, 30), st.sampled_from("abA"), st.sampled_from(["lex", "lex", "frag", "fp"]), st.sampled_from("XY")
    ),
    max_size=25,
)


@given(speech, st.sampled_from(["a", "a b", "b a a", "A b"]), st.sampled_from(["lowercase", ""]))
def test_equals_walking_from_word_to_word(parts, text, normalize):
    rows = [word(t / 4, 0.25, o, stype=s, name=n) for t, o, s, n in parts]
    rows.sort(key=lambda row: row.tbeg)
    first, *further = text.split()
    expected = []
    for voice in "XY":
        own = [row for row in rows if row.name == voice]
        for i, row in enumerate(own):
            same = row.ortho == first if normalize == "" else row.ortho.lower() == first.lower()
            if not same or row.stype != "lex":
                continue
            at, left = i, list(further)
            while left and at + 1 < len(own) and round(own[at + 1].tbeg - round(own[at].tbeg + 0.25, 4), 4) <= 0.5:
                at += 1
                if own[at].stype != "lex":
                    continue
                if own[at].ortho.lower() != left.pop(0).lower():
                    break
            else:
                if not left:
                    expected.append((row.tbeg, round(own[at].tbeg + 0.25, 4)))
    assert found(rows, text, normalize=normalize) == sorted(expected)


def test_many_terms_keep_their_numbers():
    words = spoken_words([word(0.0, 1.0, "b"), word(2.0, 1.0, "a")], COVERAGE, word_gap=0.5)
    occurrences = find_occurrences(words, ["a", "c", "b", ""], compare_normalize="lowercase")
    np.testing.assert_array_equal(occurrences.term, [0, 2])
