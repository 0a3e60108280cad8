"""The phoneme memory bank of PLCL (arXiv 2412.20805, II-B): one vector of each phoneme, whatever its context."""

import torch
from torch import Tensor
from torch.nn import functional as F

MOMENTUM = 0.8  # α of Eq. 3


def well_matched(audio: Tensor, text: Tensor, phone: Tensor) -> Tensor:
    """Which phones (n,) are of high quality: of all texts (n, d) one of the same phone is nearest to the audio (n, d).

    The paper takes "high-quality phoneme data" without saying what that is. Rows are L2-normalised; phone: (n,).
    """
    return phone[(audio @ text.T).argmax(dim=1)] == phone


@torch.no_grad()
def updated(bank: Tensor, audio: Tensor, phone: Tensor, *, momentum: float = MOMENTUM) -> Tensor:
    """The bank (S, d) after phones heard as audio (n, d), L2-normalised, of symbols phone (n,).

    p_k ← α p_k + (1 - α) p_k^new (Eq. 3), p_k^new being the L2-normalised mean of the phones of symbol k. A symbol
    that was never heard, whose vector is zero, takes p_k^new itself; one that is not among the phones stays.
    """
    total = torch.zeros_like(bank).index_add(0, phone, audio.to(bank.dtype))
    heard = torch.bincount(phone, minlength=len(bank)).unsqueeze(1) > 0
    new = F.normalize(total, dim=1)
    moved = torch.where(filled(bank).unsqueeze(1), momentum * bank + (1 - momentum) * new, new)
    return torch.where(heard, moved, bank)


def filled(bank: Tensor) -> Tensor:
    """Which symbols (S,) the bank (S, d) has a vector of."""
    return bank.abs().sum(dim=1) > 0
