"""From a recording's samples to its segments and frames, a window at a time.

A recording of any length passes in windows: a core, which the windows of a recording tile, and context on both sides.
Frames are kept of the core; a slice belongs to the window in whose core it begins, and the context after it is long
enough to hold the slice's end, so none is lost at a border.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from stdsearch.activity import speech_spans
from stdsearch.archive.frames import QuantisedFrames, quantise
from stdsearch.archive.segments import to_codes
from stdsearch.audio import SAMPLE_RATE
from stdsearch.encoder import Encoder, Frames
from stdsearch.slicing import SlicingSettings, slice_stretch

CORE_SECONDS = 60.0
CONTEXT_SECONDS = 1.0  # the network sees about half a second to each side
SPANS_AT_ONCE = 2048  # bounds the memory of pooling to some 100 MB


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a recording: waveform (channels, n) from frame `begin`, or tbeg seconds, on.

    Its core is frames [first, last) of the recording.
    """

    waveform: np.ndarray
    tbeg: float
    begin: int
    first: int
    last: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class ChannelBlock:
    """What one channel of a window gives: slices (n, 2) in frames, their embeddings as codes, and the core's frames."""

    channel: int
    slices: np.ndarray
    codes: np.ndarray
    first_frame: int
    frames: QuantisedFrames


def windows(blocks: Iterable[np.ndarray], frame_samples: int, *, longest: float) -> Iterator[Window]:
    """Windows over consecutive (channels, n) blocks of a recording at 16 kHz.

    Cores last CORE_SECONDS, the final one between half and one and a half of it, so that only a whole recording is
    ever shorter than that: the encoder normalises each window by itself. longest is the longest slice in seconds.
    """
    per_second = SAMPLE_RATE / frame_samples
    core, before = round(CORE_SECONDS * per_second), round(CONTEXT_SECONDS * per_second)
    after = round((longest + CONTEXT_SECONDS) * per_second)
    spare = max(core // 2, after)
    held: np.ndarray | None = None
    begin = first = 0
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] >= (first + core + spare - begin) * frame_samples:
            last = first + core
            waveform = held[:, : (last + after - begin) * frame_samples]
            yield Window(waveform, begin / per_second, begin, first, last, is_final=False)
            kept = max(0, last - before)
            held, begin, first = held[:, (kept - begin) * frame_samples :], kept, last
    if held is not None:
        last = begin - (-held.shape[1] // frame_samples)
        yield Window(held, begin / per_second, begin, first, last, is_final=True)


def embed_window(encoder: Encoder, settings: SlicingSettings, window: Window) -> list[ChannelBlock]:
    """The segments and frames of each channel of a window."""
    return [
        _embed_channel(encoder, settings, window, channel, waveform)
        for channel, waveform in enumerate(window.waveform, start=1)
    ]


def _embed_channel(
    encoder: Encoder, settings: SlicingSettings, window: Window, channel: int, waveform: np.ndarray
) -> ChannelBlock:
    seconds = encoder.settings.frame_seconds
    frames = encoder.frames(waveform)
    end = window.begin - (-len(waveform) // round(seconds * SAMPLE_RATE))
    speech = speech_spans(waveform) + window.tbeg if settings.speech_only else np.empty((0, 2))
    slices = slice_stretch(settings, seconds, window.first, window.last, end, speech)
    core = frames.hidden[window.first - window.begin : window.last - window.begin]
    return ChannelBlock(channel, slices, _embed(encoder, frames, slices - window.begin), window.first, quantise(core))


def _embed(encoder: Encoder, frames: Frames, slices: np.ndarray) -> np.ndarray:
    """The embeddings of slices in frames, as codes (n, dim)."""
    codes = np.empty((len(slices), encoder.settings.dim), np.int8)
    for at in range(0, len(slices), SPANS_AT_ONCE):
        some = slices[at : at + SPANS_AT_ONCE] * frames.frame_seconds
        codes[at : at + SPANS_AT_ONCE] = to_codes(encoder.embed_spans(frames, some[:, 0], some[:, 1]))
    return codes
