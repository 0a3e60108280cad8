import math

import pytest
import torch

from train.losses import RelationalProxyLoss, angle_loss, distance_loss, prototypical_loss, relational


def huber(x):
    return x * x / 2 if abs(x) <= 1 else abs(x) - 0.5


def distance_by_loops(audio, text):
    pairs = [(i, j) for i in range(len(audio)) for j in range(len(audio)) if i != j]

    def relative(x):
        lengths = [float((x[i] - x[j]).norm()) for i, j in pairs]
        mean = sum(lengths) / max(1, len(lengths))
        return [length / mean for length in lengths]

    return sum(map(huber, (a - t for a, t in zip(relative(audio), relative(text), strict=True)))) / max(1, len(pairs))


def angle_by_loops(audio, text, word):
    def angle(x, i, j, k):
        to_i, to_k = x[i] - x[j], x[k] - x[j]
        return float(to_i @ to_k / to_i.norm() / to_k.norm())

    penalties = [
        huber(angle(audio, i, j, k) - angle(text, i, j, k))
        for j in range(len(word))
        for i in range(len(word))
        for k in range(len(word))
        if i != k and word[i] != word[j] and word[k] != word[j]
    ]
    return sum(penalties) / max(1, len(penalties))


def prototypical_by_loops(audio, text, word):
    centroid = {w: audio[word == w].mean(dim=0) for w in word.tolist()}
    total = 0.0
    for i, y in enumerate(word.tolist()):
        weight = {w: math.exp(-float((text[i] - c).norm() ** 2)) for w, c in centroid.items()}
        total -= math.log(weight[y] / sum(weight.values()))
    return total / len(word)


@pytest.fixture(params=[2**20, 50])
def chunk(request, monkeypatch):
    monkeypatch.setattr(relational, "CHUNK", request.param)


@pytest.mark.usefixtures("chunk")
def test_terms_equal_their_formulas(batch):
    audio, text, word = batch
    distance, angle = distance_by_loops(audio, text), angle_by_loops(audio, text, word)
    prototypical = prototypical_by_loops(audio, text, word)
    assert distance_loss(audio, text).item() == pytest.approx(distance, abs=1e-6)
    assert angle_loss(audio, text, word).item() == pytest.approx(angle, abs=1e-6)
    assert prototypical_loss(audio, text, word).item() == pytest.approx(prototypical, abs=1e-6)
    found = RelationalProxyLoss(3.0, 5.0, 7.0)(audio, text, word).item()
    assert found == pytest.approx(3 * distance + 5 * angle + 7 * prototypical, abs=1e-5)


@pytest.mark.usefixtures("chunk")
def test_gradients(smooth_batch):
    audio, text, word = smooth_batch
    teacher = text.detach()
    assert torch.autograd.gradcheck(lambda a: distance_loss(a, teacher), (audio,))
    assert torch.autograd.gradcheck(lambda a: angle_loss(a, teacher, word), (audio,))
    assert torch.autograd.gradcheck(lambda a, t: prototypical_loss(a, t, word), (audio, text))
    assert torch.autograd.gradcheck(lambda a: RelationalProxyLoss()(a, teacher, word), (audio,))


def test_text_is_taught_by_the_prototypical_term_only(unit):
    audio, text, word = unit(6, 5), unit(6, 5, seed=1), torch.tensor([0, 0, 1, 1, 2, 2])
    gradients = []
    for loss in (RelationalProxyLoss(), prototypical_loss):
        t = text.clone().requires_grad_()
        loss(audio, t, word).backward()
        gradients.append(t.grad)
    assert torch.allclose(*gradients, atol=1e-12)


def test_same_shape_costs_nothing(unit):
    """Distances and angles do not see a rotation, nor distances a scale."""
    text, word = unit(6, 5), torch.arange(6)
    audio = text @ torch.linalg.qr(unit(5, 5, seed=2))[0]
    assert distance_loss(3 * audio, text).item() == pytest.approx(0, abs=1e-9)
    assert angle_loss(audio, text, word).item() == pytest.approx(0, abs=1e-9)


def test_single_precision_is_enough(unit):
    """Scalar products lose little against differences of vectors, even of words that lie close together."""
    audio, word = unit(1, 64) + 0.03 * unit(24, 64, seed=1), torch.arange(24) // 2
    text = unit(12, 64, seed=2)[word]
    expected = angle_by_loops(audio, text, word)
    assert angle_loss(audio.float(), text.float(), word).item() == pytest.approx(expected, rel=1e-3)
