import math

import pytest
import torch

from train.losses.pooling import extended_log_sum_exp, mean_softplus

X = torch.tensor([[1.0, -2.0, 3.0], [0.0, 5.0, 1.0], [800.0, 1.0, 2.0]], dtype=torch.float64)
CHOSEN = torch.tensor([[True, False, True], [False, False, False], [True, False, False]])


def test_else_of_the_chosen():
    expected = [math.log(1 + math.exp(1) + math.exp(3)), 0.0, 800.0]
    assert extended_log_sum_exp(X, CHOSEN).tolist() == pytest.approx(expected, abs=1e-12)


def test_msp_of_the_chosen():
    expected = [(math.log(1 + math.exp(1)) + math.log(1 + math.exp(3))) / 2, 0.0, 800.0]
    assert mean_softplus(X, CHOSEN).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("pool", [extended_log_sum_exp, mean_softplus])
def test_what_is_not_chosen_has_no_gradient(pool):
    x = X.clone().requires_grad_()
    pool(x, CHOSEN).sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad[~CHOSEN] == 0).all()
    assert (x.grad[CHOSEN] > 0).all()
