from pathlib import Path

import numpy as np
import pytest
from mfcc_dtw import Matches, MfccSettings, candidates, derivative, find, mfcc, valleys

from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.types import Spoken


def word(seed: int) -> np.ndarray:
    """Half a second of five sounds, each its own mixture of tones."""
    random = np.random.default_rng(seed)
    t = np.arange(SAMPLE_RATE // 10) / SAMPLE_RATE
    tones = [np.sin(2 * np.pi * np.outer(random.uniform(200, 4000, 4), t)).sum(axis=0) for _ in range(5)]
    return (0.05 * np.concatenate(tones)).astype(np.float32)


def noise(seed: int, seconds: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, round(seconds * SAMPLE_RATE)).astype(np.float32)


def test_the_derivative_of_a_line_is_its_slope() -> None:
    rows = np.outer(np.arange(10.0), [1.0, -2.0]) + 3
    assert derivative(rows, 2)[2:-2] == pytest.approx(np.tile([1.0, -2.0], (6, 1)))
    assert np.abs(derivative(rows, 2)[[0, -1]]).max() < 2  # flat beyond the ends


def test_loudness_of_a_recording_does_not_matter() -> None:
    sound = np.concatenate([word(0), noise(1), word(2)])
    rows = mfcc(sound, MfccSettings())
    assert rows.shape == (1 + len(sound) // 160, 39)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
    assert (rows * mfcc(sound / 2, MfccSettings())).sum(axis=1).min() > 0.98


def test_valleys_end_where_recordings_do() -> None:
    cost = np.array([0.5, 0.2, 0.2, 0.4, 0.1, 0.3, 0.2])
    assert valleys(cost, np.array([0, 4, 7])).tolist() == [1, 4, 6]
    assert valleys(cost[::-1], np.array([0, 3, 3, 7])).tolist() == [0, 2, 4]


def test_examples_are_averaged_where_they_match_nearly_at_one_place() -> None:
    """Two examples agree near frame 10 of the first recording; at the second recording's border nothing leaks."""
    one, other = np.ones(60, np.float32), np.ones(60, np.float32)
    one[[10, 30]] = 0.2, 0.1
    other[[12, 29]] = 0.4, 0.0
    begin = np.zeros(60, int)
    offsets = np.array([0, 29, 60])
    places, features = candidates([Matches(one, begin), Matches(other, begin)], offsets, 0.05, 0.5)
    best = dict(zip(zip(places.recording_id, np.rint(places.tend / 0.05), strict=True), features["dtw"], strict=True))
    assert best[1, 2] == pytest.approx(1 - 0.05)
    assert best[0, 11] == pytest.approx(1 - 0.3)
    assert (features["dtw"] > 0.6).sum() == 2
    assert np.argmax(features["z"]) == np.argmax(features["dtw"]) == np.argmax(places.score)
    assert features["length"] == pytest.approx(np.full(len(places), np.log(5)))
    assert features["stretch"] == pytest.approx(np.log((places.tend - places.tbeg) / 0.5))


def test_a_word_is_found_wherever_it_is_said(tmp_path: Path) -> None:
    said = {
        "twice.wav": [noise(0), word(7), noise(1), word(8), noise(2), word(7)],
        "once.wav": [word(9), noise(3), word(7), noise(4)],
        "never.wav": [word(8), noise(5), word(9)],
        "query.wav": [noise(6, 0.25), word(7), noise(7), word(5), noise(8)],
    }
    for name, parts in said.items():
        write_wav(tmp_path / name, np.concatenate(parts))
    recordings = {name: tmp_path / name for name in said if name != "query.wav"}
    query = Spoken(tmp_path / "query.wav", 0.25, 0.75)
    other = Spoken(tmp_path / "once.wav", 1.0, 1.5)
    queries = {"KW-1": (query,), "KW-2": (query, other)}
    findings = find(queries, {"audio1": 1, "audio2": 2, "audio3": 3}, recordings, MfccSettings())
    assert {kind: [term.kwid for term in terms] for kind, terms in findings.found.items()} == {
        "audio1": ["KW-1", "KW-2"],
        "audio2": ["KW-2"],
    }
    for terms in findings.found.values():
        best = terms[-1].places.take(np.arange(3))
        found = sorted(zip(best.recording_id.tolist(), best.tbeg, best.tend, strict=True))
        expected = [(0, 0.5, 1.0), (0, 2.5, 3.0), (1, 1.0, 1.5)]
        assert np.array(found) == pytest.approx(np.array(expected), abs=0.06)
        assert terms[-1].features["dtw"][:3].min() > terms[-1].features["dtw"][3:].max()
