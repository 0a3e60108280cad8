"""An archive of every kind of encoder, from recordings to hits."""

from pathlib import Path

import numpy as np
import pytest

from indexer.build import build_archive
from indexer.sources import find_sources
from stdsearch.audio import SAMPLE_RATE, read, write_wav
from stdsearch.encoder import Encoder, save_encoder
from stdsearch.search import Archive, Request
from stdsearch.slicing import SlicingSettings
from stdsearch.types import Hit, Spoken

SLICING = SlicingSettings(n_lengths=4, speech_only=False)
WORD = 1.2, 1.6  # where it is cut out of the second recording; its length and begin are those of a slice


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of 3 s: sounds of three random tones, 0.1 s each."""
    folder = tmp_path_factory.mktemp("audio")
    random, time = np.random.default_rng(0), np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    for name in "abc":
        hertz = np.exp(random.uniform(np.log(150), np.log(6000), (30, 3)))
        tones = np.sin(2 * np.pi * hertz[(10 * time).astype(int)] * time[:, None]).sum(axis=1)
        write_wav(folder / f"{name}.wav", 0.1 * tones + random.normal(0, 0.01, len(time)))
    return folder


@pytest.fixture(scope="module")
def built(any_encoder: Encoder, audio: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp(any_encoder.kind)
    save_encoder(any_encoder, folder / "tiny.safetensors")
    build_archive(
        find_sources([audio]), folder / "archive", any_encoder, encoder_file=folder / "tiny.safetensors",
        settings=SLICING,
    )  # fmt: skip
    return Archive.open(folder / "archive")


def place(hit: Hit) -> tuple[str, float, float]:
    return hit.recording, hit.tbeg, hit.tbeg + hit.dur


def test_the_archive_says_what_the_encoder_keeps(built: Archive, any_encoder: Encoder) -> None:
    facts = built.reader.manifest.encoder
    assert facts.fingerprint == any_encoder.fingerprint
    assert facts.frame_width == any_encoder.settings.frame_width
    assert facts.frame_seconds == any_encoder.settings.frame_seconds
    frames, _ = built.reader.frames(0, 1, 0.0, 99.0)
    assert frames.hidden.shape == (round(3 / facts.frame_seconds), facts.frame_width)


def test_a_span_of_a_recording_finds_itself_first(built: Archive, audio: Path) -> None:
    recording, tbeg, tend = place(built.search(examples=[Spoken(audio / "b.wav", *WORD)]).hits[0])
    assert recording == "b.wav"
    assert (tbeg, tend) == pytest.approx(WORD, abs=0.05)


def test_a_recording_of_the_word_alone_is_trimmed_by_speech_activity(
    built: Archive, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As no phones are known, not to random weights either."""
    silence = np.zeros(SAMPLE_RATE // 2)
    word = read(audio / "b.wav", tbeg=WORD[0], dur=WORD[1] - WORD[0])
    write_wav(tmp_path / "word.wav", np.concatenate([silence, word, silence]))
    monkeypatch.setattr(built.encoder, "phone_log_posteriors", lambda frames: None)
    (example,) = built.prepare(Request("KW-1", examples=(Spoken(tmp_path / "word.wav"),))).examples
    assert example.frames.duration == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("text", ["star", "the history of the united states of america", "/S T AA R/"])
def test_a_text_has_hits(built: Archive, text: str) -> None:
    hits = built.search(text).hits
    assert hits
    assert all(0 <= hit.tbeg < hit.tbeg + hit.dur <= 3.001 for hit in hits)
    assert all(0 <= hit.score <= 1 for hit in hits)


def test_text_and_example_are_looked_for_together(built: Archive, audio: Path) -> None:
    assert built.search("star", examples=[Spoken(audio / "b.wav", *WORD)]).hits
