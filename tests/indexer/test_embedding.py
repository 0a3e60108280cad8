import itertools

import numpy as np
import pytest

from indexer import embedding
from indexer.embedding import CONTEXT_SECONDS, CORE_SECONDS, Window, embed_window, windows
from stdsearch.archive.segments import from_codes, to_codes
from stdsearch.audio import SAMPLE_RATE
from stdsearch.encoder import SpanEncoder
from stdsearch.slicing import SlicingSettings

FRAME_SAMPLES = 640
LONGEST = 1.6
EVERYTHING = SlicingSettings(speech_only=False)


def cut(samples: np.ndarray, block_seconds: float) -> list[Window]:
    step = round(block_seconds * SAMPLE_RATE)
    blocks = (samples[:, at : at + step] for at in range(0, samples.shape[1], step))
    return list(windows(blocks, FRAME_SAMPLES, longest=LONGEST))


@pytest.mark.parametrize("seconds", [0.01, 0.05, 29.0, 60.0, 89.99, 90.0, 90.04, 100.0, 150.0, 301.23])
@pytest.mark.parametrize("block_seconds", [7.0, 30.0, 1000.0])
def test_windows_tile_a_recording_with_context(seconds: float, block_seconds: float) -> None:
    samples = np.arange(2 * round(seconds * SAMPLE_RATE), dtype=np.float32).reshape(2, -1)
    made = cut(samples, block_seconds)
    n_frames = -(-samples.shape[1] // FRAME_SAMPLES)
    assert made[0].first == 0
    assert made[-1].last == n_frames
    assert [window.is_final for window in made] == [False] * (len(made) - 1) + [True]
    for window, following in itertools.pairwise(made):
        assert window.last == following.first
    for window in made:
        at = window.begin * FRAME_SAMPLES
        np.testing.assert_array_equal(window.waveform, samples[:, at : at + window.waveform.shape[1]])
        end = window.begin + window.waveform.shape[1] / FRAME_SAMPLES
        assert window.tbeg == pytest.approx(window.begin * 0.04)
        assert window.begin == max(0, window.first - CONTEXT_SECONDS / 0.04)
        assert window.is_final or end >= window.last + (LONGEST + CONTEXT_SECONDS) / 0.04
    shortest = min(window.last - window.first for window in made)
    assert len(made) == 1 or shortest >= CORE_SECONDS / 0.04 / 2


def test_a_recording_of_ten_hours_is_held_a_window_at_a_time() -> None:
    block = np.zeros((1, 30 * SAMPLE_RATE), np.float32)
    made = windows((block for _ in range(1200)), FRAME_SAMPLES, longest=LONGEST)
    lengths, last = zip(*((window.waveform.shape[1], window.last) for window in made), strict=True)
    assert max(lengths) <= 1.5 * CORE_SECONDS * SAMPLE_RATE + (CONTEXT_SECONDS + 1) * SAMPLE_RATE
    assert last[-1] == 36000 / 0.04


def test_borders_between_windows_do_not_show(encoder: SpanEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a stationary signal, so that each window is normalised alike, cutting changes next to nothing."""
    waveform = 0.1 * np.random.default_rng(0).normal(size=(1, 40 * SAMPLE_RATE)).astype(np.float32)
    (whole,) = embed_window(encoder, EVERYTHING, cut(waveform, 100)[0])
    monkeypatch.setattr(embedding, "CORE_SECONDS", 10.0)
    pieces = [block for window in cut(waveform, 100) for block in embed_window(encoder, EVERYTHING, window)]
    assert len(pieces) == 4
    np.testing.assert_array_equal(np.concatenate([piece.slices for piece in pieces]), whole.slices)
    cosines = (from_codes(np.concatenate([piece.codes for piece in pieces])) * from_codes(whole.codes)).sum(axis=1)
    assert cosines.min() > 0.98
    assert [piece.first_frame for piece in pieces] == [0, 250, 500, 750]
    frames = np.concatenate([piece.frames.values() for piece in pieces])
    assert np.abs(frames - whole.frames.values()).mean() < 0.05 * np.abs(frames).mean()


def test_embeddings_are_those_of_the_encoder(encoder: SpanEncoder) -> None:
    waveform = 0.1 * np.random.default_rng(0).normal(size=(2, 80_000)).astype(np.float32)
    (window,) = cut(waveform, 100)
    first, second = embed_window(encoder, EVERYTHING, window)
    assert (first.channel, second.channel) == (1, 2)
    frames = encoder.frames(waveform[1])
    spans = second.slices * 0.04
    np.testing.assert_array_equal(second.codes, to_codes(encoder.embed_spans(frames, *spans.T)))
    np.testing.assert_allclose(second.frames.values(), frames.hidden[:125], atol=np.ptp(frames.hidden) / 255)


def test_silence_has_frames_but_no_segments(encoder: SpanEncoder) -> None:
    (window,) = cut(np.zeros((1, 5 * SAMPLE_RATE), np.float32), 100)
    (block,) = embed_window(encoder, SlicingSettings(), window)
    assert len(block.slices) == len(block.codes) == 0
    assert block.frames.codes.shape == (125, encoder.settings.hidden + 1)
