import math

import pytest
import torch
from torch.nn import functional as F

from train.losses import AdaMSLoss, AsyPLoss
from train.losses.adams import MARGINS, SCALES, inverse_softplus

pytestmark = pytest.mark.usefixtures("double")
ALPHA, BETA, MARGIN = [0.5, 2.0, 9.0, 0.02], [1.5, 30.0, 0.1, 4.0], [0.01, -0.3, 0.5, 0.2]


def learnt() -> AdaMSLoss:
    loss = AdaMSLoss(4)
    with torch.no_grad():
        loss.raw_alpha.copy_(torch.tensor([inverse_softplus(x) for x in ALPHA]))
        loss.raw_beta.copy_(torch.tensor([inverse_softplus(x) for x in BETA]))
        loss.raw_margin.copy_(torch.tensor(MARGIN))
    return loss


def adams_by_loops(audio, text, label, alpha, beta, margin, factor):
    """`factor` stands before ELSE: 1/α held fast."""
    total = 0.0
    for i, y in enumerate(label.tolist()):
        positives = [j for j in range(len(label)) if label[j] == y]
        negatives = [k for k in range(len(label)) if label[k] != y]
        pull = math.log(1 + sum(math.exp(alpha[y] * (margin[y] - float(text[i] @ audio[j]))) for j in positives))
        push = [math.log(1 + math.exp(beta[y] * (float(audio[i] @ text[k]) - margin[y]))) for k in negatives]
        total += factor[y] * pull + (sum(push) / len(push) if push else 0.0)
    return total / len(label)


def test_equals_its_formula(batch):
    expected = adams_by_loops(*batch, ALPHA, BETA, MARGIN, [1 / x for x in ALPHA])
    assert learnt()(*batch).item() == pytest.approx(expected, abs=1e-6)


def test_starts_as_asyp(batch):
    audio, text, label = batch
    gradients = []
    for loss in (AdaMSLoss(4), AsyPLoss()):
        a, t = audio.clone().requires_grad_(), text.clone().requires_grad_()
        value = loss(a, t, label)
        value.backward()
        gradients.append((value, a.grad, t.grad))
    for adams, asyp in zip(*gradients, strict=True):
        assert torch.allclose(adams, asyp, rtol=0, atol=1e-9)


def test_gradient(smooth_batch):
    """Of everything but α, whose factor 1/α has none."""
    audio, text, label = smooth_batch
    loss = learnt()
    parameters = (loss.raw_beta, loss.raw_margin)
    assert torch.autograd.gradcheck(lambda a, t, *_: loss(a, t, label), (audio, text, *parameters))


def test_gradient_of_alpha_holds_its_factor_fast(batch):
    loss, step = learnt(), 1e-6
    loss(*batch).backward()
    factor = [1 / x for x in ALPHA]
    for y in range(4):
        up, down = ([a + sign * step * (k == y) for k, a in enumerate(ALPHA)] for sign in (1, -1))
        slope = adams_by_loops(*batch, up, BETA, MARGIN, factor) - adams_by_loops(*batch, down, BETA, MARGIN, factor)
        by_alpha = loss.raw_alpha.grad[y].item() / (1 - math.exp(-ALPHA[y]))  # the derivative of softplus
        assert by_alpha == pytest.approx(slope / (2 * step), abs=1e-6)


@pytest.mark.parametrize(("similarity", "rises"), [(0.9, True), (-0.9, False)])
def test_alpha_rises_where_positives_lie_above_the_margin(similarity, rises):
    text = torch.tensor([[1.0, 0.0]])
    audio = torch.tensor([[similarity, math.sqrt(1 - similarity**2)]])
    loss = AdaMSLoss(1)
    loss(audio, text, torch.tensor([0])).backward()
    assert (loss.raw_alpha.grad.item() < 0) == rises  # a step goes against the gradient


@pytest.mark.parametrize("rate", [0.05, 5.0])
def test_parameters_stay_in_range(unit, rate):
    """Whatever the steps, good embeddings or bad, and no parameter sticks at a border for want of a gradient."""
    loss = AdaMSLoss(4)
    optimizer = torch.optim.Adam(loss.parameters(), lr=rate)
    label = torch.arange(12) % 4
    for step in range(400):
        text = unit(4, 8, seed=step)[label]
        audio = F.normalize((1 if step < 200 else -1) * text + 0.1 * unit(12, 8, seed=step + 1), dim=1)
        optimizer.zero_grad()
        value = loss(audio, text, label)
        value.backward()
        optimizer.step()
        assert value.isfinite()
        for parameter, (low, high) in zip(loss.parameters_of(torch.arange(4)), (SCALES, SCALES, MARGINS), strict=True):
            assert (parameter >= low - 1e-12).all()
            assert (parameter <= high + 1e-9).all()
    assert all((parameter.grad != 0).all() for parameter in loss.parameters())


def test_two_batches_before_one_step(batch):
    loss = AdaMSLoss(4)
    (loss(*batch) + loss(*batch)).backward()
    assert all(parameter.grad.isfinite().all() for parameter in loss.parameters())


def test_constant_needs_no_gradient():
    constant = learnt().constant(torch.tensor([0, 1, 0]))
    assert constant.item() == pytest.approx((2 * math.log(3) / 0.5 + math.log(2) / 2) / 3, abs=1e-6)
    assert not constant.requires_grad
