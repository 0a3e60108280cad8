"""Batches: planted utterances whose phones are told apart by the mel bin that they light up."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stdsearch.audio import write_wav
from stdsearch.errors import StdSearchError
from stdsearch.features import MelSettings
from stdsearch.phones import PHONE_INDEX
from train.augment import Augment, AugmentSettings
from train.data import Batches, DataSettings, edit, inflect, same_place
from train.manifest import PhoneSpan, Utterance, Word
from train.speech import SpeechData

QUIET = AugmentSettings(
    speed=0, vocal_tract=0, gain=0, level=0, noise=0, reverb=0, band_limit=0, codec=0, time_masks=0, mel_masks=0
)
SMALL = DataSettings(crops=6, isolated=4, crop_seconds=3.0, edited_negatives=20, dictionary_negatives=10)
WORDS = [("stars", ("S", "T", "AA", "R", "Z")), ("come", ("K", "AH", "M")), ("evening", ("IY", "V", "N", "IH", "NG"))]


def utterance(folder: Path, name: str, speaker: str, seed: int) -> Utterance:
    random = np.random.default_rng(seed)
    time, words = 0.3, []
    for i in random.permutation(len(WORDS)):
        text, phones = WORDS[i]
        spans = tuple(
            PhoneSpan(p, round(time + 0.1 * k, 3), round(time + 0.1 * (k + 1), 3)) for k, p in enumerate(phones)
        )
        words.append(Word(text, time, spans[-1].tend, spans))
        time = spans[-1].tend + (0.0 if i else 0.4)
    write_wav(folder / f"{name}.wav", random.normal(0, 0.05, 16000 * 3).astype(np.float32))
    return Utterance(name, "train", "made", speaker, Path(f"{name}.wav"), 1, 0.0, 3.0, "", tuple(words))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    utterances = [utterance(folder, f"u{i}", f"s{i % 3}", i) for i in range(6)]
    return SpeechData(utterances, folder, MelSettings(), cache=folder)


def batches(data, settings=SMALL, augment=QUIET):
    noise = torch.zeros(1000, 80)
    dictionary = [("D", "AO", "G"), ("K", "AE", "T", "S")]
    make = lambda seed: Augment(augment, noise, hop=0.01, band_limit_bin=60, seed=seed)  # noqa: E731
    return Batches(data, settings, make, dictionary, np.ones(len(data.utterances)), seed=3)


def test_speech_of_words_too_short_is_told(data):
    with pytest.raises(StdSearchError, match="step 0: no word of 9 phones or more in 6 crops; give more speech"):
        batches(data, replace(SMALL, min_phones=9))(0)


def test_a_corpus_of_no_weight_is_no_other_speaker_either(data):
    made = batches(data, replace(SMALL, paired=1.0))
    made.is_drawn = np.array([True] * 3 + [False] * 3)
    made.cumulative = np.cumsum(made.is_drawn) / 3
    drawn = {u for step in range(20) for u, _ in made._pick_crops(np.random.default_rng(step))}
    assert drawn == {0, 1, 2}


def test_a_batch_is_the_same_each_time_and_differs_from_the_next(data):
    first, again, other = batches(data)(5), batches(data)(5), batches(data)(6)
    assert torch.equal(first.crops.mel, again.crops.mel)
    assert first.texts == again.texts
    assert torch.equal(first.begin, again.begin)
    assert not torch.equal(first.crops.mel, other.crops.mel)


def test_labelled_spans_hold_the_phones_that_they_claim(data):
    """At normal speed and with exact borders, the 20 ms labels below a span spell its class."""
    exact = DataSettings(crops=6, isolated=4, crop_seconds=3.0, border_noise=0, slice_shift=0, slice_stretch=0)
    batch = batches(data, exact)(0)
    checked = 0
    for i in range(batch.n_crop_spans):
        if batch.target[i] < 0:
            continue
        begin, end = round(batch.begin[i].item() * 2), round(batch.end[i].item() * 2)
        labels = batch.crops.phones[batch.row[i], begin:end].tolist()
        said = [labels[0], *(b for a, b in itertools.pairwise(labels) if a != b)]
        assert said == [PHONE_INDEX[p] for p in batch.texts[batch.target[i]]]
        checked += 1
    assert checked > 20


def test_words_have_an_edge_at_either_end_and_none_inside(data):
    exact = DataSettings(crops=6, isolated=4, crop_seconds=3.0, border_noise=0, slice_shift=0, slice_stretch=0)
    batch = batches(data, exact)(0)
    words, checked = {phones for _, phones in WORDS}, 0
    for i in range(batch.n_crop_spans):
        if batch.target[i] >= 0 and batch.texts[batch.target[i]] in words:
            begin, end = round(batch.begin[i].item() * 2), round(batch.end[i].item() * 2)
            edges = batch.crops.edges[batch.row[i]]
            assert edges[begin - 1 : begin + 1].any()
            assert edges[end - 1 : end + 1].any()
            assert not edges[begin + 2 : end - 2].any()
            checked += 1
    assert checked > 6


def test_spans_lie_inside_their_rows(data):
    batch = batches(data, augment=AugmentSettings())(1)
    lengths = torch.cat([batch.crops.lengths, batch.isolated.lengths])[batch.row] / 4
    assert (batch.begin >= 0).all()
    assert (batch.begin < batch.end).all()
    assert (batch.end <= lengths + 1.01).all()
    assert batch.crops.mel.isfinite().all()


def test_no_run_crosses_a_long_silence(data):
    """After "stars" comes a pause of 0.4 s, so no class goes on beyond its Z."""
    for step in range(4):
        for text in batches(data)(step).texts[: int(batches(data)(step).target.max()) + 1]:
            if "Z" in text:
                assert text[-1] == "Z"


def test_negatives_are_no_classes(data):
    batch = batches(data)(2)
    assert len(set(batch.texts)) == len(batch.texts)
    assert len(batch.texts) > batch.target.max() + 1


def test_log_prior_is_the_share_of_time(data):
    prior = np.exp(data.log_prior())
    assert prior.sum() == pytest.approx(1)
    said = 6 * 13 * 0.1  # seconds
    assert prior[PHONE_INDEX["N"]] == pytest.approx((1 + 6 * 0.1) / (data.seconds + 40), rel=0.01)
    assert prior[PHONE_INDEX["SIL"]] == pytest.approx((1 + data.seconds - said) / (data.seconds + 40), rel=0.01)


def test_an_edit_changes_one_phone():
    random, phones = np.random.default_rng(0), ("S", "T", "AA", "R")
    for _ in range(50):
        changed = edit(phones, random)
        assert abs(len(changed) - len(phones)) <= 1
        common = sum(a == b for a, b in zip(phones, changed, strict=False))
        tail = sum(a == b for a, b in zip(phones[::-1], changed[::-1], strict=False))
        assert common + tail >= 3


def test_an_inflection_puts_an_ending_on_or_takes_it_off():
    random = np.random.default_rng(0)
    inflected = {inflect(("S", "T", "AA", "R", "Z"), random) for _ in range(200)}
    assert ("S", "T", "AA", "R") in inflected
    assert ("S", "T", "AA", "R", "Z", "IH", "Z") in inflected
    assert all(phones[:4] == ("S", "T", "AA", "R") for phones in inflected)
    assert {len(phones) for phones in inflected} == {4, 6, 7}
    assert min(len(inflect(("K", "AH", "M"), random)) for _ in range(50)) == 4


def test_same_place_by_hand():
    row = np.array([0, 0, 0, 1])
    begin, end = np.array([0.0, 0.1, 5.0, 0.0]), np.array([1.0, 1.1, 6.0, 1.0])
    target = np.array([0, -1, 1, -1])
    assert sorted(map(tuple, same_place(row, begin, end, target, 0.7))) == [(0, 0), (1, 0), (2, 1)]
