"""The speech of a split as training reads it: log-mel on disk, phones and words with their times in memory."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from stdsearch.audio import SAMPLE_RATE, read
from stdsearch.errors import StdSearchError
from stdsearch.features import LogMel, MelSettings
from stdsearch.phones import PHONE_INDEX, SILENCE, SYMBOLS
from train.cache import cached_rows
from train.manifest import SLACK_SECONDS, Utterance, file_state

EDGE_REACH = 0.02  # seconds from the middle of a stretch of 20 ms to an edge that is in or beside it

Phones = tuple[str, ...]
Progress = Callable[[Sequence[Utterance]], Iterable[Utterance]]


class Speech:
    """The utterances that say something, and of each its phones (indices into SYMBOLS) with their times (n, 2)."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self.utterances = [utterance for utterance in utterances if utterance.words]
        self.phones = [np.array([PHONE_INDEX[p.phone] for w in u.words for p in w.phones]) for u in self.utterances]
        self.times = [np.array([(p.tbeg, p.tend) for w in u.words for p in w.phones]) for u in self.utterances]
        # positions in the phone list where words begin, and the list's length
        self.borders = [np.cumsum([0, *(len(w.phones) for w in u.words)]) for u in self.utterances]
        self.edges = [np.sort([time for w in u.words for time in (w.tbeg, w.tend)]) for u in self.utterances]

    def at_edge(self, utterance: int, times: np.ndarray) -> np.ndarray:
        """Whether stretches of 20 ms with their middles at times (n,) hold, or lie beside, a word's begin or end."""
        edges = self.edges[utterance]
        counts: np.ndarray = np.searchsorted(edges, times + EDGE_REACH) - np.searchsorted(edges, times - EDGE_REACH)
        return counts > 0

    def waveform(self, utterance: Utterance, folder: Path) -> np.ndarray:
        """The samples (n,) of an utterance; StdSearchError if they end before its words do."""
        path = folder / utterance.audio
        waveform = read(path, channel=utterance.channel, tbeg=utterance.tbeg, dur=utterance.dur)
        if len(waveform) < (utterance.words[-1].tend - SLACK_SECONDS) * SAMPLE_RATE:
            seconds = utterance.tbeg + len(waveform) / SAMPLE_RATE
            raise StdSearchError(f"{path}: breaks off after {seconds:.2f} s; leave it out, or copy it again")
        return waveform

    def cache_name(self, kind: str, folder: Path, *settings: object) -> str:
        """A name for features of these utterances, made with some settings, while their files are as they are."""
        where = [(u.utterance, file_state(folder / u.audio), u.channel, u.tbeg, u.dur) for u in self.utterances]
        return f"{kind}-{hashlib.sha256(repr((*settings, where)).encode()).hexdigest()[:16]}"


class SpeechData(Speech):
    """Speech with its log-mel.

    mel (frames, n_mels) float16 holds that of all utterances end to end, utterance i from offset[i] on; it is a memory
    map: a hundred hours of 128 bins take 9 GB of disk and no memory.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        folder: Path,
        mel: MelSettings,
        cache: Path,
        progress: Progress = lambda items: items,
    ) -> None:
        super().__init__(utterances)
        self.hop = mel.hop
        log_mel = LogMel(mel)

        def compute(u: Utterance) -> np.ndarray:
            frames: np.ndarray = log_mel(torch.from_numpy(self.waveform(u, folder))).numpy()
            return frames

        name = self.cache_name("mel", folder, mel)
        rows, self.offset = cached_rows(cache, name, mel.n_mels, self.utterances, compute, progress)
        self.mel = torch.from_numpy(rows)
        self.by_word: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for i, utterance in enumerate(self.utterances):
            for word in utterance.words:
                self.by_word[word.text].append((i, (word.tbeg + word.tend) / 2))

    def log_prior(self) -> np.ndarray:
        """The log share (len(SYMBOLS),) of the time that each phone, and silence, takes; each given a second more."""
        seconds = np.zeros(len(SYMBOLS))
        for labels, times in zip(self.phones, self.times, strict=True):
            np.add.at(seconds, labels, times[:, 1] - times[:, 0])
        seconds[PHONE_INDEX[SILENCE]] += max(0.0, self.seconds - seconds.sum())
        return np.log((seconds + 1) / (seconds + 1).sum())

    @property
    def seconds(self) -> float:
        """Duration of all utterances."""
        return len(self.mel) * self.hop

    def n_frames(self, utterance: int) -> int:
        """Mel frames of an utterance."""
        return int(self.offset[utterance + 1] - self.offset[utterance])
