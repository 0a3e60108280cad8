"""Contrastive loss of phonemes, audio-text and audio-audio (PLCL, arXiv 2412.20805, Eqs. 1 and 2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.losses.similarity import inner


class PhonemeInfoNCELoss(nn.Module):
    """InfoNCE over all phonemes of a batch, where the positive of query q_i is key k_i.

        L = -1/N Σ_i log [ e^{S(q_i, k_i)/τ} / Σ_j e^{S(q_i, k_j)/τ} ]

    L_clat has queries from audio and keys from text (in ADML's Table 1 too: the texts are the proxies), L_claa queries
    and keys from the audio of query and enrolment. The paper sums over i; the mean does not depend on the batch. It
    gives no τ: 0.04 is that of MPA-KWS, of the same line of work.
    """

    def __init__(self, temperature: float = 0.04) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, query: Tensor, key: Tensor, label: Tensor | None = None) -> Tensor:
        """The loss of query and key (N, d), L2-normalised.

        Given the phonemes label (N,), other samples of query i's own phoneme are left out of its sum; in the paper
        they count as negatives.
        """
        logit = inner(query, key) / self.temperature
        index = torch.arange(len(logit), device=logit.device)
        if label is not None:
            twin = (label[:, None] == label) & (index[:, None] != index)
            logit = logit.masked_fill(twin, float("-inf"))
        return F.cross_entropy(logit, index)
