"""What an ECF says counts: how many seconds there are, and which stretches of which channels.

Rules of NIST's F4DE 3.5.0: hours are counted per recording, not per channel; an excerpt is known by its file's name
without directory and last extension.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

import numpy as np

from stdsearch.formats.ecf import ECF
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics.grouped import running_max_by_group, searchsorted_by_group

SPLIT_CHANNELS = "splitcts"  # one conversation as two recordings, one a side: each counts half


def recording_id(audio_filename: str) -> str:
    """The name by which hits and references call the recording.

    >>> recording_id("audio/dev/fsh_60650.exA.sph")
    'fsh_60650.exA'
    """
    name = audio_filename.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def names_apart(ecf: ECF, rttm: Iterable[RTTMRow]) -> tuple[list[str], list[str]]:
    """The recordings that only the RTTM names, and those that only the ECF does, each in the files' order."""
    covered = dict.fromkeys(recording_id(excerpt.audio_filename) for excerpt in ecf.excerpts)
    described = dict.fromkeys(row.file for row in rttm)
    return [name for name in described if name not in covered], [name for name in covered if name not in described]


def total_seconds(ecf: ECF) -> float:
    """The seconds that the ECF covers, counted once however many channels they have.

    A recording's excerpts in order of time, each cut where the next one starts.
    """
    recordings: dict[str, list[tuple[float, float, float]]] = {}
    for excerpt in ecf.excerpts:
        share = 0.5 if excerpt.source_type == SPLIT_CHANNELS else 1.0
        span = (excerpt.tbeg, round(excerpt.tbeg + excerpt.dur, 4), share)
        recordings.setdefault(recording_id(excerpt.audio_filename), []).append(span)
    seconds = 0.0
    for spans in recordings.values():
        spans.sort(key=itemgetter(0, 1))
        for (tbeg, tend, share), (following, _, _) in pairwise([*spans, (np.inf, np.inf, 1.0)]):
            seconds += share * (min(tend, following) - tbeg)
    return seconds


@dataclass(frozen=True, slots=True)
class Coverage:
    """The ECF's channels, numbered, and its excerpts sorted by channel and begin; latest_end is the running maximum."""

    channels: dict[tuple[str, int], int]
    excerpt_channel: np.ndarray
    excerpt_tbeg: np.ndarray
    latest_end: np.ndarray

    @classmethod
    def from_ecf(cls, ecf: ECF) -> "Coverage":
        """The stretches that the ECF's excerpts cover."""
        channels: dict[tuple[str, int], int] = {}
        for excerpt in ecf.excerpts:
            channels.setdefault((recording_id(excerpt.audio_filename), excerpt.channel), len(channels))
        rows = sorted(
            (channels[recording_id(e.audio_filename), e.channel], e.tbeg, round(e.tbeg + e.dur, 4))
            for e in ecf.excerpts
        )
        channel, tbeg, tend = (np.array(column) for column in zip(*rows, strict=True))
        return cls(channels, channel, tbeg, running_max_by_group(channel, tend))

    def number(self, files: Iterable[str], channels: Iterable[int]) -> np.ndarray:
        """The number of each (file, channel), shape (n,), -1 where the ECF lacks it."""
        get = self.channels.get
        return np.array([get(key, -1) for key in zip(files, channels, strict=True)], dtype=np.int64)

    def holds(self, channel: np.ndarray, tbeg: np.ndarray, tend: np.ndarray) -> np.ndarray:
        """Whether each span lies wholly inside one excerpt of its numbered channel, shape (n,)."""
        last = searchsorted_by_group(self.excerpt_channel, self.excerpt_tbeg, channel, tbeg, side="right") - 1
        is_in_channel = (last >= 0) & (channel >= 0) & (self.excerpt_channel[last] == channel)
        return is_in_channel & (tend <= self.latest_end[last])
