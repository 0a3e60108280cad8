from dataclasses import replace
from pathlib import Path

import pytest
from clips import Clip, pronounce
from hypothesis import given
from hypothesis import strategies as st
from phrase_trials import (
    OFFICIAL,
    SMALL,
    EditDistances,
    Kind,
    Row,
    choose_rows,
    expand_four,
    expand_two,
    phrase_clips,
)

from train.manifest import PhoneSpan, Utterance, Word

PHONES = {
    "cat": ("K", "AE", "T"),
    "cap": ("K", "AE", "P"),
    "scat": ("S", "K", "AE", "T"),
    "dog": ("D", "AO", "G"),
    "evening": ("IY", "V", "N", "IH", "NG"),
    "kat": ("K", "AE", "T"),
    "the cat": ("DH", "AH", "K", "AE", "T"),
    "a dog": ("AH", "D", "AO", "G"),
}
ONE_EACH = replace(SMALL, anchors=1, positives=1, negatives=2)


def clip(text: str, speaker: str, number: int = 0) -> Clip:
    return Clip(text, speaker, Path(f"{speaker}{number}.wav"), 0.0, 1.0)


# Phrases


def utterance(*words: tuple[str, float, float]) -> Utterance:
    spoken = tuple(Word(text, b, e, (PhoneSpan("AH", b, e),)) for text, b, e in words)
    return Utterance("u", "dev", "", "anna", Path("u.wav"), 2, 7.0, 9.0, "", spoken)


def test_phrases_are_words_in_a_row_of_half_a_second_to_two():
    said = utterance(("a", 0.0, 0.2), ("cat", 0.2, 0.7), ("sat", 0.7, 1.3), ("down", 2.0, 2.9))
    clips = phrase_clips([said], Path("data"), OFFICIAL)
    texts = [c.text for c in clips]
    assert texts == ["cat", "sat", "down", "a cat", "cat sat", "a cat sat"]  # "a" is short, a pause ends a phrase
    assert clips[-1] == Clip("a cat sat", "anna", Path("data/u.wav"), 0.0, 1.3, 2, 7.0, 9.0)
    drawl = utterance(("well", 0.0, 1.2), ("well", 1.2, 2.1))
    assert [c.text for c in phrase_clips([drawl], Path(), OFFICIAL)] == ["well", "well"]


def test_phrases_have_four_words_at_most():
    said = utterance(*((letter, i * 0.3, i * 0.3 + 0.3) for i, letter in enumerate("abcde")))
    texts = [c.text for c in phrase_clips([said], Path(), OFFICIAL)]
    assert texts == ["a b", "b c", "c d", "d e", "a b c", "b c d", "c d e", "a b c d", "b c d e"]


# Rows


def said_by(rows: list[Row], clips: list[Clip], kind: Kind) -> list[tuple[str, str]]:
    return [(clips[row.anchor].text, clips[row.comparison].text) for row in rows if row.kind is kind]


def test_hard_negatives_are_the_nearest_and_easy_ones_the_others():
    clips = [
        clip("cat", "anna"),
        clip("cat", "bo"),
        *(clip(text, "cleo") for text in ("cap", "scat", "dog", "evening")),
    ]
    for seed in range(5):
        rows = choose_rows(clips, PHONES, ONE_EACH, seed=seed)
        assert said_by(rows, clips, Kind.POSITIVE) == [("cat", "cat")] * 2  # either is anchor once
        assert {text for _, text in said_by(rows, clips, Kind.HARD)} == {"cap", "scat"}
        assert {text for _, text in said_by(rows, clips, Kind.EASY)} == {"dog", "evening"}
        assert len(rows) == 2 * (1 + 2 + 2)


def test_what_sounds_alike_is_no_negative():
    clips = [clip("cat", "anna"), clip("cat", "bo"), clip("kat", "cleo"), clip("cap", "cleo"), clip("dog", "cleo")]
    rows = choose_rows(clips, PHONES, replace(ONE_EACH, negatives=1))
    assert said_by(rows, clips, Kind.HARD) == [("cat", "cap")] * 2
    assert said_by(rows, clips, Kind.EASY) == [("cat", "dog")] * 2


def test_negatives_have_as_many_words():
    clips = [clip(text, speaker) for text in ("cat", "the cat", "a dog", "dog") for speaker in ("anna", "bo")]
    rows = choose_rows(clips, PHONES, replace(ONE_EACH, negatives=1))
    pairs = said_by(rows, clips, Kind.HARD)
    assert set(pairs) == {("cat", "dog"), ("dog", "cat"), ("the cat", "a dog"), ("a dog", "the cat")}
    assert not said_by(rows, clips, Kind.EASY)  # the only other phrase is the hard one


