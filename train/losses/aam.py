"""Softmax with an additive angular margin (AAM-softmax, ArcFace: Deng et al., arXiv 1801.07698, Eq. 3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.losses.angular import widen_angle
from train.losses.similarity import inner, wide


class AAMSoftmaxLoss(nn.Module):
    """Keyword classification of ADML's Table 3 (arXiv 2505.16735).

    With θ_k the angle between an embedding and the weights of class k, y its own class:

        L = -1/N Σ_i log [ e^{s cos(θ_y + m)} / (e^{s cos(θ_y + m)} + Σ_{k ≠ y} e^{s cos θ_k}) ]

    cos(θ_y + m) is continued where it would rise again, see widen_angle. The paper gives no s and m: 32 and 0.2 are
    those of the code that it takes SphereFace2 from.
    """

    margin_share = 1.0  # of the margin; a recipe lets it grow from 0

    def __init__(self, dim: int, n_classes: int, *, scale: float = 32.0, margin: float = 0.2) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_classes, dim)))
        self.scale, self.margin = scale, margin

    def forward(self, audio: Tensor, label: Tensor) -> Tensor:
        """The loss of audio (N, d), L2-normalised, of classes label (N,)."""
        cos = inner(audio, F.normalize(wide(self.weight), dim=1))
        is_own = label[:, None] == torch.arange(len(self.weight), device=label.device)
        moved = widen_angle(cos, self.margin * self.margin_share)
        return F.cross_entropy(self.scale * moved.where(is_own, cos), label)
