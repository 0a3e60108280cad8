"""The speech of a split as training reads it: log-mel on disk, phones and words with their times in memory."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from stdsearch.audio import read
from stdsearch.errors import StdSearchError
from stdsearch.features import LogMel, MelSettings
from stdsearch.phones import PHONE_INDEX, SILENCE, SYMBOLS
from train.manifest import Utterance

Phones = tuple[str, ...]
AT_ONCE = 64  # utterances whose log-mel is computed before any of it is written


class SpeechData:
    """All utterances of a split that say something.

    mel (frames, n_mels) float16 holds their log-mel end to end, utterance i from offset[i] on; it is a memory map of a
    file in `cache`, which is made once: a hundred hours of 128 bins take 9 GB of disk and no memory.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        folder: Path,
        mel: MelSettings,
        cache: Path,
        progress: Callable[[Sequence[Utterance]], Iterable[Utterance]] = lambda items: items,
    ) -> None:
        self.utterances = [utterance for utterance in utterances if utterance.words]
        self.hop = mel.hop
        where = [(u.utterance, str(u.audio), u.channel, u.tbeg, u.dur) for u in self.utterances]
        name = hashlib.sha256(repr((mel, where)).encode()).hexdigest()[:16]
        file, index = cache / f"mel-{name}.f16", cache / f"mel-{name}.npy"
        if not index.exists():
            _write_mel(progress(self.utterances), folder, mel, file, index)
        self.offset = np.load(index)
        shape = (int(self.offset[-1]), mel.n_mels)
        # copy-on-write, for torch takes no array that cannot be written to
        self.mel = torch.from_numpy(
            np.memmap(file, np.float16, "c", shape=shape) if shape[0] else np.empty(shape, np.float16)
        )
        self.phones = [np.array([PHONE_INDEX[p.phone] for w in u.words for p in w.phones]) for u in self.utterances]
        self.times = [np.array([(p.tbeg, p.tend) for w in u.words for p in w.phones]) for u in self.utterances]
        # positions in the phone list where words begin, and the list's length
        self.borders = [np.cumsum([0, *(len(w.phones) for w in u.words)]) for u in self.utterances]
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


def _write_mel(utterances: Iterable[Utterance], folder: Path, mel: MelSettings, file: Path, index: Path) -> None:
    """Write log-mel to `file` as it is computed and, last, where each utterance begins to `index`.

    Each core computes utterances of its own. Two runs that share a cache may do this at the same time.
    """
    log_mel, lengths, threads = LogMel(mel), [0], torch.get_num_threads()
    partial = file.with_suffix(f".{os.getpid()}")

    def compute(u: Utterance) -> np.ndarray:
        waveform = read(folder / u.audio, channel=u.channel, tbeg=u.tbeg, dur=u.dur)
        frames: np.ndarray = log_mel(torch.from_numpy(waveform)).half().numpy()
        return frames

    torch.set_num_threads(1)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as out, ThreadPoolExecutor(threads) as pool:
            some: list[Utterance] = []
            for u in chain(utterances, [None]):
                some += [u] if u else []
                if len(some) == AT_ONCE or not u:
                    for frames in pool.map(compute, some):
                        lengths.append(len(frames))
                        out.write(frames.tobytes())
                    some = []
        partial.replace(file)
        with open(partial, "wb") as out:
            np.save(out, np.cumsum(lengths))
        partial.replace(index)
    except OSError as error:
        raise StdSearchError(
            f"{file}: features cannot be written ({error.strerror or error}); make room, or name another --cache"
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        torch.set_num_threads(threads)
