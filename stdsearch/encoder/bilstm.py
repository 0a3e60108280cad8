"""The encoders of JMCL (Gundluru, Gupta and Murty 2025, arXiv 2512.14115): a BiLSTM for sound and one for phones.

The mel spectrogram, which the authors' code leaves linear, is logarithmic and mean-normalised here. The paper reads 87
tokens, phones with stress; here it is the 39 phones without stress, and silence.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stdsearch.encoder.recurrent import BiLSTM, last_states
from stdsearch.encoder.segment import SegmentEncoder, centre, real
from stdsearch.features import MelSettings
from stdsearch.phones import SYMBOLS


@dataclass(frozen=True, slots=True)
class BiLSTMSettings:
    """The shape of a BiLSTM encoder; saved with its weights."""

    mel: MelSettings = field(
        default_factory=lambda: MelSettings(n_mels=128, n_fft=1024, f_min=0.0, f_max=8000.0, norm="slaney")
    )
    hidden: int = 256  # units in each direction
    layers: int = 3
    dropout: float = 0.2
    phone_dim: int = 256
    dim: int = 512

    @property
    def frame_seconds(self) -> float:
        """Seconds from one frame to the next."""
        return self.mel.hop

    @property
    def frame_width(self) -> int:
        """Columns of a frame: its log-mel."""
        return self.mel.n_mels


class BiLSTMEncoder(SegmentEncoder):
    """Last forward and last backward state of a BiLSTM → FC → L2, for sound and for phones."""

    kind = "bilstm"
    settings: BiLSTMSettings

    def __init__(self, settings: BiLSTMSettings | None = None) -> None:
        super().__init__(settings or BiLSTMSettings())
        s = self.settings
        self.sound = BiLSTM(s.mel.n_mels, s.hidden, s.layers, s.dropout)
        self.sound_out = nn.Linear(2 * s.hidden, s.dim)
        self.phone = nn.Embedding(len(SYMBOLS), s.phone_dim)
        self.phones = BiLSTM(s.phone_dim, s.hidden, s.layers, s.dropout)
        self.phones_out = nn.Linear(2 * s.hidden, s.dim)

    def audio(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See SegmentEncoder; d = 2 hidden."""
        mask = real(lengths, mel.shape[1])
        x = self.sound(centre(mel, mask), mask)
        return x, F.normalize(self.sound_out(last_states(x, lengths)).float(), dim=-1)

    def text(self, phones: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See SegmentEncoder; d = 2 hidden."""
        embedded = self.phone(phones)
        x = self.phones(embedded + positions(phones.shape[1], embedded), real(lengths, phones.shape[1]))
        return x, F.normalize(self.phones_out(last_states(x, lengths)).float(), dim=-1)


def positions(length: int, like: Tensor) -> Tensor:
    """Sinusoidal positions (length, d) of Vaswani et al. (2017), section 3.5, of the size and kind of like (..., d).

    Column 2 i is sin(position / 10000^(2 i / d)), column 2 i + 1 the cosine of the same; d is even.
    """
    d = like.shape[-1]
    rate = torch.exp(torch.arange(0, d, 2, device=like.device) * (-math.log(10000) / d))
    angle = torch.arange(length, device=like.device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).to(like.dtype)
