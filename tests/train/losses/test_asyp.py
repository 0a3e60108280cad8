import math

import pytest
import torch

from train.losses import AsyPLoss


def asyp_by_loops(audio, text, label, alpha, beta, margin):
    total = 0.0
    for i in range(len(label)):
        positives = [j for j in range(len(label)) if label[j] == label[i]]
        negatives = [k for k in range(len(label)) if label[k] != label[i]]
        pull = math.log(1 + sum(math.exp(alpha * (margin - float(text[i] @ audio[j]))) for j in positives)) / alpha
        push = [math.log(1 + math.exp(beta * (float(audio[i] @ text[k]) - margin))) for k in negatives]
        total += pull + (sum(push) / len(push) if push else 0.0)
    return total / len(label)


@pytest.mark.parametrize("values", [(0.01, 1.5, 0.01), (2.0, 50.0, 0.5)])
def test_equals_its_formula(batch, values):
    assert AsyPLoss(*values)(*batch).item() == pytest.approx(asyp_by_loops(*batch, *values), abs=1e-6)


def test_gradient(smooth_batch):
    audio, text, label = smooth_batch
    assert torch.autograd.gradcheck(lambda a, t: AsyPLoss()(a, t, label), (audio, text))


def test_constant_is_what_similarities_at_the_margin_leave(unit):
    label = torch.tensor([0, 1, 0, 0])
    audio = unit(1, 4).expand(4, 4)  # every cosine is 1
    loss = AsyPLoss(alpha=0.5, beta=1.5, margin=1.0)
    expected = (3 * math.log(4) + math.log(2)) / 4 / 0.5
    assert loss.constant(label).item() == pytest.approx(expected, rel=1e-6)
    assert (loss(audio, audio, label) - math.log(2)).item() == pytest.approx(expected, abs=1e-9)
