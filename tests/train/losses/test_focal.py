import math

import pytest
import torch
from torch.nn import functional as F

from train.losses import FocalLoss

LOGIT = torch.tensor([2.0, -1.0, 0.0, 0.3, -4.0, 0.0], dtype=torch.float64)
TARGETS = [[1, 1, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]


def focal_by_loops(logit, target, gamma, alpha):
    total = 0.0
    for z, y in zip(logit.tolist(), target.tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        right, balance = (p, alpha) if y == 1 else (1 - p, 1 - alpha)
        total -= balance * (1 - right) ** gamma * math.log(right)
    return total / len(logit)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_equals_its_formula(target, gamma, alpha, dtype):
    target = torch.tensor(target, dtype=dtype)
    found = FocalLoss(gamma, alpha)(LOGIT, target).item()
    assert found == pytest.approx(focal_by_loops(LOGIT, target, gamma, alpha), abs=1e-6)


def test_without_focus_it_is_half_the_cross_entropy():
    target = torch.tensor(TARGETS[0], dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(LOGIT, target).item() / 2
    assert FocalLoss(0.0, 0.5)(LOGIT, target).item() == pytest.approx(expected, abs=1e-12)


def test_gradient():
    target = torch.tensor(TARGETS[0])
    assert torch.autograd.gradcheck(lambda z: FocalLoss()(z, target), (LOGIT.clone().requires_grad_(),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_certain_logits_are_finite(dtype):
    logit = torch.tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype, requires_grad=True)
    loss = FocalLoss()(logit, torch.tensor([1, 0, 0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx((0.75 + 0.25) * logit.max().item() / 4)
    assert logit.grad.isfinite().all()
