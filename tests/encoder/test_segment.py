import itertools

import numpy as np
import pytest
import torch

from indexer import embedding
from indexer.embedding import embed_window, windows
from stdsearch.encoder import BiLSTMEncoder, BiLSTMSettings, ECAPAEncoder, ECAPASettings, Frames, SegmentEncoder
from stdsearch.encoder import segment as module
from stdsearch.encoder.segment import centre, real
from stdsearch.features import MEL_SCALE, MelSettings
from stdsearch.phones import SYMBOLS
from stdsearch.slicing import SlicingSettings

MEL = MelSettings(n_mels=20)
TINY = {
    ECAPAEncoder: ECAPASettings(mel=MEL, channels=16, scale=4, squeeze=8, dim=8, phone_dim=4),
    BiLSTMEncoder: BiLSTMSettings(mel=MEL, hidden=8, layers=2, phone_dim=4, dim=8),
}
LENGTHS = torch.tensor([23, 1, 40, 4])


@pytest.fixture(scope="module", params=TINY)
def encoder(request: pytest.FixtureRequest) -> SegmentEncoder:
    """With statistics of batches that are not those of the beginning."""
    torch.manual_seed(0)
    encoder = request.param(TINY[request.param])
    for _ in range(5):
        encoder.audio(torch.randn(4, 40, 20), LENGTHS)
    return encoder.eval()


def cut(waveform: np.ndarray) -> list[embedding.Window]:
    return list(windows([waveform], 160, longest=1.6))


