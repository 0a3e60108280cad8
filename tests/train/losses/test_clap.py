"""Every loss against a loop written from its formula."""

import math

import pytest
import torch
from torch.nn import functional as F

from train.losses import CLAPLoss, DWDLoss


def unit(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


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


def test_clap_equals_its_formula():
    spans, texts = unit(7, 5), unit(4, 5, seed=1)
    target, ignored = [0, 1, 0, 2, -1, -1, 1], {(4, 0), (5, 2), (3, 1)}
    loss = CLAPLoss(scale=7.0).double()
    found = loss(spans, texts, torch.tensor(target), torch.tensor(sorted(ignored)))
    assert found.item() == pytest.approx(clap_by_loops(spans, texts, target, ignored, 7.0), abs=1e-6)


def test_clap_gradient():
    loss = CLAPLoss(scale=3.0).double()
    target, ignored = torch.tensor([0, 1, 0, -1]), torch.tensor([[3, 1]])
    spans, texts = unit(4, 3).requires_grad_(), unit(2, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: loss(s, t, target, ignored), (spans, texts))


def dwd_by_loops(spans, target):
    def centroid(members):
        return F.normalize(torch.stack(members).mean(0), dim=0)

    words = {y for y in target if y >= 0 and target.count(y) >= 2}
    total = n = 0
    for i, y in enumerate(target):
        if y not in words:
            continue
        own = spans[i] @ centroid([spans[m] for m in range(len(spans)) if target[m] == y and m != i])
        others = [spans[i] @ centroid([spans[m] for m in range(len(spans)) if target[m] == k]) for k in words - {y}]
        l_sm = -own + math.log(math.exp(own) + sum(math.exp(s) for s in others))
        l_cc = 1 - own + max(others)
        total, n = total + l_sm + l_cc, n + 1
    return float(total / n)


def test_dwd_equals_its_formula():
    spans, target = unit(9, 5), [0, 1, 0, 2, -1, 1, 1, 3, 3]
    assert DWDLoss()(spans, torch.tensor(target)).item() == pytest.approx(dwd_by_loops(spans, target), abs=1e-6)


def test_dwd_gradient():
    target = torch.tensor([0, 1, 0, 1, -1])
    assert torch.autograd.gradcheck(lambda s: DWDLoss()(s, target), (unit(5, 3).requires_grad_(),))


def test_dwd_without_repeated_words_is_zero():
    spans = unit(3, 4).requires_grad_()
    loss = DWDLoss()(spans, torch.tensor([0, 1, -1]))
    loss.backward()
    assert loss.item() == 0
    assert spans.grad.abs().max() == 0
