from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from stdsearch.encoder import (
    BiLSTMEncoder,
    BiLSTMSettings,
    EncoderSettings,
    Frames,
    SearchEncoder,
    SpanEncoder,
    load_for_search,
    save_encoder,
)
from stdsearch.encoder.file import settings_from
from stdsearch.encoder.light import LightEncoder
from stdsearch.errors import StdSearchError
from stdsearch.networks import weights_of

SMALL = EncoderSettings(channels=32, hidden=16, dim=8, head=24, text_channels=16, text_blocks=3, dilations=(1, 2))
WAVEFORM = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
PHONES = [("S", "T", "AA", "R"), ("AH",), ("S", "T", "AA", "R") * 20]  # the last has more than 64 places


@pytest.fixture(scope="module")
def whole() -> SpanEncoder:
    torch.manual_seed(0)
    encoder = SpanEncoder(SMALL).eval()
    with torch.no_grad():
        for value in (*encoder.parameters(), encoder.log_prior):  # else biases, and LayerNorms' weights, do nothing
            value.copy_((value + 0.1 * torch.randn_like(value)).half())
    encoder.metadata = {"name": "small"}
    return encoder


@pytest.fixture(scope="module")
def saved(whole: SpanEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("light") / "small.safetensors"
    save_encoder(whole, path)
    return path


@pytest.fixture(scope="module")
def light(saved: Path) -> SearchEncoder:
    return load_for_search(saved)


def test_it_is_the_span_encoder(whole: SpanEncoder, light: SearchEncoder) -> None:
    assert isinstance(light, LightEncoder)
    assert (light.settings, light.metadata, light.rows_per_frame) == (SMALL, whole.metadata, whole.rows_per_frame)
    np.testing.assert_array_equal(light.log_prior, whole.log_prior)


def test_spans_are_embedded_alike(whole: SpanEncoder, light: SearchEncoder) -> None:
    frames, tbeg = whole.frames(WAVEFORM), np.random.default_rng(1).uniform(0, 3, 50)
    tend = tbeg + np.random.default_rng(2).uniform(0, 1, 50)  # some beyond the end
    np.testing.assert_allclose(light.embed_spans(frames, tbeg, tend), whole.embed_spans(frames, tbeg, tend), atol=1e-6)


def test_phones_are_embedded_alike(whole: SpanEncoder, light: SearchEncoder) -> None:
    np.testing.assert_allclose(light.embed_phones(PHONES), whole.embed_phones(PHONES), atol=1e-6)
    np.testing.assert_allclose(light.embed_phones(PHONES[:1]), light.embed_phones(PHONES)[:1], atol=1e-6)
    with pytest.raises(ValueError, match="needs at least one phone"):
        light.embed_phones([()])


@pytest.mark.parametrize("method", ["phone_log_posteriors", "edge_log_odds", "match_vectors"])
def test_frames_tell_the_same(method: str, whole: SpanEncoder, light: SearchEncoder) -> None:
    frames = whole.frames(WAVEFORM)
    loud = Frames(100 * frames.hidden, frames.frame_seconds)  # whose logits overflow, but for their greatest
    for some in (frames, loud):
        before = some.hidden.copy()
        told, expected = getattr(light, method)(some), getattr(whole, method)(some)
        assert (told.dtype, told.shape) == (np.float32, expected.shape)
        np.testing.assert_allclose(told, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(some.hidden, before)


def test_examples_are_heard_by_the_whole_encoder(whole: SpanEncoder, light: SearchEncoder) -> None:
    np.testing.assert_array_equal(light.frames(WAVEFORM).hidden, whole.frames(WAVEFORM).hidden)


def test_encoders_of_other_kinds_come_with_their_networks(tmp_path: Path) -> None:
    encoder = BiLSTMEncoder(BiLSTMSettings(hidden=8, layers=1, dim=8)).eval()
    save_encoder(encoder, tmp_path / "other")
    assert isinstance(load_for_search(tmp_path / "other"), BiLSTMEncoder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("span_head.layers.0.weight", None, r"lacks span_head.layers.0.weight"),
        ("text.blocks.2.norm.bias", np.zeros(3, np.float32), r"text.blocks.2.norm.bias is \(3,\) float32, not \(16,\)"),
        ("log_prior", np.zeros(40, np.int64), r"log_prior is \(40,\) int64, not \(40,\) float32"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    name: str, value: np.ndarray | None, message: str, whole: SpanEncoder, tmp_path: Path
) -> None:
    weights = {key: given for key, given in weights_of(whole).items() if key != name}
    weights |= {} if value is None else {name: value}
    with pytest.raises(ValueError, match=message):
        LightEncoder(tmp_path, settings_from(asdict(SMALL), EncoderSettings), weights, {})


def test_settings_that_do_not_fit_are_refused(
    whole: SpanEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "settings", EncoderSettings(**{**asdict(SMALL), "mel": SMALL.mel, "dim": 16}))
    save_encoder(whole, tmp_path / "other")
    with pytest.raises(StdSearchError, match=r"settings and weights do not fit \(text.head.layers.4.weight is"):
        load_for_search(tmp_path / "other")
