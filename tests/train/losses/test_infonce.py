import math

import pytest
import torch

from train.losses import PhonemeInfoNCELoss


def infonce_by_loops(query, key, temperature, label=None):
    total = 0.0
    for i in range(len(query)):
        kept = [j for j in range(len(key)) if j == i or label is None or label[j] != label[i]]
        against = sum(math.exp(float(query[i] @ key[j]) / temperature) for j in kept)
        total -= math.log(math.exp(float(query[i] @ key[i]) / temperature) / against)
    return total / len(query)


@pytest.mark.parametrize("temperature", [0.04, 0.5])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_its_formula(batch, temperature, masked):
    query, key, label = batch
    label = label if masked else None
    found = PhonemeInfoNCELoss(temperature)(query, key, label).item()
    assert found == pytest.approx(infonce_by_loops(query, key, temperature, label), abs=1e-6)


def test_one_phoneme_masked_is_zero(unit):
    assert PhonemeInfoNCELoss()(unit(3, 4), unit(3, 4, seed=1), torch.tensor([5, 5, 5])).item() == 0


def test_gradient(smooth_batch):
    query, key, label = smooth_batch
    loss = PhonemeInfoNCELoss(0.5)
    assert torch.autograd.gradcheck(loss, (query, key))
    assert torch.autograd.gradcheck(lambda q, k: loss(q, k, label), (query, key))
