"""Speech that an encoder of the tests knows for sure: each word is a constant, as loud as its place among WORDS."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from clips import pronounce

from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.encoder import Frames
from train.manifest import PhoneSpan, Utterance, Word, write_manifest

WORDS = ("cat", "cap", "dog", "lighthouse", "thunder")
STEP = 1 / 16  # of the amplitude from one word to the next
WORD_SECONDS = 0.5


class SureEncoder:
    """Its embeddings are 1 at the place of the word that fills a span, and 0 elsewhere."""

    settings = SimpleNamespace(dim=len(WORDS))
    fingerprint = "sure"

    def __init__(self) -> None:
        self.place = {phones: i for i, phones in enumerate(pronounce(WORDS))}
        self.n_read = 0

    def frames(self, waveform: np.ndarray) -> Frames:
        self.n_read += 1
        whole = len(waveform) // 160 * 160
        return Frames(waveform[:whole].reshape(-1, 160).mean(axis=1, keepdims=True), 0.01)

    def embed_spans(self, frames: Frames, tbeg: np.ndarray, tend: np.ndarray) -> np.ndarray:
        middle = [round((b + e) / 2 / frames.frame_seconds) for b, e in zip(tbeg, tend, strict=True)]
        places = np.rint(frames.hidden[middle, 0] / STEP).astype(int) - 1
        return np.eye(len(WORDS), dtype=np.float32)[places]

    def embed_phones(self, pronunciations: Sequence[Sequence[str]]) -> np.ndarray:
        return np.eye(len(WORDS), dtype=np.float32)[[self.place[tuple(phones)] for phones in pronunciations]]


@pytest.fixture
def sure_encoder() -> SureEncoder:
    return SureEncoder()


def say(folder: Path, name: str, speaker: str, split: str, words: Sequence[str]) -> Utterance:
    """An utterance of words, one after the other with half their length of silence between."""
    spoken, sound = [], []
    silence = np.zeros(round(WORD_SECONDS / 2 * SAMPLE_RATE))
    for i, text in enumerate(words):
        tbeg = round(WORD_SECONDS * (0.5 + 1.5 * i), 3)
        tend = round(tbeg + WORD_SECONDS, 3)
        spoken.append(Word(text, tbeg, tend, (PhoneSpan("AH", tbeg, tend),)))
        sound += [silence, np.full(round(WORD_SECONDS * SAMPLE_RATE), STEP * (1 + WORDS.index(text)))]
    write_wav(folder / f"{name}.wav", np.concatenate([*sound, silence]))
    dur = WORD_SECONDS * (0.5 + 1.5 * len(words))
    return Utterance(name, split, f"made/{split}", speaker, Path(f"{name}.wav"), 1, 0.0, dur, "", tuple(spoken))


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A manifest: dev has two speakers who say four words and one who says a fifth; train has cat and dog."""
    utterances = [
        say(tmp_path, "a", "anna", "dev", ["cat", "cap", "dog"]),
        say(tmp_path, "b", "bo", "dev", ["dog", "cat", "thunder"]),
        say(tmp_path, "c", "bo", "dev", ["cap", "thunder"]),
        say(tmp_path, "d", "cleo", "dev", ["lighthouse"]),
        say(tmp_path, "e", "dora", "train", ["cat", "dog"]),
    ]
    write_manifest(tmp_path / "speech.jsonl", utterances)
    return tmp_path / "speech.jsonl"
