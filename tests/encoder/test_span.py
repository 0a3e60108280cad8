import numpy as np
import pytest
import torch

from stdsearch.encoder import EncoderSettings, SpanEncoder, span
from stdsearch.encoder.span import normalise_mel
from stdsearch.features import MEL_SCALE
from stdsearch.phones import SYMBOLS

SMALL = EncoderSettings(channels=32, hidden=16, dim=8, head=24, text_channels=16, text_blocks=2, dilations=(1, 2))


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return SpanEncoder(SMALL).eval()


@pytest.fixture(scope="module")
def waveform():
    return np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)


def test_frames_cover_the_waveform(encoder, waveform):
    frames = encoder.frames(waveform)
    assert frames.hidden.shape == (51, SMALL.hidden + 1)
    assert frames.frame_seconds == pytest.approx(0.04)
    assert encoder.phone_log_posteriors(frames).shape == (102, len(SYMBOLS))
    np.testing.assert_allclose(np.exp(encoder.phone_log_posteriors(frames)).sum(axis=1), 1, rtol=1e-5)


def test_frames_match_by_direction_and_by_phones(encoder, waveform):
    frames = encoder.frames(waveform)
    vectors, posteriors = encoder.match_vectors(frames), np.exp(encoder.phone_log_posteriors(frames))
    for i, j in ((0, 0), (3, 40), (17, 18)):
        a, b = frames.hidden[[i, j], :-1]
        alike = [np.sqrt(posteriors[2 * i + k] * posteriors[2 * j + k]).sum() for k in range(2)]
        expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b) / 2 + sum(alike) / 4
        assert vectors[i] @ vectors[j] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("n_samples", [1, 100, 640, 641])
def test_short_waveforms_have_frames(encoder, n_samples):
    frames = encoder.frames(np.full(n_samples, 0.1, np.float32))
    assert len(frames.hidden) >= 1
    assert np.isfinite(frames.hidden).all()


def test_silence_is_finite(encoder):
    frames = encoder.frames(np.zeros(16000, np.float32))
    assert np.isfinite(frames.hidden).all()
    assert np.isfinite(encoder.embed_spans(frames, np.array([0.1]), np.array([0.5]))).all()


def test_embeddings_are_unit_vectors(encoder, waveform):
    frames = encoder.frames(waveform)
    spans = encoder.embed_spans(frames, np.array([0.0, 0.5, 1.9]), np.array([0.4, 1.2, 9.0]))
    texts = encoder.embed_phones([("S", "T", "AA", "R"), ("AH",)])
    assert spans.shape == (3, SMALL.dim)
    assert texts.shape == (2, SMALL.dim)
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([spans, texts]), axis=1), 1, rtol=1e-5)


def test_bfloat16_changes_little(encoder, waveform, monkeypatch):
    clear = encoder.frames(waveform)

    def embed():
        hidden = encoder.frames(waveform).hidden
        return hidden, encoder.embed_spans(clear, [0.1, 0.2], [0.5, 0.9]), encoder.phone_log_posteriors(clear)

    hidden, embeddings, posteriors = embed()
    monkeypatch.setattr(span, "FAST_BF16", [name for name, value in torch.cpu.get_capabilities().items() if value])
    fast_hidden, fast_embeddings, fast_posteriors = embed()
    assert not np.array_equal(hidden, fast_hidden)
    assert not np.array_equal(posteriors, fast_posteriors)
    assert fast_hidden.dtype == fast_embeddings.dtype == fast_posteriors.dtype == np.float32
    assert fast_hidden == pytest.approx(hidden, abs=0.1)
    assert (embeddings * fast_embeddings).sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert len(posteriors) % span.EQUAL_ROWS  # so that rows were added, and taken away
    assert fast_posteriors == pytest.approx(posteriors, abs=0.1)


def test_padding_changes_nothing(encoder):
    """A sequence gives the same frames alone as beside a longer one."""
    mel = torch.randn(2, 80, SMALL.mel.n_mels)
    together, _ = encoder.encode(mel, torch.tensor([80, 40]))
    alone, _ = encoder.encode(mel[1:, :40], torch.tensor([40]))
    torch.testing.assert_close(together[1, :10], alone[0], atol=1e-5, rtol=1e-4)


def test_pronunciations_are_embedded_alike_alone_and_together(encoder):
    terms = [("S", "T", "AA", "R"), ("AH",), tuple(["K", "AE", "T", "S", "AH", "N", "D", "D", "AO", "G", "Z"])]
    together = encoder.embed_phones(terms)
    for term, vector in zip(terms, together, strict=True):
        np.testing.assert_allclose(encoder.embed_phones([term])[0], vector, atol=1e-5)


def test_an_empty_pronunciation_is_a_wrong_call(encoder):
    with pytest.raises(ValueError, match="at least one phone"):
        encoder.embed_phones([()])


