"""SphereFace2: one binary classifier for each keyword (Wen et al., ICLR 2022; for speech Han et al., ICASSP 2023)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.losses.angular import narrow_angle, widen_angle
from train.losses.similarity import inner, wide

MARGIN = {"A": 0.15, "C": 0.2}


class SphereFace2Loss(nn.Module):
    """Keyword classification of ADML (arXiv 2505.16735, section 3.2 and Table 3), by the code it refers to.

    With θ_k the angle between an embedding and the weights of class k, g(z) = 2((z + 1)/2)^t - 1 and scalar bias b:

        C:  L = λ log(1 + e^{-s(g(cos θ_y) - m) - b}) + (1 - λ) Σ_{k ≠ y} log(1 + e^{s(g(cos θ_k) + m) + b})
        A:  the same with g(cos(θ_y + m)) and g(cos(θ_k - m)) in place of g(cos θ_y) - m and g(cos θ_k) + m

    Averaged over the batch. cos(θ_y + m) is continued where it would rise again, see widen_angle. Defaults are those
    of the code, margins 0.2 for C and 0.15 for A.
    """

    margin_share = 1.0  # of the margin; a recipe lets it grow from 0, as the code does

    def __init__(
        self,
        dim: int,
        n_classes: int,
        kind: str = "C",
        *,
        scale: float = 32.0,
        balance: float = 0.7,
        t: int = 3,
        margin: float | None = None,
    ) -> None:
        if kind not in MARGIN:
            raise ValueError(f'SphereFace2 has kinds "A" and "C", not "{kind}"')
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_classes, dim)))
        self.bias = nn.Parameter(torch.zeros(()))
        self.kind, self.scale, self.balance, self.t = kind, scale, balance, t
        self.margin = MARGIN[kind] if margin is None else margin

    def forward(self, audio: Tensor, label: Tensor) -> Tensor:
        """The loss of audio (N, d), L2-normalised, of classes label (N,)."""
        cos, margin = inner(audio, F.normalize(wide(self.weight), dim=1)), self.margin * self.margin_share
        if self.kind == "A":
            own, other = self._spread(widen_angle(cos, margin)), self._spread(narrow_angle(cos, margin))
        else:
            own, other = self._spread(cos) - margin, self._spread(cos) + margin
        positive = self.balance * F.softplus(-self.scale * own - self.bias)
        negative = (1 - self.balance) * F.softplus(self.scale * other + self.bias)
        is_own = label[:, None] == torch.arange(len(self.weight), device=label.device)
        return positive.where(is_own, negative).sum(dim=1).mean()

    def _spread(self, cos: Tensor) -> Tensor:
        return 2 * ((cos + 1) / 2) ** self.t - 1