def test_speakers_of_a_row_differ():
    texts = ("cat", "cap", "scat", "dog", "evening")
    clips = [clip(text, speaker, number) for text in texts for speaker in ("anna", "bo", "cleo") for number in (0, 1)]
    rows = choose_rows(clips, PHONES, SMALL)
    # of each phrase of each speaker two clips; three hard phrases leave one easy one, by either of the others
    assert len(rows) == 15 * 2 * (2 + 3 + 2)
    assert all(clips[row.anchor].speaker != clips[row.comparison].speaker for row in rows)

    clips = [clip("cat", "anna"), clip("cat", "bo"), clip("cap", "anna"), clip("dog", "anna"), clip("evening", "bo")]
    rows = choose_rows(clips, PHONES, replace(ONE_EACH, negatives=1))
    assert said_by(rows, clips, Kind.HARD) == [("cat", "evening"), ("cat", "cap")]  # anna's own cap is not for anna


def test_the_official_rule_asks_for_six_clips_and_three_other_speakers():
    others = [clip("cat", name) for name in ("bo", "cleo", "dora", "emil")]
    partners = [clip(text, "bo") for text in ("cap", "scat", "dog", "evening")]
    own = [clip("cat", "anna", number) for number in range(6)]
    assert not choose_rows([*own[:5], *others, *partners], PHONES, OFFICIAL)
    assert not choose_rows([*own, *others[:2], *partners], PHONES, OFFICIAL)
    clips = [*own, *others, *partners]
    rows = choose_rows(clips, PHONES, OFFICIAL)
    assert len({row.anchor for row in rows}) == 3
    assert {clips[row.anchor].speaker for row in rows} == {"anna"}
    positives = [row for row in rows if row.kind is Kind.POSITIVE]
    assert len(positives) == 9
    assert len({clips[row.comparison].speaker for row in positives}) == 3
    assert len(said_by(rows, clips, Kind.HARD)) == 9


def test_a_seed_is_a_choice():
    clips = [clip(text, speaker) for text in PHONES for speaker in ("anna", "bo", "cleo")]
    assert choose_rows(clips, PHONES, SMALL, seed=1) == choose_rows(clips, PHONES, SMALL, seed=1)
    assert choose_rows(clips, PHONES, SMALL, seed=1) != choose_rows(clips, PHONES, SMALL, seed=2)


# Distances


def naive_distance(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    if not a or not b:
        return len(a) + len(b)
    change = naive_distance(a[1:], b[1:]) + (a[0] != b[0])
    return min(change, naive_distance(a[1:], b) + 1, naive_distance(a, b[1:]) + 1)


pronunciations = st.lists(st.sampled_from(["K", "AE", "T"]), max_size=5).map(tuple)


@given(pronunciations, st.lists(pronunciations, min_size=1, max_size=4))
def test_distances_equal_the_recursion(phones, others):
    assert EditDistances(others)(phones).tolist() == [naive_distance(phones, other) for other in others]


def test_distances_count_phones():
    distances = EditDistances(pronounce(["cat", "cap", "cats", "at", "thunder"]))(("K", "AE", "T"))
    assert distances.tolist()[:4] == [0, 1, 1, 1]


# Trials

ROWS = [
    Row(0, 1, Kind.POSITIVE),
    Row(0, 2, Kind.EASY),
    Row(0, 3, Kind.HARD),
    Row(0, 3, Kind.HARD),  # another draw of the same
]


def listed(trials) -> list[tuple[int, int, bool]]:
    return list(zip(trials.query.tolist(), trials.enrolled.tolist(), trials.target.tolist(), strict=True))


def test_four_trials_a_negative_row():
    assert listed(expand_four(ROWS, Kind.EASY)) == [(0, 0, True), (0, 2, False), (2, 0, False), (2, 2, True)]
    assert len(listed(expand_four(ROWS, Kind.HARD))) == 8


def test_two_trials_a_row_positive_or_negative():
    assert listed(expand_two(ROWS, Kind.EASY)) == [(1, 0, True), (0, 1, True), (2, 0, False), (0, 2, False)]
    assert sum(target for *_, target in listed(expand_two(ROWS, Kind.HARD))) == 2


def test_no_row_no_trial():
    with pytest.raises(ValueError, match="not enough values"):
        expand_two([], Kind.EASY)
