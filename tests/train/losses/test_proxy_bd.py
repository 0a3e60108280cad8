import math

import pytest
import torch

from train.losses import ProxyBDLoss


def proxy_bd_by_loops(audio, text, label, alpha, beta, margin):
    total = 0.0
    for i in range(len(label)):
        pull, push = [], []
        for j in range(len(label)):
            if label[j] == label[i]:
                pull.append(math.log(1 + math.exp(alpha * (margin - float(text[i] @ audio[j])))) / alpha)
            else:
                push.append(math.log(1 + math.exp(beta * (float(audio[i] @ text[j]) - margin))))
        total += sum(pull) / len(pull) + (sum(push) / len(push) if push else 0.0)
    return total / len(label)


@pytest.mark.parametrize("values", [(0.01, 1.5, 0.01), (2.0, 50.0, 0.5)])
def test_equals_its_formula(batch, values):
    assert ProxyBDLoss(*values)(*batch).item() == pytest.approx(proxy_bd_by_loops(*batch, *values), abs=1e-6)


def test_gradient(smooth_batch):
    audio, text, label = smooth_batch
    assert torch.autograd.gradcheck(lambda a, t: ProxyBDLoss()(a, t, label), (audio, text))
