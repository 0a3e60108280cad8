"""Batches of embeddings and their classes, in float64."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

LABELS = {
    "repeated": [0, 1, 0, 2, 1, 3, 0],
    "distinct": [3, 0, 2, 1],
    "one class": [2, 2, 2],
    "one sample": [1],
    "pairs": [0, 0, 1, 1, 2, 2],
}
Batch = tuple[Tensor, Tensor, Tensor]


def _unit(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


@pytest.fixture(scope="session")
def unit() -> Callable[..., Tensor]:
    """Draws random vectors of length 1."""
    return _unit


@pytest.fixture
def double() -> Iterator[None]:
    """Makes parameters float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(params=[*LABELS, "ties"])
def batch(request: pytest.FixtureRequest) -> Batch:
    """Audio (N, 5), text (N, 5) and labels (N,) below 4; with ties, samples of a label are equal."""
    label = torch.tensor(LABELS.get(request.param, LABELS["repeated"]))
    audio, text = _unit(len(label), 5), _unit(len(label), 5, seed=1)
    if request.param == "ties":
        audio, text = audio[label], text[label]
    return audio, text, label


@pytest.fixture(params=["repeated", "one class", "one sample"])
def smooth_batch(request: pytest.FixtureRequest) -> Batch:
    """Like batch, for gradcheck: no ties, gradients wanted."""
    label = torch.tensor(LABELS[request.param])
    return _unit(len(label), 5).requires_grad_(), _unit(len(label), 5, seed=1).requires_grad_(), label
