"""Frame vectors of all utterances of a split by a frozen encoder: what verifiers learn from, and archives store."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from stdsearch.encoder import SpanEncoder
from stdsearch.encoder.span import STRIDE
from train.augment import AugmentSettings, augmenter
from train.cache import cached_rows
from train.manifest import Utterance, file_state
from train.speech import Progress, Speech


class FrameData(Speech):
    """Speech with its frame vectors.

    Version 0 of an utterance's frames is clean, each of the `copies` is augmented by `train.augment`; since these keep
    its times, their speed and voice are as they were. hidden is a memory map: an hour takes 35 MB a version.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        folder: Path,
        encoder: SpanEncoder,
        cache: Path,
        *,
        copies: int = 0,
        augment: AugmentSettings | None = None,
        noise: Sequence[Path] = (),
        progress: Progress = lambda items: items,
    ) -> None:
        super().__init__(utterances)
        self.versions = 1 + copies
        self.width = encoder.settings.hidden
        self.frame_seconds = encoder.settings.frame_seconds
        settings = augment or AugmentSettings()
        changed = augmenter(settings, encoder.settings.mel, noise) if copies else None
        number = {u.utterance: i for i, u in enumerate(self.utterances)}

        def compute(u: Utterance) -> np.ndarray:
            mel = encoder.log_mel(torch.from_numpy(self.waveform(u, folder)))
            change = changed(number[u.utterance]) if changed else None
            made = [change(mel[None])[0] for _ in range(copies)] if change else []
            return _encode(encoder, torch.stack([mel, *made])).reshape(-1, self.width)

        about = (copies, settings, list(map(file_state, noise))) if copies else ()
        name = self.cache_name("frames", folder, encoder.fingerprint, about)
        self.hidden, self.offset = cached_rows(cache, name, self.width, self.utterances, compute, progress)

    @property
    def seconds(self) -> float:
        """Duration of all utterances."""
        return int(self.offset[-1]) // self.versions * self.frame_seconds

    def frames(self, utterance: int, version: int = 0) -> np.ndarray:
        """Frame vectors (T, width) float16 of an utterance."""
        first, last = (int(at) for at in self.offset[utterance : utterance + 2])
        n = (last - first) // self.versions
        return self.hidden[first + version * n : first + (version + 1) * n]


@torch.inference_mode()
def _encode(encoder: SpanEncoder, mel: torch.Tensor) -> np.ndarray:
    """Frame vectors (B, T, width) of log-mel (B, n, n_mels), each as `SpanEncoder.frames` makes them."""
    short = -mel.shape[1] % STRIDE
    hidden, _ = encoder.encode(F.pad(mel, (0, 0, 0, short)), torch.full((len(mel),), mel.shape[1]))
    frames: np.ndarray = hidden.numpy()
    return frames
