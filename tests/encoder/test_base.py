"""What holds for every kind of encoder."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from stdsearch.encoder import Encoder, build_encoder
from stdsearch.encoder.interface import pad_phones, unit_rows
from stdsearch.phones import PHONE_INDEX, SYMBOLS

STAR = ("S", "T", "AA", "R")


@pytest.fixture
def encoder(any_encoder: Encoder) -> Encoder:
    return any_encoder


@pytest.fixture(scope="module")
def waveform() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)


def test_frames_are_as_wide_as_the_settings_say(encoder: Encoder, waveform: np.ndarray) -> None:
    frames = encoder.frames(waveform)
    assert frames.hidden.shape[1] == encoder.settings.frame_width
    assert frames.hidden.dtype == np.float32
    assert frames.frame_seconds == encoder.settings.frame_seconds
    assert 2.0 <= frames.duration <= 2.0 + frames.frame_seconds + 1e-9


@pytest.mark.parametrize("n_samples", [1, 100, 160, 641])
def test_short_waveforms_have_frames(encoder: Encoder, n_samples: int) -> None:
    frames = encoder.frames(np.full(n_samples, 0.1, np.float32))
    assert len(frames.hidden) >= 1
    assert np.isfinite(encoder.embed_spans(frames, np.array([0.0]), np.array([1.0]))).all()


def test_silence_is_finite(encoder: Encoder) -> None:
    frames = encoder.frames(np.zeros(16_000, np.float32))
    assert np.isfinite(encoder.embed_spans(frames, np.array([0.1]), np.array([0.5]))).all()
    assert np.isfinite(encoder.match_vectors(frames)).all()


def test_embeddings_are_unit_vectors(encoder: Encoder, waveform: np.ndarray) -> None:
    spans = encoder.embed_spans(encoder.frames(waveform), np.array([0.0, 0.5, 1.9]), np.array([0.4, 1.2, 9.0]))
    texts = encoder.embed_phones([STAR, ("AH",)])
    assert spans.shape == (3, encoder.settings.dim)
    assert texts.shape == (2, encoder.settings.dim)
    assert spans.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([spans, texts]), axis=1), 1, rtol=1e-5)


def test_no_spans_have_no_embeddings(encoder: Encoder, waveform: np.ndarray) -> None:
    assert encoder.embed_spans(encoder.frames(waveform), np.empty(0), np.empty(0)).shape == (0, encoder.settings.dim)


def test_spans_are_embedded_alike_alone_and_together(encoder: Encoder, waveform: np.ndarray) -> None:
    frames = encoder.frames(waveform)
    tbeg, tend = np.array([0.0, 0.4, 0.2, 1.0]), np.array([0.2, 1.8, 0.24, 1.2])
    alone = [encoder.embed_spans(frames, tbeg[i : i + 1], tend[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(encoder.embed_spans(frames, tbeg, tend), alone, atol=1e-5)


def test_pronunciations_are_embedded_alike_alone_and_together(encoder: Encoder) -> None:
    terms = [STAR, ("AH",), ("K", "AE", "T", "S", "AH", "N", "D", "D", "AO", "G", "Z")]
    together = encoder.embed_phones(terms)
    for term, vector in zip(terms, together, strict=True):
        np.testing.assert_allclose(encoder.embed_phones([term])[0], vector, atol=1e-5)


def test_the_order_of_phones_is_heard(encoder: Encoder) -> None:
    forward, backward = encoder.embed_phones([STAR, STAR[::-1]])
    assert np.abs(forward - backward).max() > 1e-3


def test_match_vectors_are_of_their_frame_alone(encoder: Encoder, waveform: np.ndarray) -> None:
    frames = encoder.frames(waveform)
    vectors = encoder.match_vectors(frames)
    assert len(vectors) == len(frames.hidden)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    some = type(frames)(frames.hidden[5:9], frames.frame_seconds)
    np.testing.assert_allclose(encoder.match_vectors(some), vectors[5:9], atol=1e-5)


def test_phone_posteriors_are_those_of_the_phone_set_or_none(encoder: Encoder, waveform: np.ndarray) -> None:
    posteriors = encoder.phone_log_posteriors(encoder.frames(waveform))
    if encoder.kind == "span":
        assert posteriors is not None
        assert posteriors.shape[1] == len(encoder.log_prior) == len(SYMBOLS)
    else:
        assert posteriors is None


def test_edges_have_a_row_for_each_of_the_posteriors_or_none(encoder: Encoder, waveform: np.ndarray) -> None:
    frames = encoder.frames(waveform)
    edges, posteriors = encoder.edge_log_odds(frames), encoder.phone_log_posteriors(frames)
    assert (edges is None) == (posteriors is None) == (encoder.kind != "span")
    if edges is not None and posteriors is not None:
        assert edges.shape == (len(posteriors),)
        assert np.isfinite(edges).all()


def test_fingerprint_tells_weights_apart(encoder: Encoder) -> None:
    torch.manual_seed(1)
    other = build_encoder(encoder.kind, asdict(encoder.settings))
    assert encoder.fingerprint != other.fingerprint
    other.load_state_dict(encoder.state_dict())
    assert encoder.fingerprint == other.fingerprint


def test_an_empty_pronunciation_is_a_wrong_call(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="at least one phone"):
        encoder.embed_phones([()])


def test_phones_are_padded_with_zeros() -> None:
    padded, lengths = pad_phones([("AH",), ("S", "T")])
    assert padded.tolist() == [[PHONE_INDEX["AH"], 0], [PHONE_INDEX["S"], PHONE_INDEX["T"]]]
    assert lengths.tolist() == [1, 2]


def test_unit_rows_leave_zeros() -> None:
    np.testing.assert_allclose(unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])
