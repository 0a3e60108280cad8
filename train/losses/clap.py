"""Symmetric contrastive loss between spans and pronunciations (CLAP; JMCL, arXiv 2512.14115, L_at)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_SCALE = 50.0


class CLAPLoss(nn.Module):
    """InfoNCE in both directions with a learnable temperature, equal words masked.

    With S = scale · E_a E_tᵀ, span i of class y_i, and N_c the spans that are no positives of class c:

        L = ½ mean_i -log [ e^{S_i,y_i} / Σ_c e^{S_i,c} ]
          + ½ mean_i -log [ e^{S_i,y_i} / (e^{S_i,y_i} + Σ_{j ∈ N_{y_i}} e^{S_j,y_i}) ]

    Each span stands against every class, and each class against the spans of the others, so that two
    spans of one word never push each other away. Unlabelled spans (class -1) serve only as such negatives.
    """

    def __init__(self, scale: float = 1 / 0.07) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, spans: Tensor, texts: Tensor, target: Tensor, ignored: Tensor) -> Tensor:
        """The loss of spans (n, D) and texts (m, D), L2-normalised.

        target: (n,) index into texts, or -1. ignored: (k, 2) pairs (span, text) that are neither
        positive nor negative, because the span overlaps an occurrence of the text.
        """
        scale = self.log_scale.exp().clamp_max(MAX_SCALE)
        similarity = scale * spans @ texts.T
        labelled = target >= 0
        to_text = F.cross_entropy(similarity[labelled], target[labelled])

        row, column = labelled.nonzero().squeeze(1), target[labelled]
        excluded = torch.zeros_like(similarity, dtype=torch.bool)
        excluded[ignored[:, 0], ignored[:, 1]] = True
        excluded[row, column] = True
        against = similarity.masked_fill(excluded, -torch.inf).logsumexp(dim=0)
        positive = similarity[row, column]
        to_audio = (torch.logaddexp(positive, against[column]) - positive).mean()
        return (to_text + to_audio) / 2
