"""What holds for every loss of embeddings: finite at the extremes, in bfloat16 too, and the same in every run."""

import pytest
import torch
from torch.nn import functional as F

import train.losses
from train.losses import (
    AAMSoftmaxLoss,
    AdaMSLoss,
    AsyPLoss,
    CLAPLoss,
    DWDLoss,
    ModalityAdversarialLoss,
    PhonemeInfoNCELoss,
    ProxyBDLoss,
    ProxyMSLoss,
    RelationalProxyLoss,
    SphereFace2Loss,
    TripletLoss,
)

DIM, CLASSES = 8, 4
OF_PAIRS = {
    "AsyP": AsyPLoss,
    "AdaMS": lambda: AdaMSLoss(CLASSES),
    "Proxy-BD": ProxyBDLoss,
    "Proxy-MS": ProxyMSLoss,
    "InfoNCE": PhonemeInfoNCELoss,
    "RP": RelationalProxyLoss,
    "triplet": TripletLoss,
}
OF_AUDIO = {
    "SphereFace2 A": lambda: SphereFace2Loss(DIM, CLASSES, "A"),
    "SphereFace2 C": lambda: SphereFace2Loss(DIM, CLASSES),
    "AAM": lambda: AAMSoftmaxLoss(DIM, CLASSES),
    "DWD": DWDLoss,
}
NAMES = [*OF_PAIRS, *OF_AUDIO, "MAL", "CLAP"]


def value_of(name, audio, text, label):
    torch.manual_seed(0)
    if name == "MAL":
        loss = ModalityAdversarialLoss(DIM).to(audio.dtype)
        return loss, loss(audio, text)
    if name == "CLAP":
        loss = CLAPLoss()
        return loss, loss(audio, text, torch.arange(len(text)), torch.empty(0, 2, dtype=torch.int64))
    loss = (OF_PAIRS | OF_AUDIO)[name]()
    return loss, loss(audio, text, label) if name in OF_PAIRS else loss(audio, label)


def extremes():
    one = F.normalize(torch.randn(1, DIM, generator=torch.Generator().manual_seed(0)), dim=1)
    label = torch.tensor([0, 1, 1, 3])
    some = F.normalize(torch.randn(4, DIM, generator=torch.Generator().manual_seed(1)), dim=1)
    return {
        "all equal": (one.expand(4, DIM), one.expand(4, DIM), label),
        "opposite": (one.expand(4, DIM), -one.expand(4, DIM), label),
        "audio of a class equals its text": (some[label], some[label], label),
        "nearly equal": (one + 1e-6 * some, one - 1e-6 * some, label),
        "axes": (torch.eye(DIM)[:4], torch.eye(DIM)[:4], label),
        "one sample": (one, one, label[:1]),
        "one class": (some, some.flip(0), torch.zeros(4, dtype=torch.int64)),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", extremes())
def test_finite_at_the_extremes(name, dtype, case):
    audio, text, label = extremes()[case]
    audio, text = (x.to(dtype).clone().requires_grad_() for x in (audio, text))
    loss, value = value_of(name, audio, text, label)
    value.backward()
    assert value.isfinite()
    assert value.shape == ()
    found = [p.grad for p in (audio, text, *loss.parameters()) if p.grad is not None]
    assert found
    assert all(gradient.isfinite().all() for gradient in found)


@pytest.mark.parametrize("name", NAMES)
def test_finite_under_autocast(name):
    audio, text, label = extremes()["audio of a class equals its text"]
    audio.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = value_of(name, audio, text, label)[1]
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert audio.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_deterministic(name, unit):
    results = []
    for _ in range(2):
        audio = unit(20, DIM).float().requires_grad_()
        value = value_of(name, audio, unit(20, DIM, seed=1).float(), torch.arange(20) % CLASSES)[1]
        value.backward()
        results.append((value, audio.grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_all_are_exported():
    assert sorted(train.losses.__all__) == train.losses.__all__
    assert all(hasattr(train.losses, name) for name in train.losses.__all__)
