"""Deep Word Discrimination (JMCL, arXiv 2512.14115): spans against the centroids of their words."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DWDLoss(nn.Module):
    """Softmax and contrast losses on cosines to word centroids; those of GE2E without scale and offset.

    For span i of word j, c_j^(-i) is the mean of the word's other spans, c_k of all spans of word k, S the cosine:

        L_sm = -S(i, c_j^(-i)) + log Σ_k e^{S(i, c_k)}    (in the sum too, the own centroid leaves i out)
        L_cc = 1 - S(i, c_j^(-i)) + max_{k ≠ j} S(i, c_k)

    Averaged over the spans of words that have at least two; 0 where fewer than two words have.
    """

    def forward(self, spans: Tensor, target: Tensor) -> Tensor:
        """The loss of spans (n, D), L2-normalised, of classes target (n,); class -1 is left out."""
        count = torch.bincount(target + 1)  # class -1 is counted at 0
        repeated = (target >= 0) & (count[target + 1] >= 2)
        if len(target[repeated].unique()) < 2:
            return spans.sum() * 0.0
        spans = spans[repeated]
        words, word = target[repeated].unique(return_inverse=True)
        total = spans.new_zeros(len(words), spans.shape[1]).index_add(0, word, spans)
        n = torch.bincount(word).to(spans.dtype).unsqueeze(1)
        similarity = spans @ F.normalize(total / n, dim=1).T
        others = F.normalize((total[word] - spans) / (n[word] - 1), dim=1)
        own = (spans * others).sum(dim=1)
        is_own = F.one_hot(word, len(words)).bool()
        l_sm = torch.where(is_own, own.unsqueeze(1), similarity).logsumexp(dim=1) - own
        l_cc = 1 - own + similarity.masked_fill(is_own, -torch.inf).amax(dim=1)
        return (l_sm + l_cc).mean()
