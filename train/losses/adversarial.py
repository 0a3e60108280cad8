"""Modality adversarial learning: encoders that hide which modality an embedding is of (ADML, arXiv 2505.16735, 3.3)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.losses.similarity import wide


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return -gradient


def reverse_gradient(x: Tensor) -> Tensor:
    """The same values, the gradient times -1 (Ganin and Lempitsky, arXiv 1409.7495)."""
    return _Reversal.apply(x)


class ModalityAdversarialLoss(nn.Module):
    """Cross-entropy of a classifier of audio against text, behind a gradient reversal (Eq. 4).

        L = -1/N Σ_i log M_audio(a_i) - 1/M Σ_i log M_text(t_i),   M = softmax(W_2 relu(W_1 x + b_1) + b_2)

    Adding λ_adv · L to the loss of the embeddings is the minimax of Eq. 5: the classifier goes down L, the encoders go
    up. The paper has λ_adv = 0.1 and one classifier for phonemes and utterances: call one module for both and add.
    It does not say what stands between the two layers; relu is our choice.
    """

    def __init__(self, dim: int, hidden: int = 256) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """The loss of audio (N, d) and text (M, d)."""
        losses = []
        for modality, x in enumerate((audio, text)):
            logit = wide(self.classifier(reverse_gradient(x)))
            losses.append(F.cross_entropy(logit, torch.full((len(x),), modality, device=x.device)))
        return losses[0] + losses[1]
