import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stdsearch.audio import read, write_wav
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


def refuse(items: Sequence[Utterance]) -> Iterable[Utterance]:
    raise AssertionError("audio was read")


def test_features_are_made_once(manifest: Path, tmp_path: Path, utterances: list[Utterance]) -> None:
    read_first: list[Utterance] = []
    first = SpeechData(
        utterances, manifest.parent, MelSettings(), tmp_path, lambda u: (read_first.append(i) or i for i in u)
    )  # type: ignore[func-returns-value]
    again = SpeechData(utterances, manifest.parent, MelSettings(), tmp_path, refuse)
    assert read_first == utterances
    assert torch.equal(first.mel, again.mel)
    assert SpeechData(utterances[:2], manifest.parent, MelSettings(), tmp_path).mel.shape == (2 * 241, 80)
    assert SpeechData(utterances, manifest.parent, MelSettings(n_mels=40), tmp_path).mel.shape == (3 * 241, 40)


def test_audio_that_is_another_has_features_of_its_own(
    manifest: Path, tmp_path: Path, utterances: list[Utterance]
) -> None:
    """Of the same names below another folder, and where files were replaced."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for utterance in utterances:
            shutil.copy(manifest.parent / utterance.audio, tmp_path / folder)
    write_wav(tmp_path / "b" / utterances[0].audio, np.zeros(round(2.4 * 16000)))
    cache = tmp_path / "cache"
    first, other = (SpeechData(utterances, tmp_path / name, MelSettings(), cache).mel[:241] for name in ("a", "b"))
    assert not torch.equal(first, other)
    shutil.copy(tmp_path / "b" / utterances[0].audio, tmp_path / "a")
    os.utime(tmp_path / "a" / utterances[0].audio, (0, 0))
    assert torch.equal(SpeechData(utterances, tmp_path / "a", MelSettings(), cache).mel[:241], other)


@pytest.mark.parametrize(("suffix", "keep"), [(".f16", None), (".f16", 1000), (".npy", 10)])
def test_features_that_are_not_whole_are_made_again(
    manifest: Path, tmp_path: Path, utterances: list[Utterance], suffix: str, keep: int | None
) -> None:
    first = SpeechData(utterances, manifest.parent, MelSettings(), tmp_path).mel.clone()
    (file,) = tmp_path.glob(f"*{suffix}")
    if keep is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:keep])
    assert torch.equal(SpeechData(utterances, manifest.parent, MelSettings(), tmp_path).mel, first)


def test_audio_that_ends_before_its_words_is_told(manifest: Path, tmp_path: Path, utterances: list[Utterance]) -> None:
    brief = replace(utterances[0], dur=1.0)  # as of a file that breaks off
    with pytest.raises(StdSearchError, match=r"u0\.wav: breaks off after 1\.00 s; leave it out"):
        SpeechData([brief], manifest.parent, MelSettings(), tmp_path)


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
