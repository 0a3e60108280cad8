"""Batches of cut words, from made speech of three words said twice by each speaker."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stdsearch.errors import StdSearchError
from stdsearch.features import MelSettings
from stdsearch.phones import PHONE_INDEX
from tests.train.conftest import WORDS
from train.augment import LOG_FLOOR, AugmentSettings, augmenter
from train.manifest import read_manifest
from train.speech import SpeechData
from train.words import WordBatches, WordSettings, find_clips

SETTINGS = WordSettings(words=2, instances=3, shortest=0.3, border_noise=0.0)


@pytest.fixture
def data(manifest: Path, tmp_path: Path) -> SpeechData:
    return SpeechData(
        [u for u in read_manifest(manifest) if u.split == "train"], manifest.parent, MelSettings(), tmp_path
    )


def batches(data: SpeechData, settings: WordSettings = SETTINGS) -> WordBatches:
    return WordBatches(data, settings, None, 5)


def test_words_are_chosen_by_duration_and_letters(data: SpeechData) -> None:
    assert Counter(clip.text for clip in find_clips(data, SETTINGS)) == dict.fromkeys(WORDS, 6)
    assert {c.text for c in find_clips(data, replace(SETTINGS, shortest=0.5))} == {"stars", "evening"}
    assert {c.text for c in find_clips(data, replace(SETTINGS, min_letters=6))} == {"evening"}
    assert {c.text for c in find_clips(data, replace(SETTINGS, longest=0.5))} == {"come"}


def test_a_batch_holds_the_words_that_it_claims(data: SpeechData) -> None:
    made = batches(data)
    batch = made(4)
    assert batch.mel.shape[0] == 6
    assert batch.word.tolist() == [0, 0, 0, 1, 1, 1]
    for w, label in enumerate(batch.label.tolist()):
        phones = made.classes[label]
        assert batch.phones[w, : batch.phone_lengths[w]].tolist() == [PHONE_INDEX[p] for p in phones]
        clips = [clip for clip in made.clips if clip.phones == phones]
        for row in range(3 * w, 3 * w + 3):
            mel = batch.mel[row, : batch.lengths[row]]
            starts = [int(data.offset[c.utterance]) + round(c.tbeg / 0.01) for c in clips]
            assert any(torch.equal(mel, data.mel[s : s + len(mel)].float()) for s in starts)
            assert len(mel) == pytest.approx(12 * len(phones), abs=1)
            assert (batch.mel[row, batch.lengths[row] :] == LOG_FLOOR).all()


def test_a_batch_is_the_same_each_time_and_differs_from_the_next(data: SpeechData) -> None:
    noisy = replace(SETTINGS, border_noise=0.02)
    augment = augmenter(AugmentSettings(), MelSettings(), [])
    made = [WordBatches(data, noisy, augment, 5) for _ in range(2)]
    assert torch.equal(made[0](7).mel, made[1](7).mel)
    assert not torch.equal(made[0](7).mel, made[0](8).mel)


def test_an_epoch_passes_every_word_once(data: SpeechData) -> None:
    made = batches(data, replace(SETTINGS, words=1))
    assert made.steps_per_epoch == 3
    for epoch in range(3):
        assert sorted(int(made(3 * epoch + i).label) for i in range(3)) == [0, 1, 2]


def test_an_instance_comes_again_only_when_all_were_taken(data: SpeechData) -> None:
    for step in range(5):
        mel = batches(data, replace(SETTINGS, words=3, instances=6))(step).mel
        assert len({row.numpy().tobytes() for row in mel}) == 18
        mel = batches(data, replace(SETTINGS, words=3, instances=8))(step).mel
        assert len({row.numpy().tobytes() for row in mel}) == 18


def test_more_words_than_there_are_is_all_of_them(data: SpeechData) -> None:
    assert len(batches(data, replace(SETTINGS, words=100))(0).label) == 3


def test_too_few_words_are_told(data: SpeechData) -> None:
    with pytest.raises(StdSearchError, match=r"has 1 words of 0.3 to 2 s and 6 letters or more; give more speech"):
        batches(data, replace(SETTINGS, min_letters=6))


def test_speed_changes_the_lengths(data: SpeechData) -> None:
    augment = augmenter(AugmentSettings(speed=0.3), MelSettings(), [])
    changed = WordBatches(data, SETTINGS, augment, 5)(0)
    plain = batches(data)(0)
    assert changed.lengths.tolist() != plain.lengths.tolist()
    assert (changed.lengths / plain.lengths).numpy() == pytest.approx(1, abs=0.45)
    assert changed.mel.shape[1] == changed.lengths.max()
