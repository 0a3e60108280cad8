import pytest
import torch

from train.losses.similarity import inner, wide


@pytest.mark.parametrize(
    ("given", "found"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_wide_has_single_precision_or_more(given, found):
    assert wide(torch.ones(2, dtype=given)).dtype == found


def test_autocast_does_not_round(unit):
    x = unit(4, 16).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = inner(x, x)
    assert found.dtype == torch.float32
    assert torch.equal(found, x @ x.T)
