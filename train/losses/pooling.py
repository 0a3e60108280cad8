"""How a loss pools the penalties of one anchor's pairs: ELSE and MSP (ADML, arXiv 2505.16735, below Eq. 2)."""

from torch import Tensor
from torch.nn import functional as F


def extended_log_sum_exp(x: Tensor, chosen: Tensor) -> Tensor:
    """ELSE, log(1 + Σ_j e^{x_j}) of each row's chosen entries: x, chosen (n, m) -> (n,); 0 where none is chosen.

    Its gradient goes to the largest entries (Multi-Similarity loss, Wang et al. 2019).
    """
    return F.pad(x.masked_fill(~chosen, float("-inf")), (0, 1)).logsumexp(dim=1)  # the 1 is e^0, one more column


def mean_softplus(x: Tensor, chosen: Tensor) -> Tensor:
    """MSP, mean_k log(1 + e^{x_k}) of each row's chosen entries: x, chosen (n, m) -> (n,); 0 where none is chosen.

    Each entry counts by itself (binomial deviance, Yi et al. 2014).
    """
    return F.softplus(x).masked_fill(~chosen, 0.0).sum(dim=1) / chosen.sum(dim=1).clamp_min(1)
