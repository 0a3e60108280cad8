import copy
import math

import pytest
import torch

from train.losses import ModalityAdversarialLoss, adversarial, reverse_gradient

pytestmark = pytest.mark.usefixtures("double")


def adversarial_by_loops(audio, text, loss):
    first, _, second = copy.deepcopy(loss.classifier).requires_grad_(False)
    total = 0.0
    for modality, embeddings in enumerate((audio, text)):
        for x in embeddings:
            hidden = [max(0.0, float(w @ x + b)) for w, b in zip(first.weight, first.bias, strict=True)]
            logit = [
                float(sum(w_i * h for w_i, h in zip(w, hidden, strict=True)) + b)
                for w, b in zip(second.weight, second.bias, strict=True)
            ]
            total -= math.log(math.exp(logit[modality]) / sum(map(math.exp, logit))) / len(embeddings)
    return total


@pytest.mark.parametrize("sizes", [(4, 4), (3, 6), (1, 1)])
def test_equals_its_formula(unit, sizes):
    audio, text = (unit(n, 5, seed=n) for n in sizes)
    loss = ModalityAdversarialLoss(5, hidden=7)
    assert loss(audio, text).item() == pytest.approx(adversarial_by_loops(audio, text, loss), abs=1e-6)


def gradients(loss, audio, text):
    audio, text = audio.clone().requires_grad_(), text.clone().requires_grad_()
    value = loss(audio, text)
    return value, torch.autograd.grad(value, (audio, text, *loss.parameters()))


def test_encoders_go_up_and_the_classifier_down(unit, monkeypatch):
    """Eq. 5: gradients to the inputs are those without the layer times -1, those to the classifier unchanged."""
    audio, text = unit(4, 5), unit(3, 5, seed=1)
    loss = ModalityAdversarialLoss(5, hidden=7)
    value, reversed_ = gradients(loss, audio, text)
    monkeypatch.setattr(adversarial, "reverse_gradient", lambda x: x)
    plain_value, plain = gradients(loss, audio, text)
    assert torch.equal(value, plain_value)
    assert all(torch.equal(r, -p) for r, p in zip(reversed_[:2], plain[:2], strict=True))
    assert all(torch.equal(r, p) for r, p in zip(reversed_[2:], plain[2:], strict=True))
    assert all(p.abs().max() > 0 for p in plain)


def test_gradient(unit, monkeypatch):
    audio, text = unit(4, 5), unit(3, 5, seed=1)
    loss = ModalityAdversarialLoss(5, hidden=7)
    assert torch.autograd.gradcheck(lambda *_: loss(audio, text), tuple(loss.parameters()))
    monkeypatch.setattr(adversarial, "reverse_gradient", lambda x: x)
    assert torch.autograd.gradcheck(loss, (audio.requires_grad_(), text.requires_grad_()))


def test_reversal_keeps_values(unit):
    x = unit(2, 3).requires_grad_()
    y = reverse_gradient(x)
    assert torch.equal(x, y)
    y.sum().backward()
    assert torch.equal(x.grad, -torch.ones(2, 3))


def test_a_step_of_both_trains_against_each_other(unit):
    """After Eq. 5's step the classifier alone would do better, the encoders alone make it do worse."""
    audio, text = unit(8, 5).requires_grad_(), unit(8, 5, seed=1).requires_grad_()
    loss = ModalityAdversarialLoss(5, hidden=7)
    value = loss(audio, text)
    value.backward()
    with torch.no_grad():
        assert loss(audio - 0.01 * audio.grad, text - 0.01 * text.grad) > value
        for parameter in loss.parameters():
            parameter -= 0.01 * parameter.grad
        assert loss(audio, text) < value
