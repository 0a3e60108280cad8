"""Monotonic matching: attention that runs along the diagonal (L_MM of CMCD, Interspeech 2022, and of ADML)."""

import torch
from torch import Tensor, nn


class MonotonicMatchingLoss(nn.Module):
    """The share of attention that lies off the diagonal, for audio and text of one keyword.

    ADML (arXiv 2505.16735, section 3.1) names the loss and drops CMCD's noise target for pairs that do not match, but
    neither form is written out there. Ours is the guided attention of Tachibana et al. (arXiv 1710.08969, Eq. 6). With
    A the affinity of L phones and T frames, whose rows sum to 1:

        L = 1/L Σ_n Σ_t A_nt (1 - exp(-((n + ½)/L - (t + ½)/T)² / 2g²))

    averaged over the batch; between 0 and 1. g is `width`, 0.2 as there.
    """

    def __init__(self, width: float = 0.2) -> None:
        super().__init__()
        self.width = width

    def forward(self, affinity: Tensor, phone_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
        """The loss of affinity (B, L, T), of which the first lengths (B,) phones and frames count."""
        phone = torch.arange(affinity.shape[1], device=affinity.device)
        frame = torch.arange(affinity.shape[2], device=affinity.device)
        valid = (phone < phone_lengths[:, None])[:, :, None] & (frame < frame_lengths[:, None])[:, None, :]
        down = (phone + 0.5) / phone_lengths[:, None]
        along = (frame + 0.5) / frame_lengths[:, None]
        offset = (down[:, :, None] - along[:, None, :]).to(affinity.dtype)
        penalty = 1 - torch.exp(-(offset.square()) / (2 * self.width**2))
        return ((affinity * penalty).masked_fill(~valid, 0.0).sum(dim=(1, 2)) / phone_lengths).mean()
