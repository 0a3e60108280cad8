import math

import pytest
import torch
from torch.nn import functional as F

from train.losses import SphereFace2Loss

pytestmark = pytest.mark.usefixtures("double")


def sphereface2_by_loops(audio, label, loss, margin):
    def spread(z):
        return 2 * ((z + 1) / 2) ** loss.t - 1

    weight, b = F.normalize(loss.weight.detach(), dim=1), loss.bias.item()
    total = 0.0
    for i in range(len(label)):
        for k in range(len(weight)):
            cos = float(audio[i] @ weight[k])
            theta = math.acos(cos)
            if k == label[i]:
                moved = math.cos(theta + margin) if theta < math.pi - margin else cos - 1 + math.cos(margin)
                g = spread(moved) if loss.kind == "A" else spread(cos) - margin
                total += loss.balance * math.log(1 + math.exp(-(loss.scale * g + b)))
            else:
                g = spread(math.cos(theta - margin)) if loss.kind == "A" else spread(cos) + margin
                total += (1 - loss.balance) * math.log(1 + math.exp(loss.scale * g + b))
    return total / len(label)


@pytest.mark.parametrize(("kind", "margin"), [("A", 0.15), ("C", 0.2)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_equals_its_formula(batch, kind, margin, share):
    audio, _, label = batch
    loss = SphereFace2Loss(5, 4, kind)
    loss.bias.data.fill_(0.3)
    loss.margin_share = share
    assert loss(audio, label).item() == pytest.approx(
        sphereface2_by_loops(audio, label, loss, share * margin), abs=1e-6
    )


@pytest.mark.parametrize("kind", ["A", "C"])
def test_gradient(smooth_batch, kind):
    audio, _, label = smooth_batch
    loss = SphereFace2Loss(5, 4, kind, scale=4.0)
    assert torch.autograd.gradcheck(lambda a, *_: loss(a, label), (audio, loss.weight, loss.bias))


def test_opposite_to_its_class():
    """Where the continuation of type A acts."""
    loss = SphereFace2Loss(3, 2, "A")
    loss.weight.data.copy_(torch.eye(3)[:2])
    audio, label = torch.tensor([[-0.9999, math.sqrt(1 - 0.9999**2), 0.0]]), torch.tensor([0])
    assert loss(audio, label).item() == pytest.approx(sphereface2_by_loops(audio, label, loss, 0.15), abs=1e-6)


def test_kind_must_be_known():
    with pytest.raises(ValueError, match='not "M"'):
        SphereFace2Loss(5, 4, "M")
