import itertools

import numpy as np
import pytest
import torch

from stdsearch.encoder.pooling import VARIANCE_FLOOR, pool_spans


def pool_plainly(hidden, logit, begin, end, parts):
    """The definition: every frame weighted by the share of it that lies inside."""

    def inside(b, e):
        return np.array([max(0.0, min(e, t + 1) - max(b, t)) for t in range(len(hidden))])

    weight = np.exp(logit)
    borders = np.linspace(begin, end, parts + 1)
    pooled = []
    for b, e in itertools.pairwise(borders):
        share = (inside(b, e) * weight)[:, None]
        pooled.append((share * hidden).sum(0) / share.sum())
    share = (inside(begin, end) * weight)[:, None]
    mean = (share * hidden).sum(0) / share.sum()
    variance = (share * hidden**2).sum(0) / share.sum() - mean**2
    pooled.append(np.sqrt(np.maximum(variance, VARIANCE_FLOOR)))
    return np.concatenate(pooled)


@pytest.mark.parametrize("parts", [1, 3, 5])
def test_equals_the_definition(parts):
    random = np.random.default_rng(0)
    hidden, logit = random.normal(size=(3, 20, 4)), random.normal(size=(3, 20))
    row = np.array([0, 2, 1, 1, 0])
    begin = np.array([0.0, 3.25, 7.9, 0.0, 19.4])
    end = np.array([20.0, 4.0, 15.1, 0.5, 20.0])
    floats = (torch.tensor(x, dtype=torch.float32) for x in (begin, end))
    pooled = pool_spans(torch.from_numpy(hidden), torch.from_numpy(logit), torch.from_numpy(row), *floats, parts)
    wanted = [pool_plainly(hidden[r], logit[r], b, e, parts) for r, b, e in zip(row, begin, end, strict=True)]
    np.testing.assert_allclose(pooled.numpy(), wanted, atol=2e-5)


def test_order_matters():
    hidden = torch.eye(6)[None]
    spans = torch.zeros(1, dtype=torch.long), torch.zeros(1), torch.full((1,), 6.0)
    forward = pool_spans(hidden, torch.zeros(1, 6), *spans, 3)
    backward = pool_spans(hidden.flip(1), torch.zeros(1, 6), *spans, 3)
    assert not torch.allclose(forward, backward)
