import math

import pytest
import torch
from torch.nn import functional as F

from train.losses import DWDLoss


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


def test_equals_its_formula(unit):
    spans, target = unit(9, 5), [0, 1, 0, 2, -1, 1, 1, 3, 3]
    assert DWDLoss()(spans, torch.tensor(target)).item() == pytest.approx(dwd_by_loops(spans, target), abs=1e-6)


def test_gradient(unit):
    target = torch.tensor([0, 1, 0, 1, -1])
    assert torch.autograd.gradcheck(lambda s: DWDLoss()(s, target), (unit(5, 3).requires_grad_(),))


def test_without_repeated_words_is_zero(unit):
    spans = unit(3, 4).requires_grad_()
    loss = DWDLoss()(spans, torch.tensor([0, 1, -1]))
    loss.backward()
    assert loss.item() == 0
    assert spans.grad.abs().max() == 0
