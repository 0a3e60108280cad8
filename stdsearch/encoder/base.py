"""What every encoder offers, whatever network is behind it: query, index and benchmarks know no more of it."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from stdsearch.encoder.interface import Frames, Settings, pad_phones
from stdsearch.features import LogMel


class Encoder(nn.Module, ABC):
    """Recordings and pronunciations as vectors of one space, where the cosine tells whether a span says the phones.

    The methods here take and give numpy arrays and run without gradients, on the CPU; put the encoder in eval mode
    first. Training calls methods of the kinds of encoder instead. A kind is one class; `storage` lists them.
    """

    kind: ClassVar[str]
    rows_per_frame: ClassVar[int] = 1  # of phone posteriors, and of log odds of edges
    settings: Settings
    log_prior: Tensor  # (len(SYMBOLS),), only with a phone head: log share of each symbol in the training data

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.metadata: dict[str, str] = {}  # what its file says of it: provenance, calibration
        self.log_mel = LogMel(settings.mel)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over settings and weights (as float16, as they are saved): equal where embeddings are."""
        digest = hashlib.sha256(repr(self.settings).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode() + value.detach().cpu().half().numpy().tobytes())
        return digest.hexdigest()

    @abstractmethod
    def frames(self, waveform: np.ndarray) -> Frames:
        """Frames of a stretch (n,) of one channel, float32 at 16 kHz; at least one frame."""

    @abstractmethod
    def embed_spans(self, frames: Frames, tbeg: np.ndarray, tend: np.ndarray) -> np.ndarray:
        """Embeddings (n, dim) float32, L2-normalised, of spans in seconds from the start of the frames; clipped."""

    @torch.inference_mode()
    def embed_phones(self, pronunciations: Sequence[Sequence[str]]) -> np.ndarray:
        """Embeddings (n, dim) float32, L2-normalised, of phone sequences; ValueError for an empty one."""
        embedding: np.ndarray = self._embed_text(*map(torch.from_numpy, pad_phones(pronunciations))).numpy()
        return embedding

    @abstractmethod
    def _embed_text(self, phones: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings (n, dim) of phones (n, L), indices into SYMBOLS, zero beyond lengths (n,)."""

    def phone_log_posteriors(self, frames: Frames) -> np.ndarray | None:
        """Log posteriors (k T, len(SYMBOLS)) float32, k = rows_per_frame; None from an encoder without such a head.

        Where there is one, `log_prior` is what they are compared with.
        """
        return None

    def edge_log_odds(self, frames: Frames) -> np.ndarray | None:
        """Log odds (k T,) float32 that a word begins or ends in or beside each row of `phone_log_posteriors`.

        None from an encoder without such a head.
        """
        return None

    @abstractmethod
    def match_vectors(self, frames: Frames) -> np.ndarray:
        """Rows (T, d) float32, L2-normalised and contiguous, whose cosine DTW goes by; each of its own frame alone."""