def test_mel_is_centred_on_its_louder_half():
    mel = torch.cat([torch.full((1, 8, 4), -10.0), torch.full((1, 12, 4), 2.0)], dim=1)
    normal = normalise_mel(mel, torch.ones(1, 20, dtype=torch.bool))
    assert normal[0, 8:].abs().max() < 1e-6
    assert normal[0, :8].max() == pytest.approx(-12 / 3)


@pytest.mark.parametrize("quiet", [-14.0, -9.0])
@pytest.mark.parametrize("times", [0, 1, 20])
def test_what_is_said_is_normalised_alike_whatever_silence_lies_around_it(quiet, times):
    said = torch.from_numpy(np.random.default_rng(0).normal(0, 1.5, (1, 60, 4))).float().clamp(-4, 2)
    silence = torch.full((1, 60 * times, 4), quiet)
    mel = torch.cat([silence, said, silence], dim=1)
    normal = normalise_mel(mel, torch.ones(mel.shape[:2], dtype=torch.bool))[:, 60 * times : 60 * (times + 1)]
    alone = normalise_mel(said, torch.ones(said.shape[:2], dtype=torch.bool))
    assert (normal - alone).abs().max() < 0.3
    padded = normalise_mel(mel, torch.arange(mel.shape[1])[None] < 60 * (times + 1))
    torch.testing.assert_close(padded[:, 60 * times : 60 * (times + 1)], normal, atol=0.3, rtol=0)
    assert not padded[:, 60 * (times + 1) :].any()


def plainly_normalised(mel: np.ndarray) -> np.ndarray:
    """Log-mel (T, n_mels), all of it there, as the docstring of normalise_mel has it."""
    rows = [mel[i : i + span.STRIDE].mean(axis=0) for i in range(0, len(mel), span.STRIDE)]
    loudness = [row.mean() for row in rows]

    def loudest(values: list[float]) -> float:
        return sorted(values)[-min(span.LOUDEST, len(values))]

    near = [range(max(0, i - span.REACH), min(len(rows), i + span.REACH + 1)) for i in range(len(rows))]
    speech = [
        loudness[i] >= max(loudest([loudness[j] for j in near[i]]) - span.PAUSE, loudest(loudness) - span.SILENCE)
        for i in range(len(rows))
    ]
    middle = [np.mean([loudness[j] for j in near[i] if speech[j]] or 0) for i in range(len(rows))]
    louder = [speech[i] and loudness[i] >= middle[i] for i in range(len(rows))]
    of_all = np.mean(
        [rows[i] for i in range(len(rows)) if louder[i] and loudness[i] >= loudest(loudness) - span.PAUSE], 0
    )
    normal = []
    for i in range(len(mel)):
        chosen = [rows[j] for j in near[i // span.STRIDE] if louder[j]]
        mean = (np.sum([*chosen, span.PRIOR * of_all], axis=0)) / (len(chosen) + span.PRIOR)
        normal.append((mel[i] - mean) * MEL_SCALE)
    return np.array(normal)


@pytest.mark.parametrize("n_rows", [1, 9, 12, 400])
def test_mel_is_normalised_as_plainly_said(n_rows):
    random = np.random.default_rng(n_rows)
    level = np.repeat(random.choice([-14.0, -9.0, -4.0, 0.0], 1 + n_rows // 60), 60 * span.STRIDE)[
        : n_rows * span.STRIDE
    ]
    mel = random.normal(level[:, None], 1.5, (n_rows * span.STRIDE, 4))
    beyond = np.zeros((8, 4))  # as loud as can be, but padding
    mask = torch.arange(len(mel) + 8)[None] < len(mel)
    normal = normalise_mel(torch.from_numpy(np.concatenate([mel, beyond])[None]), mask)[0].numpy()
    np.testing.assert_allclose(normal[: len(mel)], plainly_normalised(mel), atol=1e-9)
    assert not normal[len(mel) :].any()


def test_every_voice_has_its_own_mean():
    mel = torch.cat([torch.full((1, 800, 4), -6.0), torch.full((1, 800, 4), 1.0)], dim=1)
    normal = normalise_mel(mel, torch.ones(1, 1600, dtype=torch.bool))
    assert normal[0, :500].abs().max() < 0.2
    assert normal[0, 800:].abs().max() < 1e-6
    assert (normal[0, 500:800].diff(dim=0) <= 0).all()


def test_a_door_is_not_what_is_said():
    mel = torch.full((1, 1000, 4), -2.0)
    mel[:, 500:530] = 6.0
    normal = normalise_mel(mel, torch.ones(1, 1000, dtype=torch.bool))
    assert normal[0, 0].abs().max() < 0.1


def test_fingerprint_tells_weights_apart(encoder):
    torch.manual_seed(1)
    other = SpanEncoder(SMALL)
    assert encoder.fingerprint != other.fingerprint
    other.load_state_dict(encoder.state_dict())
    assert encoder.fingerprint == other.fingerprint
