import math

import pytest
import torch
from torch.nn import functional as F

from train.losses import AAMSoftmaxLoss

pytestmark = pytest.mark.usefixtures("double")


def aam_by_loops(audio, label, loss, margin):
    weight = F.normalize(loss.weight.detach(), dim=1)
    total = 0.0
    for i, y in enumerate(label.tolist()):
        theta = [math.acos(float(audio[i] @ w)) for w in weight]
        moved = (
            math.cos(theta[y] + margin) if theta[y] < math.pi - margin else math.cos(theta[y]) - 1 + math.cos(margin)
        )
        own = math.exp(loss.scale * moved)
        total -= math.log(own / (own + sum(math.exp(loss.scale * math.cos(t)) for k, t in enumerate(theta) if k != y)))
    return total / len(label)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_equals_its_formula(batch, share):
    audio, _, label = batch
    loss = AAMSoftmaxLoss(5, 4)
    loss.margin_share = share
    assert loss(audio, label).item() == pytest.approx(aam_by_loops(audio, label, loss, share * 0.2), abs=1e-6)


def test_gradient(smooth_batch):
    audio, _, label = smooth_batch
    loss = AAMSoftmaxLoss(5, 4, scale=4.0)
    assert torch.autograd.gradcheck(lambda a, _: loss(a, label), (audio, loss.weight))


def test_opposite_to_its_class():
    loss = AAMSoftmaxLoss(3, 2)
    loss.weight.data.copy_(torch.eye(3)[:2])
    audio, label = torch.tensor([[-0.9999, math.sqrt(1 - 0.9999**2), 0.0]]), torch.tensor([0])
    assert loss(audio, label).item() == pytest.approx(aam_by_loops(audio, label, loss, 0.2), abs=1e-6)
