from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stdsearch.encoder import SpanEncoder
from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONE_INDEX
from stdsearch.verifier import MARGIN
from tests.train.conftest import PHONE_SECONDS, WORDS
from train.confusable import distance
from train.frame_data import FrameData
from train.hard_negatives import N_SYMBOLS
from train.manifest import Word, read_manifest
from train.pairs import EASY, HARD, MATCH, PairBatches, Pairs, PairSettings, Phrases, Place, collate

SETTINGS = PairSettings(pairs=10, words=(0.5, 0.3, 0.2), neighbours=2, hard_distance=1.0)


@pytest.fixture(scope="module")
def data(manifest: Path, encoder: SpanEncoder, tmp_path_factory: pytest.TempPathFactory) -> FrameData:
    utterances = [u for u in read_manifest(manifest) if u.split == "train"]
    return FrameData(utterances, manifest.parent, encoder, tmp_path_factory.mktemp("frames"), copies=1)


@pytest.fixture(scope="module")
def phrases(data: FrameData) -> Phrases:
    return Phrases(data, SETTINGS)


def test_too_few_phrases_are_told(data: FrameData) -> None:
    with pytest.raises(StdSearchError, match="0 phrases of 20 to 24 phones in 6 utterances"):
        Phrases(data, replace(SETTINGS, min_phones=20))


def test_where_nothing_is_said_twice_phrases_are_enrolled_by_text(
    manifest: Path, encoder: SpanEncoder, tmp_path: Path
) -> None:
    once = FrameData(read_manifest(manifest)[:1], manifest.parent, encoder, tmp_path)
    trial = Phrases(once, SETTINGS).match(np.random.default_rng(0), repeated=True)
    assert trial.example is None


def said(data: FrameData, place: Place) -> list[str]:
    borders = data.borders[place.utterance].tolist()
    words = data.utterances[place.utterance].words
    return [word.text for word in words[borders.index(place.first) : borders.index(place.last)]]


def test_phrases_are_all_runs_of_words(data: FrameData, phrases: Phrases) -> None:
    places = [place for found in phrases.places.values() for place in found]
    assert len(places) == len(set(places)) == 6 * (3 + 2 + 1)
    for phones, found in phrases.places.items():
        for place in found:
            assert phones == tuple(p for word in said(data, place) for p in WORDS[word])
    assert sorted(phrases.all[0]) == sorted(WORDS.values())
    assert all(len({place.utterance for place in phrases.places[p]}) > 1 for n in phrases.repeated for p in n)


def test_a_pause_and_the_number_of_phones_end_a_phrase(data: FrameData) -> None:
    apart = Phrases(data, replace(SETTINGS, max_gap=0.05))
    assert [len(n) for n in apart.all] == [3, 0, 0]
    short = Phrases(data, replace(SETTINGS, max_phones=8, min_phones=5))
    assert {len(phones) for phones in short.places} == {5, 8}


def test_a_match_is_the_same_phrase_elsewhere(data: FrameData, phrases: Phrases) -> None:
    random = np.random.default_rng(0)
    speakers = []
    for _ in range(50):
        trial = phrases.match(random, repeated=True)
        assert trial.kind == MATCH
        assert trial.example is not None
        assert phrases.phones(trial.query) == trial.phones == phrases.phones(trial.example)
        assert trial.query.utterance != trial.example.utterance
        speakers.append([data.utterances[place.utterance].speaker for place in (trial.query, trial.example)])
    assert sum(one != other for one, other in speakers) > 45
    assert any(phrases.match(random, repeated=False).example is None for _ in range(50))


def test_mismatches_are_other_phrases(phrases: Phrases) -> None:
    random = np.random.default_rng(0)
    spoken = 0
    for _ in range(50):
        easy = phrases.easy(random, repeated=False)
        assert easy.kind == EASY
        assert easy.example is not None
        assert phrases.phones(easy.query) != easy.phones == phrases.phones(easy.example)
        hard = phrases.hard(random, spoken=False)
        assert hard.kind == HARD
        assert hard.phones != phrases.phones(hard.query)
        # one word was exchanged
        assert distance(hard.phones, phrases.phones(hard.query)) <= max(map(len, WORDS.values()))
        if hard.example:
            spoken += 1
            assert phrases.phones(hard.example) == hard.phones
        assert phrases.hard(random, spoken=True).example is not None
    assert 0 < spoken <= 50


def test_another_pronunciation_of_a_word_is_not_confusable_with_it(
    manifest: Path, encoder: SpanEncoder, tmp_path: Path
) -> None:
    def spelt(word: Word) -> Word:
        return replace(word, text={"stars": "come"}.get(word.text, word.text))

    utterances = [replace(u, words=tuple(map(spelt, u.words))) for u in read_manifest(manifest)]
    same = Phrases(FrameData(utterances, manifest.parent, encoder, tmp_path), SETTINGS)
    assert [other for other, _ in same.confusable[WORDS["come"]]] == [WORDS["evening"]]
    assert {other for other, _ in same.confusable[WORDS["evening"]]} == {WORDS["come"], WORDS["stars"]}


