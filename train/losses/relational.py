"""Relational Proxy loss: audio lies among audio as text among text (Jung et al., arXiv 2406.05314; ADML, section 3.2).

ADML names three terms but writes none. Distance and angle are those of Relational Knowledge Distillation (RKD: Park et
al., arXiv 1904.05068, Eqs. 4-8), the family they belong to, with text as the teacher; the prototypical term is that of
Prototypical Networks (Snell et al., arXiv 1703.05175, Eq. 2).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from train.losses.similarity import inner

SHORTEST = 1e-3  # embeddings nearer than this count as one: float32 knows neither their distance nor its direction
CHUNK = 2**20  # angles in memory at a time


class RelationalProxyLoss(nn.Module):
    """Weighted sum of distance_loss, angle_loss and prototypical_loss, see there.

    ADML gives no weights. 25 and 50 are RKD's beside a cross-entropy of weight 1, as the prototypical term is: Huber
    losses are small, and at RKD's other weights, 1 and 2, random batches had a hundredth of its gradient from them.
    """

    def __init__(self, distance: float = 25.0, angle: float = 50.0, prototypical: float = 1.0) -> None:
        super().__init__()
        self.distance, self.angle, self.prototypical = distance, angle, prototypical

    def forward(self, audio: Tensor, text: Tensor, word: Tensor) -> Tensor:
        """The loss of audio and text (N, d), L2-normalised, of words word (N,)."""
        return (
            self.distance * distance_loss(audio, text)
            + self.angle * angle_loss(audio, text, word)
            + self.prototypical * prototypical_loss(audio, text, word)
        )


def distance_loss(audio: Tensor, text: Tensor) -> Tensor:
    """Huber loss between the relative distances of all pairs, audio (N, d) against text (N, d).

        L = mean_{i ≠ j} Huber(ψ(a_i, a_j) - ψ(t_i, t_j)),   ψ(x_i, x_j) = ‖x_i - x_j‖ / mean_{k ≠ l} ‖x_k - x_l‖

    No gradient goes to the text, which teaches.
    """
    n_pairs = max(1, len(audio) * (len(audio) - 1))
    ours, theirs = (_distances(inner(x, x)) for x in (audio, text.detach()))
    ours, theirs = (d / (d.sum() / n_pairs).clamp_min(SHORTEST) for d in (ours, theirs))
    return F.huber_loss(ours, theirs, reduction="sum") / n_pairs


def angle_loss(audio: Tensor, text: Tensor, word: Tensor) -> Tensor:
    """Huber loss between the cosines of angles, audio (N, d) against text (N, d), words (N,).

        L = mean_{i,j,k} Huber(cos ∠(a_i, a_j, a_k) - cos ∠(t_i, t_j, t_k))

    over i ≠ k and vertices j of another word than both: a side between texts of one word has no direction. No gradient
    goes to the text. The sides' products come from those of the embeddings, (x_i - x_j)·(x_k - x_j) =
    G_ik - G_ij - G_jk + G_jj, so that the cost is N³ operations, not N³ d. They are made again for the gradient, so
    that the memory is CHUNK, not N³.
    """
    other = word[:, None] != word
    sides = []
    for x in (audio, text.detach()):
        gram = inner(x, x)
        distance = _distances(gram)
        sides += [gram, distance.clamp_min(SHORTEST).reciprocal() * (other & (distance > 0))]
    n_sides = other.sum(dim=1)
    total = audio.new_zeros((), dtype=sides[0].dtype)
    for vertex in torch.arange(len(word), device=word.device).split(max(1, CHUNK // len(word) ** 2)):
        total = total + checkpoint(_angle_penalty, *sides, vertex, use_reentrant=False, preserve_rng_state=False)
    return total / (n_sides * (n_sides - 1)).sum().clamp_min(1)


def prototypical_loss(audio: Tensor, text: Tensor, word: Tensor) -> Tensor:
    """Cross-entropy of texts (N, d) among the mean audio of the words, audio (N, d), words (N,).

        L = -1/N Σ_i log [ e^{-‖t_i - c_{y_i}‖²} / Σ_w e^{-‖t_i - c_w‖²} ],   c_w = mean_{j: y_j = w} a_j

    Its gradient goes to both, so the text learns from this term.
    """
    words, index = word.unique(return_inverse=True)
    member = (words[:, None] == word).to(torch.promote_types(audio.dtype, torch.float32))
    centroid = inner(member / member.sum(dim=1, keepdim=True), audio.T)
    return F.cross_entropy(2 * inner(text, centroid) - centroid.square().sum(dim=1), index)  # ‖t_i‖² cancels


def _distances(gram: Tensor) -> Tensor:
    """Distances (N, N) of vectors from their scalar products (N, N); 0 below SHORTEST."""
    square = gram.diagonal()
    squared = square[:, None] + square - 2 * gram
    return squared.clamp_min(SHORTEST**2).sqrt().where(squared > SHORTEST**2, 0.0)


def _angle_penalty(audio: Tensor, audio_side: Tensor, text: Tensor, text_side: Tensor, vertex: Tensor) -> Tensor:
    """Huber loss summed over the angles at some vertices (c,), see _angles."""
    return F.huber_loss(_angles(audio, audio_side, vertex), _angles(text, text_side, vertex), reduction="sum")


def _angles(gram: Tensor, side: Tensor, vertex: Tensor) -> Tensor:
    """Cosines (c, N, N) of the angles at vertices (c,).

    gram (N, N) are scalar products, side (N, N) inverse lengths, or 0 for a side that does not count.
    """
    to_vertex, inverse = gram[vertex], side[vertex]  # (c, N)
    square = gram.diagonal()[vertex, None, None]
    product = gram - to_vertex[:, :, None] - to_vertex[:, None, :] + square
    return product * inverse[:, :, None] * inverse[:, None, :]
