"""What every encoder offers, whatever network is behind it: query, index and benchmarks know no more of it."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stdsearch.features import LogMel, MelSettings
from stdsearch.phones import PHONE_INDEX


@dataclass(frozen=True, slots=True)
class Frames:
    """What an encoder keeps of a stretch of one channel, and an archive stores.

    hidden: (T, width) float32, of a width and meaning that are the encoder's own: a span encoder's frame vectors and,
    last, the attention logit; a segment encoder's log-mel.
    """

    hidden: np.ndarray
    frame_seconds: float

    @property
    def duration(self) -> float:
        """Seconds that the frames cover."""
        return len(self.hidden) * self.frame_seconds


class Settings(Protocol):
    """What is asked of an encoder's settings, a frozen dataclass that is saved with its weights."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def mel(self) -> MelSettings:
        """The features that it reads."""

    @property
    def dim(self) -> int:
        """The size of an embedding."""

    @property
    def frame_seconds(self) -> float:
        """Seconds from one of its frames to the next."""

    @property
    def frame_width(self) -> int:
        """The columns of its frames' `hidden`."""


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
        embedding: np.ndarray = self._embed_text(*pad_phones(pronunciations)).numpy()
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


def pad_phones(pronunciations: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
    """Indices (n, L) into SYMBOLS, zero beyond lengths (n,); ValueError for a pronunciation without a phone."""
    if not all(pronunciations):
        raise ValueError("a pronunciation needs at least one phone")
    lengths = torch.tensor([len(phones) for phones in pronunciations])
    padded = torch.zeros(len(pronunciations), int(lengths.max()), dtype=torch.long)
    inside = torch.arange(padded.shape[1]) < lengths[:, None]
    padded[inside] = torch.tensor([PHONE_INDEX[phone] for phones in pronunciations for phone in phones])
    return padded, lengths


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows (n, d), L2-normalised and contiguous; a row of zeros stays one."""
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.where(norm > 0, norm, 1), dtype=np.float32)