def test_where_nothing_is_confusable_a_mismatch_is_easy(data: FrameData) -> None:
    strict = Phrases(data, replace(SETTINGS, hard_distance=0.1))
    assert strict.hard(np.random.default_rng(0), spoken=False).kind == EASY


def equal(a: Pairs, b: Pairs) -> bool:
    return all(torch.equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(Pairs))


def test_search_takes_runs_of_phones_for_a_phrase(data: FrameData) -> None:
    crossing = Phrases(data, replace(SETTINGS, crossing=1.0, hard_distance=0.7))
    random, across = np.random.default_rng(0), 0
    for _ in range(100):
        trial = crossing.crossing(random, spoken=True)
        if trial is None:
            continue
        heard = crossing.phones(trial.query)
        assert trial.kind == HARD
        assert trial.example is not None
        assert SETTINGS.min_phones <= len(heard)
        assert 0 < distance(trial.phones, heard) <= 0.7 * len(trial.phones)
        borders = data.borders[trial.query.utterance].tolist()
        across += trial.query.first not in borders or trial.query.last not in borders
    assert across > 10
    assert len(crossing.words(Place(0, 1, 7))) == sum(1 < at < 7 for at in data.borders[0]) + 1


def test_a_batch_follows_from_seed_and_step(data: FrameData, phrases: Phrases) -> None:
    batches = PairBatches(phrases, 1)
    other = PairBatches(Phrases(data, SETTINGS), 1)
    other(0)
    assert equal(batches(5), other(5))
    assert not equal(batches(5), batches(6))
    assert not equal(batches(5), PairBatches(phrases, 2)(5))


def test_a_batch_holds_the_shares_asked_for(phrases: Phrases) -> None:
    batch = PairBatches(phrases, 0)(0)
    assert Counter(batch.kind.tolist()) == {MATCH: 4, EASY: 2, HARD: 4}
    assert batch.query.shape[:2] == (10, int(batch.query_length.max()))
    assert batch.example.shape[:2] == (10, int(batch.example_length.max()))
    assert (batch.query_length > 0).all()
    beyond = torch.arange(batch.query.shape[1]) >= batch.query_length[:, None]
    assert not batch.query[beyond].any()


def test_phones_lie_where_they_are_said(data: FrameData, phrases: Phrases) -> None:
    """Exact borders: frames begin the margin before the phrase, phones last 0.12 s, words lie 0.1 s apart."""
    random = np.random.default_rng(0)
    trials = [phrases.match(random, repeated=True) for _ in range(20)]
    batch = collate(trials, phrases)
    assert not len(batch.edited_row)
    for row, trial in enumerate(trials):
        tbeg = data.times[trial.query.utterance][trial.query.first, 0]
        first = max(0, round((tbeg - MARGIN) / 0.04))
        n = int(batch.phone_length[row])
        assert batch.phones[row, :n].tolist() == [PHONE_INDEX[phone] for phone in trial.phones]
        spans = batch.query_spans[row, :n].numpy()
        assert spans[0, 0] * 0.02 + first * 0.04 == pytest.approx(tbeg, abs=1e-4)
        assert np.diff(spans, axis=1)[:, 0] * 0.02 == pytest.approx(PHONE_SECONDS, abs=0.002)
        assert not batch.query_spans[row, n:].any()
        frames = batch.query[row, : int(batch.query_length[row])].numpy()
        assert np.array_equal(frames, data.frames(trial.query.utterance)[first : first + len(frames)])
    mismatches = collate([phrases.easy(random, repeated=True)], phrases)
    assert not mismatches.query_spans.any()
    assert not mismatches.example_spans.any()


def test_negatives_are_made_of_matches_alone(data: FrameData) -> None:
    batch = PairBatches(Phrases(data, replace(SETTINGS, edited=1.0, edits=1)), 0)(3)
    assert batch.edited_row.tolist() == (batch.kind == MATCH).nonzero()[:, 0].tolist()
    for row, source, n in zip(batch.edited_row, batch.edited_source, batch.edited_steps, strict=True):
        n_steps = 2 * int(batch.query_length[row])
        kept = source[:n][source[:n] >= N_SYMBOLS] - N_SYMBOLS
        assert (kept.diff() > 0).all()
        assert kept.max() < n_steps
        lost, put = n_steps - len(kept), int(n) - len(kept)
        assert lost + put > 0
        assert not source[n:].any()
    assert not len(PairBatches(Phrases(data, replace(SETTINGS, edited=0.0)), 0)(3).edited_row)
