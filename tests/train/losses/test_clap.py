import math

import pytest
import torch
from torch.nn import functional as F

from train.losses import CLAPLoss


def clap_by_loops(spans, texts, target, ignored, scale):
    similarity = scale * spans @ texts.T
    labelled = [i for i, y in enumerate(target) if y >= 0]
    to_text = to_audio = 0.0
    for i in labelled:
        y = target[i]
        to_text -= math.log(math.exp(similarity[i, y]) / sum(math.exp(s) for s in similarity[i]))
        others = [j for j in range(len(spans)) if target[j] != y and (j, y) not in ignored]
        positive = math.exp(similarity[i, y])
        to_audio -= math.log(positive / (positive + sum(math.exp(similarity[j, y]) for j in others)))
    return (to_text + to_audio) / len(labelled) / 2


def test_equals_its_formula(unit):
    spans, texts = unit(7, 5), unit(4, 5, seed=1)
    target, ignored = [0, 1, 0, 2, -1, -1, 1], {(4, 0), (5, 2), (3, 1)}
    loss = CLAPLoss(scale=7.0).double()
    found = loss(spans, texts, torch.tensor(target), torch.tensor(sorted(ignored)))
    assert found.item() == pytest.approx(clap_by_loops(spans, texts, target, ignored, 7.0), abs=1e-6)


def test_gradient(unit):
    loss = CLAPLoss(scale=3.0).double()
    target, ignored = torch.tensor([0, 1, 0, -1]), torch.tensor([[3, 1]])
    spans, texts = unit(4, 3).requires_grad_(), unit(2, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: loss(s, t, target, ignored), (spans, texts))


def test_one_span_of_each_class_is_the_papers_loss(unit):
    """L_at = ½ [CE(C, I) + CE(Cᵀ, I)], C = e^τ E_t E_aᵀ, of one view."""
    spans, texts, nothing = unit(6, 5), unit(6, 5, seed=1), torch.empty(0, 2, dtype=torch.int64)
    loss, target = CLAPLoss(scale=7.0).double(), torch.arange(6)
    c = 7.0 * texts @ spans.T
    expected = (F.cross_entropy(c, target) + F.cross_entropy(c.T, target)) / 2
    assert loss(spans, texts, target, nothing).item() == pytest.approx(expected.item(), abs=1e-6)
