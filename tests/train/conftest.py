"""Made speech: utterances whose words are noise, each phone of its own colour."""

from pathlib import Path

import numpy as np
import pytest

from stdsearch.audio import SAMPLE_RATE, write_wav
from train.manifest import PhoneSpan, Utterance, Word, write_manifest

WORDS = {"stars": ("S", "T", "AA", "R", "Z"), "come": ("K", "AH", "M"), "evening": ("IY", "V", "N", "IH", "NG")}
PHONE_SECONDS = 0.12


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six utterances of three speakers in train, two of another in dev, 2.4 s each."""
    folder = tmp_path_factory.mktemp("speech")
    utterances = [_utterance(folder, f"u{i}", f"s{i % 3}", "train", seed=i) for i in range(6)]
    utterances += [_utterance(folder, f"d{i}", "d", "dev", seed=10 + i) for i in range(2)]
    write_manifest(folder / "manifest.jsonl", utterances)
    return folder / "manifest.jsonl"


def _utterance(folder: Path, name: str, speaker: str, split: str, seed: int) -> Utterance:
    random = np.random.default_rng(seed)
    waveform, words, time = random.normal(0, 0.001, round(2.4 * SAMPLE_RATE)), [], 0.3
    for text in random.permutation(list(WORDS)):
        spans = []
        for phone in WORDS[text]:
            first, last = (round(t * SAMPLE_RATE) for t in (time, time + PHONE_SECONDS))
            hertz = 200 + 97 * sum(map(ord, phone)) % 5000
            tone = np.sin(2 * np.pi * hertz * np.arange(last - first) / SAMPLE_RATE)
            waveform[first:last] += 0.2 * tone * random.uniform(0.5, 1)
            spans.append(PhoneSpan(phone, round(time, 3), round(time + PHONE_SECONDS, 3)))
            time += PHONE_SECONDS
        words.append(Word(str(text), spans[0].tbeg, spans[-1].tend, tuple(spans)))
        time += 0.1
    write_wav(folder / f"{name}.wav", waveform)
    return Utterance(name, split, "made", speaker, Path(f"{name}.wav"), 1, 0.0, 2.4, "", tuple(words))
