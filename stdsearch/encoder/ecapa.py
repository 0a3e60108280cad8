"""The encoders of ADML (Kim et al. 2025, arXiv 2505.16735): ECAPA-TDNN for sound, a BiLSTM for phones.

ECAPA-TDNN is Desplanques et al. (2020), arXiv 2005.07143, with 256 channels. Its aggregated layers are projected to the
d = 256 of ADML's phoneme-level embeddings, which leaves the acoustic side at the 1.8 million parameters that the paper
names. The phone BiLSTM has 128 units in each direction, so that its output has that d, too. The paper reads phones
with stress; here it is the 39 phones without stress, and silence.

The rows of a batch are laid end to end, so that there is no padding: normalisation, means and 1x1 convolutions see
real frames only, and convolutions in time read zeros beyond the ends of a row.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stdsearch.encoder.recurrent import BiLSTM
from stdsearch.encoder.segment import SegmentEncoder, centre, real
from stdsearch.features import MelSettings
from stdsearch.phones import SYMBOLS

VARIANCE_FLOOR = 1e-5


@dataclass(frozen=True, slots=True)
class ECAPASettings:
    """The shape of an ECAPA encoder; saved with its weights."""

    mel: MelSettings = field(default_factory=lambda: MelSettings(n_mels=40))
    channels: int = 256
    dilations: tuple[int, ...] = (2, 3, 4)
    scale: int = 8  # groups of channels in a Res2 block
    squeeze: int = 128  # bottleneck of squeeze-excitation, and of the attention of pooling
    dim: int = 256  # of frame-level and phone-level vectors and of embeddings
    phone_dim: int = 256
    phone_layers: int = 2

    @property
    def frame_seconds(self) -> float:
        """Seconds from one frame to the next."""
        return self.mel.hop

    @property
    def frame_width(self) -> int:
        """Columns of a frame: its log-mel."""
        return self.mel.n_mels


class Layout:
    """Where the frames of a batch lie when its rows are laid end to end: N real frames of B rows."""

    def __init__(self, lengths: Tensor, longest: int) -> None:
        self.mask = real(lengths, longest)
        self.row, self.time = self.mask.nonzero(as_tuple=True)  # (N,) each
        self.lengths = lengths
        self.left = lengths[self.row] - self.time  # frames to the end of the row, this one included

    def shifted(self, x: Tensor, offset: int) -> Tensor:
        """The frame (N, C) at t + offset for each t, zero beyond the ends of its row."""
        if offset == 0:
            return x
        inside = self.time >= -offset if offset < 0 else self.left > offset
        return x.roll(-offset, dims=0) * inside.unsqueeze(-1)

    def mean(self, x: Tensor) -> Tensor:
        """The mean (B, C) float32 of each row of frames (N, C)."""
        total = x.new_zeros(len(self.lengths), x.shape[1], dtype=torch.float32).index_add(0, self.row, x.float())
        return total / self.lengths[:, None]

    def padded(self, x: Tensor) -> Tensor:
        """Frames (N, C) as rows (B, T, C), zero beyond their ends."""
        rows = x.new_zeros(*self.mask.shape, x.shape[1])
        rows[self.row, self.time] = x
        return rows


class Convolution(nn.Module):
    """Convolution over time → ReLU → BatchNorm, on the frames of a layout."""

    def __init__(self, size: int, channels: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.offsets = [dilation * (k - kernel // 2) for k in range(kernel)]
        self.linear = nn.Linear(kernel * size, channels)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """(N, size) -> (N, channels)."""
        context = torch.cat([layout.shifted(x, offset) for offset in self.offsets], dim=1)
        normal: Tensor = self.norm(F.relu(self.linear(context)))
        return normal


class SERes2Block(nn.Module):
    """1x1 → Res2 → 1x1 → squeeze-excitation, and the input added.

    Of Res2's groups of channels the first passes, the second is convolved, each further one together with the output
    of the one before.
    """

    def __init__(self, settings: ECAPASettings, dilation: int) -> None:
        super().__init__()
        c = settings.channels
        if c % settings.scale:
            raise ValueError(f"{c} channels cannot be split into {settings.scale} groups")
        self.width = c // settings.scale
        self.enter = Convolution(c, c)
        self.groups = nn.ModuleList(Convolution(self.width, self.width, 3, dilation) for _ in range(settings.scale - 1))
        self.leave = Convolution(c, c)
        self.excite = nn.Sequential(
            nn.Linear(c, settings.squeeze), nn.ReLU(), nn.Linear(settings.squeeze, c), nn.Sigmoid()
        )

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """(N, channels) -> (N, channels)."""
        first, *rest = self.enter(x, layout).split(self.width, dim=1)
        found = [first]
        for number, (group, part) in enumerate(zip(self.groups, rest, strict=True)):
            found.append(group(part + found[-1] if number else part, layout))
        y = self.leave(torch.cat(found, dim=1), layout)
        gate = self.excite(layout.mean(y)).to(y.dtype)
        return x + y * gate[layout.row]


class StatisticsPooling(nn.Module):
    """Channel- and context-dependent statistics pooling (CCSP): rows of frames -> embeddings.

    [h_t; mean; std] → FC → tanh → FC → softmax over time, for each channel a weight of its own; the weighted mean and
    standard deviation → BatchNorm → FC.
    """

    def __init__(self, size: int, squeeze: int, dim: int) -> None:
        super().__init__()
        self.attend_frame = nn.Linear(size, squeeze)
        self.attend_context = nn.Linear(2 * size, squeeze, bias=False)  # the same FC's columns for mean and std
        self.weigh = nn.Linear(squeeze, size)
        self.norm = nn.BatchNorm1d(2 * size)
        self.out = nn.Linear(2 * size, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, size), mask (B, T) -> (B, dim); nothing where the mask is not set has a say."""
        inside = mask.unsqueeze(-1)
        h = x.float()
        equal = inside / inside.sum(dim=1, keepdim=True)
        context = self.attend_context(statistics(h, equal)).unsqueeze(1)
        logit = self.weigh(torch.tanh(self.attend_frame(x) + context)).float()
        weight = logit.masked_fill(~inside, -torch.inf).softmax(dim=1)
        embedding: Tensor = self.out(self.norm(statistics(h, weight)))
        return embedding


