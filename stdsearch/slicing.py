"""Slices: the spans of every length and place at which a term may lie in a recording.

An archive holds an embedding of every slice; a stream is listened to by the same slices. Lengths grow geometrically, so
that a word of any duration is met by a slice of about its length; slices of one length start a quarter of it apart, on
the grid of the encoder's frames. They lie inside speech, whose margin is `activity`'s.
"""

from dataclasses import dataclass

import numpy as np

LONGEST_SLICE = 30.0  # seconds: half of what is embedded at a time
MOST_LENGTHS = 50
ROUNDING = 1e-6  # frames: 0.28 s is seven of 0.04 s, whatever floating point says


@dataclass(frozen=True, slots=True)
class SlicingSettings:
    """Which slices are made; times in seconds. Saved in the archive.

    hop is a share of the slice's length, never less than a frame. speech_only leaves out slices that reach beyond a
    stretch of speech.
    """

    shortest: float = 0.2
    longest: float = 1.6
    n_lengths: int = 7  # a ratio of 1.4 from one to the next
    hop: float = 0.25
    speech_only: bool = True

    def __post_init__(self) -> None:
        right = 0 < self.shortest <= self.longest and 2 <= self.n_lengths <= MOST_LENGTHS and 0 < self.hop <= 1
        if not right or self.longest > LONGEST_SLICE:
            raise ValueError(f"no slices can be cut by {self}")

    def grid(self, frame_seconds: float) -> list[tuple[int, int]]:
        """Length and hop of each kind of slice, in frames, shortest first.

        >>> SlicingSettings(shortest=0.2, longest=0.8, n_lengths=3).grid(0.04)
        [(5, 1), (10, 2), (20, 5)]
        """
        lengths = np.rint(np.geomspace(self.shortest, self.longest, self.n_lengths) / frame_seconds).clip(1).astype(int)
        return [(int(length), max(1, round(self.hop * length))) for length in np.unique(lengths)]


def slice_stretch(
    settings: SlicingSettings, frame_seconds: float, first: int, last: int, n_frames: int, speech: np.ndarray
) -> np.ndarray:
    """Slices that begin at frames [first, last), as (n, 2) begin and end in frames, by begin, then by length.

    Frames count from the start of the recording, and slices begin at multiples of their hop, so the stretches that a
    recording is cut into have no say in where they lie. They end at n_frames at the latest. speech (m, 2) holds
    stretches of speech in seconds, ascending and apart.
    """
    stretches = np.ceil(speech[:, 0] / frame_seconds - ROUNDING), np.floor(speech[:, 1] / frame_seconds + ROUNDING)
    begins, ends = stretches if settings.speech_only else (np.zeros(1), np.full(1, n_frames))
    ends = np.append(ends, -1)  # where index -1, before the first stretch, looks: no slice ends by then
    found = []
    for length, hop in settings.grid(frame_seconds):
        begin = np.arange(-(-first // hop) * hop, min(last, n_frames - length + 1), hop)
        stretch = np.searchsorted(begins, begin, side="right") - 1
        begin = begin[begin + length <= ends[stretch]]
        found.append(np.stack([begin, begin + length], axis=1))
    slices = np.concatenate(found)
    return slices[np.lexsort((slices[:, 1], slices[:, 0]))]
