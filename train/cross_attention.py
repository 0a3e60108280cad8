"""Cross-attention: which frames of a recording say each phone (ADML, arXiv 2505.16735, Eq. 1)."""

import math

import torch
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Audio aligned to the phones of a text: A = softmax(Q Kᵀ / √d) over the frames, aligned audio = A V.

    Q is made of the text, K and V of the audio. The paper counts the layer among those that learn but shows no
    weights: here they are three matrices that begin as the identity, so that at first Q, K and V are the embeddings.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        for layer in (self.query, self.key, self.value):
            nn.init.eye_(layer.weight)

    def forward(
        self, text: Tensor, audio: Tensor, phone_lengths: Tensor, frame_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Aligned audio (B, L, d) and affinity A (B, L, T) of text (B, L, d) and audio (B, T, d).

        phone_lengths, frame_lengths: (B,), at least 1; beyond them both results are zero.
        """
        phone = torch.arange(text.shape[1], device=text.device) < phone_lengths[:, None]
        frame = torch.arange(audio.shape[1], device=audio.device) < frame_lengths[:, None]
        score = self.query(text) @ self.key(audio).transpose(1, 2) / math.sqrt(text.shape[2])
        affinity = score.masked_fill(~frame[:, None, :], float("-inf")).softmax(dim=2)
        affinity = affinity.masked_fill(~phone[:, :, None], 0.0)
        return affinity @ self.value(audio).masked_fill(~frame[:, :, None], 0.0), affinity
