"""Span pooling: every span of a sequence of frames from one set of prefix sums.

A span [b, e) of weighted frames (weights w_t = exp a_t, frames h_t) is cut into K equal parts. It is described by the
weighted mean of each part, which keeps the order of what is said, and the weighted standard deviation of the whole:

    mean_k = Σ_{t in part k} w_t h_t / Σ_{t in part k} w_t,     std = sqrt(Σ w_t h_t² / Σ w_t - mean²)

Borders are real numbers in frames: a frame cut by a border counts by the share that lies inside. With prefix sums,
read between their points by linear interpolation, each span costs a few subtractions, whatever its length.
"""

import torch
from torch import Tensor

from stdsearch.encoder.settings import VARIANCE_FLOOR


def pool_spans(hidden: Tensor, logit: Tensor, row: Tensor, begin: Tensor, end: Tensor, parts: int) -> Tensor:
    """Pooled spans (n, (parts + 1) * d) of a batch of frame sequences.

    hidden: (B, T, d) frames; logit: (B, T) attention logits a_t; row: (n,) which sequence each span lies in;
    begin, end: (n,) in frames, 0 <= begin < end <= T.
    """
    weight = logit.float().exp().unsqueeze(-1)
    hidden = hidden.float()
    weighted = weight * hidden
    terms = torch.cat([weight, weighted, weighted * hidden], dim=-1)
    prefix = torch.nn.functional.pad(terms.cumsum(dim=1), (0, 0, 1, 0))  # (B, T + 1, 1 + 2 d)
    d, n_points = hidden.shape[-1], prefix.shape[1]

    share = torch.linspace(0, 1, parts + 1, device=hidden.device)
    border = begin[:, None] + (end - begin)[:, None] * share  # (n, parts + 1)
    low = border.floor().clamp(0, n_points - 2).long()
    flat = prefix.reshape(-1, prefix.shape[-1])
    at = low + row[:, None] * n_points
    part = (border - low)[..., None]
    cumulated = torch.lerp(flat[at], flat[at + 1], part)  # (n, parts + 1, 1 + 2 d)

    inside = cumulated.diff(dim=1)
    means = inside[..., 1 : 1 + d] / inside[..., :1]
    whole = cumulated[:, -1] - cumulated[:, 0]
    mean, square = (whole[:, 1:] / whole[:, :1]).split(d, dim=-1)
    std = (square - mean.square()).clamp_min(VARIANCE_FLOOR).sqrt()
    return torch.cat([means.flatten(1), std], dim=-1)
