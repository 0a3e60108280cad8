import math

import pytest
import torch

from train.cross_attention import CrossAttention

PHONES, FRAMES = torch.tensor([3, 1, 4]), torch.tensor([6, 7, 2])


@pytest.fixture
def embedded():
    random = torch.Generator().manual_seed(0)
    text = torch.randn(3, 4, 5, generator=random, dtype=torch.float64)
    return text, torch.randn(3, 7, 5, generator=random, dtype=torch.float64)


@pytest.fixture
def trained():
    torch.manual_seed(0)
    layer = CrossAttention(5).double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight += 0.3 * torch.randn(5, 5)
    return layer


def aligned_by_loops(text, audio, query, key, value):
    """One item: Eq. 1, a phone at a time."""
    aligned, affinity = [], []
    for t in text:
        score = [math.exp(float((query @ t) @ (key @ a)) / math.sqrt(len(t))) for a in audio]
        weight = [s / sum(score) for s in score]
        affinity.append(weight)
        aligned.append(sum(w * (value @ a) for w, a in zip(weight, audio, strict=True)))
    return torch.stack(aligned), torch.tensor(affinity, dtype=torch.float64)


def test_equals_a_loop_per_item(embedded, trained):
    text, audio = embedded
    aligned, affinity = trained(text, audio, PHONES, FRAMES)
    for i, (n_phones, n_frames) in enumerate(zip(PHONES, FRAMES, strict=True)):
        expected = aligned_by_loops(text[i, :n_phones], audio[i, :n_frames], *trained.parameters())
        assert torch.allclose(aligned[i, :n_phones], expected[0], rtol=0, atol=1e-6)
        assert torch.allclose(affinity[i, :n_phones, :n_frames], expected[1], rtol=0, atol=1e-6)
        assert aligned[i, n_phones:].abs().sum() == 0
        assert affinity[i].sum().item() == pytest.approx(n_phones.item())


def test_begins_as_the_equation_is_printed(embedded):
    text, audio = embedded
    full = torch.tensor([4] * 3), torch.tensor([7] * 3)
    aligned, affinity = CrossAttention(5).double()(text, audio, *full)
    expected = (text @ audio.transpose(1, 2) / math.sqrt(5)).softmax(dim=2)
    assert torch.allclose(affinity, expected, atol=1e-12)
    assert torch.allclose(aligned, expected @ audio, atol=1e-12)


def test_padding_does_not_matter(embedded, trained):
    text, audio = (x.clone() for x in embedded)
    expected = trained(text, audio, PHONES, FRAMES)
    for i in range(3):
        text[i, PHONES[i] :], audio[i, FRAMES[i] :] = 1e3, float("nan")
    text = torch.cat([text, torch.full((3, 2, 5), 7.0)], dim=1)
    audio = torch.cat([audio, torch.full((3, 3, 5), torch.inf)], dim=1)
    aligned, affinity = trained(text, audio, PHONES, FRAMES)
    assert torch.allclose(aligned[:, :4], expected[0], atol=1e-12)
    assert torch.allclose(affinity[:, :4, :7], expected[1], atol=1e-12)
    assert aligned[:, 4:].abs().sum() + affinity[:, 4:].abs().sum() + affinity[:, :, 7:].abs().sum() == 0


def test_padding_has_no_gradient(embedded, trained):
    text, audio = (x.requires_grad_() for x in embedded)
    sum(x.sum() for x in trained(text, audio, PHONES, FRAMES)).backward()
    for i in range(3):
        assert text.grad[i, PHONES[i] :].abs().sum() == 0
        assert audio.grad[i, FRAMES[i] :].abs().sum() == 0


def test_gradient(embedded, trained):
    text, audio = (x.requires_grad_() for x in embedded)
    weights = tuple(trained.parameters())
    assert torch.autograd.gradcheck(lambda t, a, *_: trained(t, a, PHONES, FRAMES), (text, audio, *weights))


def test_bfloat16_is_finite_and_deterministic(embedded, trained):
    text, audio = (100 * x.float() for x in embedded)
    with torch.autocast("cpu", torch.bfloat16):
        found = [trained.float()(text, audio, PHONES, FRAMES) for _ in range(2)]
    assert all(torch.equal(a, b) and a.isfinite().all() for a, b in zip(*found, strict=True))
