import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stdsearch.encoder import EncoderSettings, SpanEncoder, load_encoder, save_encoder
from stdsearch.errors import StdSearchError

SMALL = EncoderSettings(channels=32, hidden=16, dim=8, head=24, text_channels=16, text_blocks=2, dilations=(1, 2))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_encoder(SpanEncoder(SMALL), path, {"recipe": "span"})
    return path


def test_round_trip(saved, tmp_path):
    encoder = load_encoder(saved)
    assert encoder.settings == SMALL
    assert encoder.metadata == {"recipe": "span"}
    again = tmp_path / "again.safetensors"
    save_encoder(encoder, again)
    assert load_encoder(again).fingerprint == encoder.fingerprint
    assert load_encoder(again).metadata == {"recipe": "span"}
    waveform = np.random.default_rng(0).normal(size=8000).astype(np.float32)
    np.testing.assert_array_equal(encoder.frames(waveform).hidden, load_encoder(again).frames(waveform).hidden)


def test_the_fingerprint_survives_saving(saved):
    torch.manual_seed(0)
    assert SpanEncoder(SMALL).fingerprint == load_encoder(saved).fingerprint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StdSearchError, match="no such encoder"):
        load_encoder(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("size", [0, 7, 100, 1000])
def test_a_truncated_file_is_refused(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(StdSearchError, match="not a readable safetensors file"):
        load_encoder(saved)


def test_other_tensors_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(StdSearchError, match="not an encoder that this version reads"):
        load_encoder(path)


@pytest.mark.parametrize(
    "change",
    [{"channels": 64}, {"dilations": [1]}, {"mel": {"n_mels": -3}}, {"mel": None}, {"surprise": 1}],
)
def test_settings_that_do_not_fit_are_refused(saved, change):
    header = {"format": "stdsearch-encoder-1", "kind": "span"}
    torch.manual_seed(0)
    from dataclasses import asdict

    settings = asdict(SMALL) | change
    save_file(load_file(saved), saved, metadata={**header, "settings": json.dumps(settings)})
    with pytest.raises(StdSearchError, match=r"small\.safetensors"):
        load_encoder(saved)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    torch.manual_seed(0)
    with pytest.raises(StdSearchError, match="cannot be written"):
        save_encoder(SpanEncoder(SMALL), tmp_path / "nowhere" / "small.safetensors")
