import math

import pytest
import torch

from train.losses.angular import narrow_angle, widen_angle

MARGIN = 0.3
THETA = torch.linspace(0.01, math.pi - 0.01, 200, dtype=torch.float64)


def test_angles_move_by_the_margin():
    below = THETA.lt(math.pi - MARGIN)
    assert torch.allclose(widen_angle(THETA.cos(), MARGIN)[below], (THETA + MARGIN).cos()[below], atol=1e-12)
    assert torch.allclose(narrow_angle(THETA.cos(), MARGIN), (THETA - MARGIN).cos(), atol=1e-12)


def test_widened_cosine_falls_without_a_jump():
    steps = widen_angle(THETA.cos(), MARGIN).diff()
    assert (steps < 0).all()
    assert steps.min() > -0.02
    edge = torch.tensor([math.pi - MARGIN - 1e-9, math.pi - MARGIN + 1e-9], dtype=torch.float64)
    assert widen_angle(edge.cos(), MARGIN).tolist() == pytest.approx([-1, -1], abs=1e-6)


def test_no_margin_changes_nothing():
    assert torch.equal(widen_angle(THETA.cos(), 0.0), THETA.cos())
    assert torch.equal(narrow_angle(THETA.cos(), 0.0), THETA.cos())


def test_gradient_is_finite_where_vectors_coincide():
    cosine = torch.tensor([1.0, -1.0, 1 + 1e-7, -1 - 1e-7], requires_grad=True)
    (widen_angle(cosine, MARGIN) + narrow_angle(cosine, MARGIN)).sum().backward()
    assert cosine.grad.isfinite().all()
