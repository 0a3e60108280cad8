"""Multi-Similarity with texts as proxies (Proxy-MS of ADML, arXiv 2505.16735, Table 1; Wang et al. 2019, Eq. 15)."""

from torch import Tensor, nn

from train.losses.pooling import extended_log_sum_exp
from train.losses.similarity import inner


class ProxyMSLoss(nn.Module):
    """AsyP with ELSE in both terms, names as there.

        L = 1/N Σ_i [ 1/α ELSE_{j ∈ P_i} α(λ - S(t_i, a_j)) + 1/β ELSE_{k ∈ N_i} β(S(a_i, t_k) - λ) ]

    The factor 1/β is Multi-Similarity's. The paper gives no values, and says that all else is equal: these are those of
    Eq. 2. Multi-Similarity's own on images are (2, 50, 0.5), which look at the hardest negatives only.
    """

    def __init__(self, alpha: float = 0.01, beta: float = 1.5, margin: float = 0.01) -> None:
        super().__init__()
        self.alpha, self.beta, self.margin = alpha, beta, margin

    def forward(self, audio: Tensor, text: Tensor, label: Tensor) -> Tensor:
        """The loss of audio and text (N, d), L2-normalised, of phonemes label (N,)."""
        same = label[:, None] == label
        similarity = inner(text, audio)
        pull = extended_log_sum_exp(self.alpha * (self.margin - similarity), same) / self.alpha
        push = extended_log_sum_exp(self.beta * (similarity.T - self.margin), ~same) / self.beta
        return (pull + push).mean()
