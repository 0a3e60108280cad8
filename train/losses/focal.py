"""Focal loss of a binary decision (Lin et al., arXiv 1708.02002, Eq. 5), as PLCL has it for audio enrolment."""

from torch import Tensor, nn
from torch.nn import functional as F

from train.losses.similarity import wide


class FocalLoss(nn.Module):
    """Cross-entropy that looks away from what is decided well already.

    With p_t the probability of the right answer and α_t = α for targets of 1, 1 - α for those of 0:

        L = -1/N Σ α_t (1 - p_t)^γ log p_t
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25) -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, alpha

    def forward(self, logit: Tensor, target: Tensor) -> Tensor:
        """The loss of logit (N,), log odds of 1, for target (N,) of 0 and 1."""
        is_true = target > 0.5
        right = wide(logit).where(is_true, -wide(logit))  # log odds of the right answer
        balance = is_true * self.alpha + ~is_true * (1 - self.alpha)
        return -(balance * (self.gamma * F.logsigmoid(-right)).exp() * F.logsigmoid(right)).mean()
