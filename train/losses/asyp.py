"""Asymmetric-Proxy loss at the level of phonemes (ADML, arXiv 2505.16735, Eq. 2; Jung and Kim, arXiv 2203.16080)."""

import torch
from torch import Tensor, nn

from train.losses.pooling import extended_log_sum_exp, mean_softplus
from train.losses.similarity import inner


class AsyPLoss(nn.Module):
    """Texts draw the audio of their phoneme near, audio pushes the texts of the others away.

    Of N phonemes with audio a_i and text t_i, S the cosine, P_i those of the same phoneme as i (i too), N_i the others:

        L = 1/N Σ_i [ 1/α ELSE_{j ∈ P_i} α(λ - S(t_i, a_j)) + MSP_{k ∈ N_i} β(S(a_i, t_k) - λ) ]

    The terms differ in their anchor, text in the first and audio in the second, and in their function. The paper's
    print lacks the sets below ELSE and MSP. A batch of one phoneme has no second term.
    """

    def __init__(self, alpha: float = 0.01, beta: float = 1.5, margin: float = 0.01) -> None:
        super().__init__()
        self.alpha, self.beta, self.margin = alpha, beta, margin

    def forward(self, audio: Tensor, text: Tensor, label: Tensor) -> Tensor:
        """The loss of audio and text (N, d), L2-normalised, of phonemes label (N,)."""
        same = label[:, None] == label
        similarity = inner(text, audio)
        pull = extended_log_sum_exp(self.alpha * (self.margin - similarity), same) / self.alpha
        push = mean_softplus(self.beta * (similarity.T - self.margin), ~same)
        return (pull + push).mean()

    def constant(self, label: Tensor) -> Tensor:
        """What the loss is made of at α = 0.01 but no embedding moves: see pull_constant."""
        return pull_constant(label, torch.full(label.shape, self.alpha, device=label.device))


def pull_constant(label: Tensor, alpha: Tensor) -> Tensor:
    """1/N Σ_i log(1 + |P_i|) / α_i, the first term where every S is λ: label, alpha (N,) -> scalar.

    At the paper's α it is some hundred times the rest of the loss, so a log reads better without it.
    """
    n_same = (label[:, None] == label).sum(dim=1)
    return (torch.log1p(n_same.to(alpha.dtype)) / alpha).mean()
