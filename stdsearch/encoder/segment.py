"""Segment encoders: each cut segment is embedded by a pass of its own, as in the papers on acoustic word embeddings.

Their frames are log-mel, which depends on nothing but its surroundings of a window, so a segment cut from a recording's
frames is the segment cut from its audio. What a span costs grows with its length; slices dominate indexing.
"""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from stdsearch.encoder.base import Encoder
from stdsearch.encoder.interface import Frames, unit_rows
from stdsearch.features import MEL_SCALE

FRAMES_AT_ONCE = 8192  # mel frames, padding included: some 100 MB of activations; larger batches are no faster


class SegmentEncoder(Encoder):
    """An encoder of cut segments.

    Training calls `audio` and `text`. In both, what lies beyond a row's length has no influence on anything, and
    frame-level outputs are zero there.
    """

    @abstractmethod
    def audio(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frame-level vectors (B, T, d) and embeddings (B, dim), L2-normalised, of log-mel segments (B, T, n_mels).

        lengths: (B,) in mel frames, at least 1, beyond which a row is padding.
        """

    @abstractmethod
    def text(self, phones: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Phone-level vectors (B, L, d) and embeddings (B, dim), L2-normalised, of phone sequences.

        phones: (B, L) indices into SYMBOLS, zero beyond lengths (B,), which are at least 1.
        """

    @torch.inference_mode()
    def frames(self, waveform: np.ndarray) -> Frames:
        """Log-mel (T, n_mels) of a stretch (n,) of one channel; frame t is centred on t * frame_seconds."""
        mel = self.log_mel(torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32)))
        return Frames(mel.numpy(), self.settings.frame_seconds)

    @torch.inference_mode()
    def embed_spans(self, frames: Frames, tbeg: np.ndarray, tend: np.ndarray) -> np.ndarray:
        """Embeddings (n, dim) float32 of spans, in seconds, of the frames from round(tbeg / frame_seconds) on.

        At least one frame each. Batches hold spans of about one length, the longest first.
        """
        hidden = torch.from_numpy(frames.hidden)
        begin = np.rint(np.asarray(tbeg) / frames.frame_seconds).astype(int).clip(0, len(hidden) - 1)
        end = np.rint(np.asarray(tend) / frames.frame_seconds).astype(int).clip(begin + 1, len(hidden))
        starts, lengths = torch.from_numpy(begin), torch.from_numpy(end - begin)
        embeddings = np.empty((len(begin), self.settings.dim), np.float32)
        order = np.argsort(begin - end, kind="stable")
        at = 0
        while at < len(order):
            longest = int(lengths[order[at]])
            rows = order[at : at + max(1, FRAMES_AT_ONCE // longest)]
            taken = (starts[rows, None] + torch.arange(longest)).clamp_max(len(hidden) - 1)
            _, embedded = self.audio(hidden[taken], lengths[rows])
            embeddings[rows] = embedded.numpy()
            at += len(rows)
        return embeddings

    def _embed_text(self, phones: Tensor, lengths: Tensor) -> Tensor:
        _, embedding = self.text(phones, lengths)
        return embedding

    def match_vectors(self, frames: Frames) -> np.ndarray:
        """Log-mel spectra (T, n_mels), L2-normalised, less their level and tilt; zero where that leaves nothing."""
        n_mels = frames.hidden.shape[1]
        line = np.polynomial.legendre.legvander(np.linspace(-1, 1, n_mels), 1)
        line, _ = np.linalg.qr(line)
        shape = frames.hidden - frames.hidden @ line @ line.T
        flat = np.abs(shape).max(axis=1, keepdims=True) < 1e-3  # digital silence, but for rounding
        return unit_rows(np.where(flat, 0, shape))


def real(lengths: Tensor, longest: int) -> Tensor:
    """Mask (B, longest), True before the end of each row."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def centre(mel: Tensor, mask: Tensor) -> Tensor:
    """Log-mel (B, T, n_mels) less each row's mean over its real frames, scaled; zero where mask (B, T) is not set."""
    weight = mask.unsqueeze(-1).to(mel.dtype)
    mean = (mel * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
    return (mel - mean) * weight * MEL_SCALE
