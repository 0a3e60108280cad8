import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stdsearch.encoder import (
    BiLSTMSettings,
    ECAPASettings,
    Encoder,
    EncoderSettings,
    SpanEncoder,
    build_encoder,
    load_encoder,
    save_encoder,
)
from stdsearch.errors import StdSearchError
from stdsearch.features import MelSettings

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


def test_an_encoder_of_any_kind_is_loaded_as_it_was_saved(any_encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "any.safetensors"
    save_encoder(any_encoder, path, {"recipe": "none"})
    encoder = load_encoder(path)
    assert type(encoder) is type(any_encoder)
    assert encoder.settings == any_encoder.settings
    assert encoder.metadata == {"recipe": "none"}
    assert encoder.fingerprint == any_encoder.fingerprint
    assert not encoder.training
    stars = [encoder.embed_phones([("S", "T", "AA", "R")]) for encoder in (encoder, any_encoder)]
    np.testing.assert_allclose(*stars, atol=5e-3)  # half precision
    again = tmp_path / "again.safetensors"
    save_encoder(encoder, again)
    np.testing.assert_array_equal(load_encoder(again).embed_phones([("S", "T", "AA", "R")]), stars[0])


def test_loading_fills_no_weights(saved):
    """Random ones on the meta device would bring in torch's compiler, which takes a second."""
    program = "import stdsearch.encoder as e; e.load_encoder({!r}); import sys; print('torch._dynamo' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program.format(str(saved))], capture_output=True, check=True)
    assert ended.stdout == b"False\n"


def test_another_kind_is_refused(saved):
    save_file(load_file(saved), saved, metadata={"format": "stdsearch-encoder-1", "kind": "oracle", "settings": "{}"})
    with pytest.raises(StdSearchError, match="kind 'oracle', wanted span, ecapa, bilstm"):
        load_encoder(saved)


def test_weights_of_another_kind_are_refused(saved):
    save_file(
        load_file(saved), saved, metadata={"format": "stdsearch-encoder-1", "kind": "ecapa", "settings": '{"mel": {}}'}
    )
    with pytest.raises(StdSearchError, match=r"lacks phone\.weight"):
        load_encoder(saved)


def test_settings_are_those_of_the_kind():
    assert build_encoder("span", {"mel": {}, "dilations": [1]}).settings == EncoderSettings(dilations=(1,))
    assert build_encoder("ecapa", {"mel": {"n_mels": 9}, "dilations": [2]}).settings == ECAPASettings(
        mel=MelSettings(n_mels=9), dilations=(2,)
    )
    assert build_encoder("bilstm", {"mel": {}, "hidden": 4}).settings == BiLSTMSettings(mel=MelSettings(), hidden=4)


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
