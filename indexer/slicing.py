"""Slices: the spans of every length and place at which a term may lie in a recording.

Lengths grow geometrically, so that a word of any duration is met by a slice of about its length; slices of one length
start a fifth of it apart, on the grid of the encoder's frames. They lie inside speech, give or take a margin.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class SlicingSettings:
    """Which slices are made; times in seconds. Saved in the archive.

    hop is a share of the slice's length, never less than a frame. speech_only leaves out slices that reach more than
    speech_margin beyond a stretch of speech.
    """

    shortest: float = 0.2
    longest: float = 1.6
    n_lengths: int = 9  # a ratio of 1.3 from one to the next
    hop: float = 0.2
    speech_only: bool = True
    speech_margin: float = 0.1

    def grid(self, frame_seconds: float) -> list[tuple[int, int]]:
        """Length and hop of each kind of slice, in frames, shortest first.

        >>> SlicingSettings(shortest=0.2, longest=0.8, n_lengths=3).grid(0.04)
        [(5, 1), (10, 2), (20, 4)]
        """
        lengths = np.rint(np.geomspace(self.shortest, self.longest, self.n_lengths) / frame_seconds).astype(int)
        return [(int(length), max(1, round(self.hop * length))) for length in np.unique(lengths)]


def slice_stretch(
    settings: SlicingSettings, frame_seconds: float, first: int, last: int, n_frames: int, speech: np.ndarray
) -> np.ndarray:
    """Slices that begin at frames [first, last), as (n, 2) begin and end in frames, by begin, then by length.

    Frames count from the start of the recording, and slices begin at multiples of their hop, so the stretches that a
    recording is cut into have no say in where they lie. They end at n_frames at the latest. speech (m, 2) holds
    stretches of speech in seconds, ascending and apart.
    """
    allowed = _allowed(settings, frame_seconds, n_frames, speech)
    found = []
    for length, hop in settings.grid(frame_seconds):
        begin = np.arange(-(-first // hop) * hop, min(last, n_frames - length + 1), hop)
        stretch = np.searchsorted(allowed[:, 0], begin, side="right") - 1  # -1, before the first, finds the sentinel
        begin = begin[begin + length <= allowed[stretch, 1]]
        found.append(np.stack([begin, begin + length], axis=1))
    slices = np.concatenate(found)
    return slices[np.lexsort((slices[:, 1], slices[:, 0]))]


def _allowed(settings: SlicingSettings, frame_seconds: float, n_frames: int, speech: np.ndarray) -> np.ndarray:
    """Stretches of frames that slices may use, ascending and apart, (m + 1, 2); the last is an empty sentinel."""
    sentinel = np.array([[n_frames + 1, -1]])
    if not settings.speech_only:
        return np.concatenate([[[0, n_frames]], sentinel])
    if not len(speech):
        return sentinel
    widened = speech + settings.speech_margin * np.array([-1, 1])
    apart = widened[1:, 0] > widened[:-1, 1]  # stretches that meet become one
    begin, end = widened[np.append(True, apart), 0], widened[np.append(apart, True), 1]
    frames = np.stack([np.ceil(begin / frame_seconds), np.floor(end / frame_seconds)], axis=1).astype(int)
    return np.concatenate([frames, sentinel])