def test_padding_changes_no_audio(encoder: SegmentEncoder) -> None:
    """Whatever lies beyond the end of a segment, and however long its neighbours are."""
    mel = torch.randn(4, 40, 20)
    frames, embeddings = encoder.audio(mel, LENGTHS)
    for row, n in enumerate(LENGTHS.tolist()):
        (alone,), (embedding,) = encoder.audio(mel[row : row + 1, :n], LENGTHS[row : row + 1])
        torch.testing.assert_close(frames[row, :n], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(embeddings[row], embedding, atol=1e-5, rtol=1e-4)
        assert not frames[row, n:].any()


def test_padding_changes_no_text(encoder: SegmentEncoder) -> None:
    lengths = torch.tensor([5, 1, 9])
    phones = torch.randint(1, len(SYMBOLS), (3, 9)) * real(lengths, 9)
    vectors, embeddings = encoder.text(phones, lengths)
    for row, n in enumerate(lengths.tolist()):
        (alone,), (embedding,) = encoder.text(phones[row : row + 1, :n], lengths[row : row + 1])
        torch.testing.assert_close(vectors[row, :n], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(embeddings[row], embedding, atol=1e-5, rtol=1e-4)
        assert not vectors[row, n:].any()


def test_padding_changes_no_gradient(encoder: SegmentEncoder) -> None:
    mel = torch.randn(2, 40, 20, requires_grad=True)
    frames, embeddings = encoder.audio(mel, torch.tensor([40, 23]))
    (embeddings.sum() + frames.sum()).backward()
    assert mel.grad is not None
    assert mel.grad[1, :23].any()
    assert not mel.grad[1, 23:].any()


def test_training_in_half_precision_is_finite(encoder: SegmentEncoder) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        frames, embeddings = encoder.audio(torch.randn(4, 40, 20), LENGTHS)
        vectors, texts = encoder.text(torch.randint(1, 40, (4, 9)), torch.tensor([9, 1, 3, 2]))
    assert embeddings.dtype == texts.dtype == torch.float32
    (embeddings.sum() + texts.sum() + frames.float().sum() + vectors.float().sum()).backward()
    gradients = [parameter.grad for parameter in encoder.parameters() if parameter.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    encoder.zero_grad()


def test_gain_changes_nothing(encoder: SegmentEncoder) -> None:
    mel = torch.randn(1, 30, 20)
    _, embedding = encoder.audio(mel, torch.tensor([30]))
    _, louder = encoder.audio(mel + 2, torch.tensor([30]))
    torch.testing.assert_close(louder, embedding, atol=1e-5, rtol=1e-4)


def test_a_span_is_embedded_as_its_mel_cut_out(encoder: SegmentEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 100)  # so that there are several batches
    hidden = np.random.default_rng(0).normal(size=(300, 20)).astype(np.float32)
    begin = np.array([0, 40, 250, 7, 299, 100])
    end = np.array([30, 160, 300, 9, 300, 131])
    found = encoder.embed_spans(Frames(hidden, 0.01), begin * 0.01, end * 0.01)
    for vector, first, last in zip(found, begin, end, strict=True):
        _, wanted = encoder.audio(torch.from_numpy(hidden[None, first:last]), torch.tensor([last - first]))
        np.testing.assert_allclose(vector, wanted[0].detach().numpy(), atol=1e-5)


def test_spans_beyond_the_frames_are_clipped_to_one_at_least(encoder: SegmentEncoder) -> None:
    frames = Frames(np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32), 0.01)
    found = encoder.embed_spans(frames, np.array([-1.0, 0.3, 0.49, 7.0]), np.array([0.2, 9.0, 0.491, 8.0]))
    wanted = encoder.embed_spans(frames, np.array([0.0, 0.3, 0.49, 0.49]), np.array([0.2, 0.5, 0.5, 0.5]))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_frames_of_a_stretch_are_those_of_the_whole(encoder: SegmentEncoder) -> None:
    """But for the two at either end, whose window sees beyond it."""
    waveform = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    whole, stretch = encoder.frames(waveform).hidden, encoder.frames(waveform[16_000:32_000]).hidden
    np.testing.assert_allclose(stretch[2:-2], whole[102:199], atol=1e-4)


def test_borders_between_windows_do_not_show(encoder: SegmentEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever signal, unlike with a span encoder: segments and frames are the same however it is cut."""
    rng = np.random.default_rng(0)
    waveform = (rng.normal(0, 0.1, (1, 12 * 16_000)) * np.linspace(0.01, 3, 12 * 16_000)).astype(np.float32)
    everything = SlicingSettings(speech_only=False, n_lengths=3, hop=1.0)
    (whole,) = embed_window(encoder, everything, cut(waveform)[0])
    monkeypatch.setattr(embedding, "CORE_SECONDS", 4.0)
    made = cut(waveform)
    assert len(made) > 1
    pieces = [block for window in made for block in embed_window(encoder, everything, window)]
    np.testing.assert_array_equal(np.concatenate([piece.slices for piece in pieces]), whole.slices)
    codes = np.concatenate([piece.codes for piece in pieces]).astype(int)
    np.testing.assert_allclose(codes, whole.codes, atol=1)
    assert all(b.first_frame == a.first_frame + len(a.frames.codes) for a, b in itertools.pairwise(pieces))
    steps = max(block.frames.step.max() for block in [whole, *pieces])
    frames = np.concatenate([piece.frames.values() for piece in pieces])
    np.testing.assert_allclose(frames, whole.frames.values(), atol=1.01 * steps)


def test_match_vectors_tell_neither_level_nor_tilt(encoder: SegmentEncoder) -> None:
    hidden = np.random.default_rng(0).normal(size=(9, 20)).astype(np.float32)
    line = np.linspace(3, -5, 20, dtype=np.float32)
    vectors = encoder.match_vectors(Frames(hidden, 0.01))
    np.testing.assert_allclose(encoder.match_vectors(Frames(hidden + line, 0.01)), vectors, atol=1e-5)
    assert not encoder.match_vectors(Frames(line[None], 0.01)).any()


def test_mel_is_centred_on_its_real_frames() -> None:
    mel = torch.tensor([[[1.0, 5.0], [3.0, 5.0], [99.0, 99.0]]])
    normal = centre(mel, real(torch.tensor([2]), 3))
    torch.testing.assert_close(normal, torch.tensor([[[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]]) * MEL_SCALE)
