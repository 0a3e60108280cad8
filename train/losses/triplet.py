"""Triplet loss between audio and text (multi-view: He et al., arXiv 1611.04496, Eq. 1, obj0)."""

from torch import Tensor, nn
from torch.nn import functional as F

from train.losses.similarity import inner


class TripletLoss(nn.Module):
    """Each audio is nearer to its text than to any other word's, by a margin in cosine (ADML's Table 3).

        L = 1/N Σ_i mean_{k: y_k ≠ y_i} max(0, m - S(a_i, t_i) + S(a_i, t_k))

    The paper draws one negative at random; this is the mean over the draw. m = 0.4 is of that line of work, as ADML
    gives none. 0 where the batch has one word.
    """

    def __init__(self, margin: float = 0.4) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, audio: Tensor, text: Tensor, word: Tensor) -> Tensor:
        """The loss of audio and text (N, d), L2-normalised, of words word (N,)."""
        other = word[:, None] != word
        similarity = inner(audio, text)
        hinge = F.relu(self.margin - similarity.diagonal()[:, None] + similarity).masked_fill(~other, 0.0)
        return (hinge.sum(dim=1) / other.sum(dim=1).clamp_min(1)).mean()