def statistics(x: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean and standard deviation (B, 2 C) over time of (B, T, C); weights sum to 1 over time."""
    mean = (weight * x).sum(dim=1)
    variance = (weight * (x - mean.unsqueeze(1)).square()).sum(dim=1)
    return torch.cat([mean, variance.clamp_min(VARIANCE_FLOOR).sqrt()], dim=-1)


class ECAPATDNN(nn.Module):
    """Segments of log-mel -> frame-level vectors and embeddings."""

    def __init__(self, settings: ECAPASettings) -> None:
        super().__init__()
        c, n_blocks = settings.channels, len(settings.dilations)
        self.enter = Convolution(settings.mel.n_mels, c, 5)
        self.blocks = nn.ModuleList(SERes2Block(settings, dilation) for dilation in settings.dilations)
        self.aggregate = nn.Linear(n_blocks * c, n_blocks * c)
        self.out = nn.Linear(n_blocks * c, settings.dim)
        self.pool = StatisticsPooling(settings.dim, settings.squeeze, settings.dim)

    def forward(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, n_mels), (B,) -> (B, T, dim), (B, dim)."""
        layout = Layout(lengths, mel.shape[1])
        x = self.enter(centre(mel, layout.mask)[layout.mask], layout)
        found: list[Tensor] = []
        for block in self.blocks:
            found.append(block(x, layout))
            x = x + found[-1]  # each block reads the sum of all before it
        aggregated = F.relu(self.aggregate(torch.cat(found, dim=1)))
        frames = layout.padded(self.out(aggregated))
        return frames, self.pool(frames, layout.mask)


class ECAPAEncoder(SegmentEncoder):
    """ADML's encoders; frame-level and phone-level vectors have the size of embeddings, d = dim."""

    kind = "ecapa"
    settings: ECAPASettings

    def __init__(self, settings: ECAPASettings | None = None) -> None:
        super().__init__(settings or ECAPASettings())
        s = self.settings
        self.sound = ECAPATDNN(s)
        self.phone = nn.Embedding(len(SYMBOLS), s.phone_dim)
        self.phones = BiLSTM(s.phone_dim, s.dim // 2, s.phone_layers)
        self.phones_out = nn.Linear(s.dim, s.dim)

    def audio(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See SegmentEncoder."""
        frames, embedding = self.sound(mel, lengths)
        return frames, F.normalize(embedding.float(), dim=-1)

    def text(self, phones: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See SegmentEncoder."""
        x = self.phones(self.phone(phones), real(lengths, phones.shape[1]))
        mean = x.float().sum(dim=1) / lengths[:, None]
        return x, F.normalize(self.phones_out(mean).float(), dim=-1)
