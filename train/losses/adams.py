"""AsyP with adaptive margin and scales (AdaMS: Jung and Kim, arXiv 2210.14564; ADML, arXiv 2505.16735, section 3.1)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.losses.asyp import pull_constant
from train.losses.pooling import extended_log_sum_exp, mean_softplus
from train.losses.similarity import inner

SCALES = (0.01, 64.0)  # from the paper's first α up to what is as good as a maximum over the pairs
MARGINS = (-1.0, 1.0)  # no cosine lies beyond


class AdaMSLoss(nn.Module):
    """AsyP whose α, β and λ are learnt for each phoneme; each anchor has those of its own.

        L = 1/N Σ_i [ 1/⌊α_i⌋ ELSE_{j ∈ P_i} α_i(λ_i - S(t_i, a_j)) + MSP_{k ∈ N_i} β_i(S(a_i, t_k) - λ_i) ]

    They start at ADML's values for AsyP, so that the loss is AsyP at first. What follows is our choice, since ADML does
    not say how they are kept in range. α and β are softplus of raw parameters, and a step that leaves SCALES or
    MARGINS is taken back to the border. ⌊α⌋ is α as a constant, without a gradient. With one, ∂L/∂α would be -H/α² for
    H the entropy of ELSE's weights: never positive, whatever the embeddings, so that α would only rise; and with the
    constant log(1 + |P_i|)/α taken away, never negative, so that α would only fall. As it stands, α_i rises where
    positives lie above the margin and falls where they lie below; β_i rises where negatives lie below and else falls.
    """

    def __init__(self, n_classes: int, alpha: float = 0.01, beta: float = 1.5, margin: float = 0.01) -> None:
        super().__init__()
        self.raw_alpha = nn.Parameter(torch.full((n_classes,), inverse_softplus(alpha)))
        self.raw_beta = nn.Parameter(torch.full((n_classes,), inverse_softplus(beta)))
        self.raw_margin = nn.Parameter(torch.full((n_classes,), margin))

    def parameters_of(self, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """α, β and λ (N,) of phonemes label (N,), after steps beyond a border were taken back."""
        low, high = (inverse_softplus(scale) for scale in SCALES)
        self.raw_alpha.data.clamp_(low, high)
        self.raw_beta.data.clamp_(low, high)
        self.raw_margin.data.clamp_(*MARGINS)
        return F.softplus(self.raw_alpha)[label], F.softplus(self.raw_beta)[label], self.raw_margin[label]

    def forward(self, audio: Tensor, text: Tensor, label: Tensor) -> Tensor:
        """The loss of audio and text (N, d), L2-normalised, of phonemes label (N,) below n_classes."""
        alpha, beta, margin = self.parameters_of(label)
        same = label[:, None] == label
        similarity = inner(text, audio)
        pull = extended_log_sum_exp(alpha[:, None] * (margin[:, None] - similarity), same) / alpha.detach()
        push = mean_softplus(beta[:, None] * (similarity.T - margin[:, None]), ~same)
        return (pull + push).mean()

    @torch.no_grad()
    def constant(self, label: Tensor) -> Tensor:
        """What no embedding moves, though α does: see pull_constant."""
        return pull_constant(label, self.parameters_of(label)[0])


def inverse_softplus(value: float) -> float:
    """The x whose softplus, log(1 + e^x), is value > 0."""
    return value + math.log(-math.expm1(-value))
