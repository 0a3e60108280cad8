"""What is asked of an encoder, whatever network is behind it; known without torch, whose import outlasts a query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from stdsearch.mel_settings import MelSettings
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


class SearchEncoder(Protocol):
    """What search asks of an encoder; the methods are told of in `encoder.Encoder`."""

    @property
    def settings(self) -> Settings:
        """Its shape."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What its file says of it: provenance, calibration."""

    @property
    def rows_per_frame(self) -> int:
        """Of phone posteriors, and of log odds of edges."""

    @property
    def log_prior(self) -> Any:
        """The log share of each symbol in the training data (len(SYMBOLS),), only with a phone head."""

    def frames(self, waveform: np.ndarray) -> Frames:
        """Frames of a stretch of one channel."""

    def embed_spans(self, frames: Frames, tbeg: np.ndarray, tend: np.ndarray) -> np.ndarray:
        """Embeddings of spans."""

    def embed_phones(self, pronunciations: Sequence[Sequence[str]]) -> np.ndarray:
        """Embeddings of phone sequences."""

    def phone_log_posteriors(self, frames: Frames) -> np.ndarray | None:
        """Log posteriors of the phones."""

    def edge_log_odds(self, frames: Frames) -> np.ndarray | None:
        """Log odds that a word begins or ends."""

    def match_vectors(self, frames: Frames) -> np.ndarray:
        """Rows whose cosine DTW goes by."""


def pad_phones(pronunciations: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, L) into SYMBOLS, zero beyond lengths (n,); ValueError for a pronunciation without a phone."""
    if not all(pronunciations):
        raise ValueError("a pronunciation needs at least one phone")
    lengths = np.array([len(phones) for phones in pronunciations])
    padded = np.zeros((len(pronunciations), lengths.max()), np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = [
        PHONE_INDEX[phone] for phones in pronunciations for phone in phones
    ]
    return padded, lengths


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows (n, d), L2-normalised and contiguous; a row of zeros stays one."""
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.where(norm > 0, norm, 1), dtype=np.float32)
