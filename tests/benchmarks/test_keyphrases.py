from pathlib import Path

import keyphrases
import numpy as np
import pytest
from keyphrases import Detection, SpotSettings, Spotter, find

from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.types import Term

TERMS = (Term("KW-1", "read"), Term("KW-2", "Tomato soup"), Term("KW-3", "the zzyzqx"))


@pytest.fixture(scope="module")
def spotter() -> Spotter:
    return Spotter(TERMS, SpotSettings())


def test_a_term_is_spotted_by_each_pronunciation_of_the_dictionary(spotter: Spotter) -> None:
    assert spotter.keyphrases == {
        "read": "KW-1",
        "read(2)": "KW-1",
        "tomato soup": "KW-2",
        "tomato(2) soup": "KW-2",
    }
    assert spotter.known == {"KW-1", "KW-2"}
    assert spotter.n_phones("read(2)") == 3
    assert spotter.n_phones("tomato soup") == 9


def test_no_more_pronunciations_than_asked_for() -> None:
    assert list(Spotter(TERMS, SpotSettings(pronunciations=1)).keyphrases) == ["read", "tomato soup"]


def test_detections_are_of_the_keyphrases_and_inside_the_recording(spotter: Spotter) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * SAMPLE_RATE).astype(np.float32)
    found = list(spotter.spot(noise))
    assert found  # the threshold is that wide
    for hit in found:
        assert hit.keyphrase in spotter.keyphrases
        assert 0 <= hit.tbeg < hit.tend <= 2.02
        assert -116 < hit.ratio < 100  # 1e-50 in nats, rounded


def test_the_best_of_the_pronunciations_at_a_place_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = [
        Detection("read", 0.5, 0.8, -20.0),
        Detection("read(2)", 0.5, 0.86, -5.0),
        Detection("read", 1.5, 1.9, -9.0),
        Detection("tomato(2) soup", 0.1, 1.0, 3.0),
    ]
    monkeypatch.setattr(keyphrases.Spotter, "spot", lambda self, waveform: iter(heard))
    write_wav(tmp_path / "a.wav", np.zeros(2 * SAMPLE_RATE, np.float32))
    recordings = {name: tmp_path / "a.wav" for name in ("first.wav", "second.wav")}
    found = {term.kwid: term for term in find(TERMS, recordings, SpotSettings()).found["text"]}
    assert set(found) == {"KW-1", "KW-2"}
    read = found["KW-1"]
    assert read.places.score.tolist() == [-5, -5, -9, -9]
    assert sorted(read.places.recording_id[:2].tolist()) == [0, 1]
    assert read.places.tend.tolist() == [0.86, 0.86, 1.9, 1.9]
    assert read.features["ratio_per_phone"] == pytest.approx([-5 / 3, -5 / 3, -3, -3])
    assert read.features["pace"] == pytest.approx([0.12, 0.12, 0.4 / 3, 0.4 / 3])
    assert np.exp(found["KW-2"].features["length"]) == pytest.approx([9, 9])
