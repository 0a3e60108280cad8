from pathlib import Path

import numpy as np
import pytest
import torch

from stdsearch.audio import read
from stdsearch.errors import StdSearchError
from stdsearch.features import LogMel, MelSettings
from stdsearch.phones import PHONE_INDEX
from train.manifest import Utterance, read_manifest
from train.speech import SpeechData


@pytest.fixture
def utterances(manifest: Path) -> list[Utterance]:
    return read_manifest(manifest)[:3]


def test_log_mel_is_that_of_each_utterance(manifest: Path, tmp_path: Path, utterances: list[Utterance]) -> None:
    data = SpeechData(utterances, manifest.parent, MelSettings(), tmp_path)
    for i, utterance in enumerate(utterances):
        expected = LogMel()(torch.from_numpy(read(manifest.parent / utterance.audio))).half()
        assert torch.equal(data.mel[data.offset[i] : data.offset[i + 1]], expected)
        assert data.n_frames(i) == len(expected)
    assert data.seconds == pytest.approx(3 * 2.4, abs=0.05)


def test_features_are_made_once(manifest: Path, tmp_path: Path, utterances: list[Utterance]) -> None:
    read_first: list[Utterance] = []
    first = SpeechData(
        utterances, manifest.parent, MelSettings(), tmp_path, lambda u: (read_first.append(i) or i for i in u)
    )  # type: ignore[func-returns-value]
    again = SpeechData(utterances, Path("/nowhere"), MelSettings(), tmp_path)
    assert read_first == utterances
    assert torch.equal(first.mel, again.mel)
    assert SpeechData(utterances[:2], manifest.parent, MelSettings(), tmp_path).mel.shape == (2 * 241, 80)
    assert SpeechData(utterances, manifest.parent, MelSettings(n_mels=40), tmp_path).mel.shape == (3 * 241, 40)


def test_features_that_were_interrupted_are_made_again(
    manifest: Path, tmp_path: Path, utterances: list[Utterance]
) -> None:
    def interrupted(items):
        yield items[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SpeechData(utterances, manifest.parent, MelSettings(), tmp_path, interrupted)
    assert len(SpeechData(utterances, manifest.parent, MelSettings(), tmp_path).mel) == 3 * 241


def test_a_cache_that_cannot_be_written_is_told(manifest: Path, tmp_path: Path, utterances: list[Utterance]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StdSearchError, match="features cannot be written"):
        SpeechData(utterances, manifest.parent, MelSettings(), tmp_path / "file")


def test_changing_the_features_leaves_the_file(manifest: Path, tmp_path: Path, utterances: list[Utterance]) -> None:
    SpeechData(utterances, manifest.parent, MelSettings(), tmp_path).mel.zero_()
    assert SpeechData(utterances, manifest.parent, MelSettings(), tmp_path).mel.abs().sum() > 0


def test_nothing_said_is_no_data(manifest: Path, tmp_path: Path) -> None:
    assert SpeechData([], manifest.parent, MelSettings(), tmp_path).mel.shape == (0, 80)


def test_the_prior_is_the_share_of_time(manifest: Path, tmp_path: Path, utterances: list[Utterance]) -> None:
    prior = np.exp(SpeechData(utterances, manifest.parent, MelSettings(), tmp_path).log_prior())
    assert prior.sum() == pytest.approx(1)
    seconds = 3 * 2.41
    assert prior[PHONE_INDEX["S"]] == pytest.approx((3 * 0.12 + 1) / (seconds + len(prior)), rel=0.01)


def test_edges_are_where_words_begin_and_end(manifest: Path, tmp_path: Path, utterances: list[Utterance]) -> None:
    data = SpeechData(utterances, manifest.parent, MelSettings(), tmp_path)
    times = np.arange(0.005, 2.4, 0.02)
    for i, utterance in enumerate(utterances):
        edges = [time for word in utterance.words for time in (word.tbeg, word.tend)]
        assert data.at_edge(i, times).tolist() == [any(abs(e - time) <= 0.02 for e in edges) for time in times]
