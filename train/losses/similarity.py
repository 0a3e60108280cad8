"""Similarities of embeddings, wide enough for the losses that exponentiate them."""

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """The tensor in float32, or as it is if wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Inner products (n, m) of rows x (n, d) and y (m, d), cosines if L2-normalised, in float32 or wider.

    Autocast is overruled: a cosine in bfloat16 has three digits, too few where it is scaled by 64 or subtracted.
    """
    with torch.autocast(x.device.type, enabled=False):
        return wide(x) @ wide(y).T
