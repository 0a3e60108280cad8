"""Binomial deviance with texts as proxies (Proxy-BD of ADML, arXiv 2505.16735, Table 1; Yi et al. 2014)."""

from torch import Tensor, nn

from train.losses.pooling import mean_softplus
from train.losses.similarity import inner


class ProxyBDLoss(nn.Module):
    """AsyP with MSP in both terms, names as there.

        L = 1/N Σ_i [ 1/α MSP_{j ∈ P_i} α(λ - S(t_i, a_j)) + MSP_{k ∈ N_i} β(S(a_i, t_k) - λ) ]

    The paper says no more than that both terms are MSP and all else is equal. So we change the function only and keep
    anchors, factors and values of Eq. 2; without 1/α, which binomial deviance does not have, α = 0.01 would not pull.
    """

    def __init__(self, alpha: float = 0.01, beta: float = 1.5, margin: float = 0.01) -> None:
        super().__init__()
        self.alpha, self.beta, self.margin = alpha, beta, margin

    def forward(self, audio: Tensor, text: Tensor, label: Tensor) -> Tensor:
        """The loss of audio and text (N, d), L2-normalised, of phonemes label (N,)."""
        same = label[:, None] == label
        similarity = inner(text, audio)
        pull = mean_softplus(self.alpha * (self.margin - similarity), same) / self.alpha
        push = mean_softplus(self.beta * (similarity.T - self.margin), ~same)
        return (pull + push).mean()
