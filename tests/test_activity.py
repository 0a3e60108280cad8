import csv
import json
from pathlib import Path

import numpy as np
import pytest

from stdsearch.activity import speech_spans
from stdsearch.audio import SAMPLE_RATE, read

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "speech"


def recording(noise_db: float, *bursts: tuple[float, float]) -> np.ndarray:
    """20 s of white noise at a level re full scale, with a tone of -20 dB from tbeg to tend of each burst."""
    time = np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(size=len(time)) * 10 ** (noise_db / 20)
    is_tone = np.any([(time >= tbeg) & (time < tend) for tbeg, tend in bursts or [(0, 0)]], axis=0)
    return (noise + is_tone * np.sqrt(0.02) * np.sin(2 * np.pi * 300 * time)).astype(np.float32)


@pytest.mark.parametrize("noise_db", [-100.0, -70.0, -45.0])
def test_sound_above_any_noise_floor_is_found_with_a_margin(noise_db: float) -> None:
    spans = speech_spans(recording(noise_db, (4.0, 6.0), (12.0, 13.5)))
    np.testing.assert_allclose(spans, [[3.7, 6.3], [11.7, 13.8]], atol=0.05)


def test_the_margin_may_be_another() -> None:
    spans = speech_spans(recording(-60.0, (4.0, 6.0)), padding=0.05)
    np.testing.assert_allclose(spans, [[3.95, 6.05]], atol=0.05)


def test_short_pauses_are_kept_and_spans_end_with_the_recording() -> None:
    spans = speech_spans(recording(-60.0, (0.1, 2.0), (2.8, 4.0), (19.0, 20.0)))
    np.testing.assert_allclose(spans, [[0.0, 4.3], [18.7, 20.0]], atol=0.05)


def test_noise_that_tells_nothing_is_kept_whole() -> None:
    np.testing.assert_allclose(speech_spans(recording(-30.0)), [[0.0, 20.0]])


@pytest.mark.parametrize("n_samples", [0, 1, 800, 160_000])
def test_digital_silence_holds_no_speech(n_samples: int) -> None:
    assert speech_spans(np.zeros(n_samples, np.float32)).shape == (0, 2)


def test_gain_changes_nothing() -> None:
    waveform = recording(-50.0, (4.0, 6.0))
    np.testing.assert_array_equal(speech_spans(waveform), speech_spans(waveform / 8))


def test_a_recording_shorter_than_a_frame_is_kept() -> None:
    np.testing.assert_allclose(speech_spans(np.full(100, 0.1, np.float32)), [[0.0, 100 / SAMPLE_RATE]])


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/speech")
def test_words_of_real_speech_are_kept_and_pauses_between_utterances_skipped() -> None:
    with open(SHARED / "manifest.tsv", encoding="utf-8") as manifest:
        rows = {row["utterance"]: row for row in csv.DictReader(manifest, delimiter="\t") if row["split"] == "dev"}
    parts: list[np.ndarray] = []
    words: list[tuple[float, float]] = []
    pause = np.random.default_rng(0).normal(size=3 * SAMPLE_RATE).astype(np.float32) * 1e-3
    for line in (SHARED / "alignments.jsonl").read_text().splitlines():
        aligned = json.loads(line)
        if aligned["utterance"] in rows and len(parts) < 20:
            start = sum(map(len, parts)) / SAMPLE_RATE + 3.0
            parts += [pause, read(SHARED / rows[aligned["utterance"]]["audio"])]
            words += [(start + tbeg, start + tend) for _, tbeg, tend, _ in aligned["words"]]
    spans = speech_spans(np.concatenate(parts))
    inside = sum(max(0.0, min(e, tend) - max(b, tbeg)) for b, e in spans for tbeg, tend in words)
    assert inside >= 0.995 * sum(tend - tbeg for tbeg, tend in words)
    assert (spans[:, 1] - spans[:, 0]).sum() < sum(map(len, parts)) / SAMPLE_RATE - 10 * 2.0
