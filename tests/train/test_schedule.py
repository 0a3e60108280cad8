import math

import pytest
import torch

from train.schedule import Schedule, learning_rate


def rates(schedule: Schedule, steps: int = 130, warm_up: float = 0.08) -> list[float]:
    return [learning_rate(step, steps, 0.01, schedule, warm_up=warm_up) for step in range(steps + 1)]


def test_cosine_rises_then_falls_to_a_hundredth() -> None:
    r = rates("cosine")
    assert r[0] == pytest.approx(0.001)
    assert r[9] == r[10] == max(r) == pytest.approx(0.01)
    assert r[70] == pytest.approx(0.01 * (0.01 + 0.99 / 2))
    assert r[130] == pytest.approx(0.0001)
    assert r[10:] == sorted(r[10:], reverse=True)


def test_onecycle_is_torchs() -> None:
    """Torch reaches the ends of its phases one step earlier than it should: it is asked for one step more."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=501, pct_start=101 / 501)
    expected = []
    for _ in range(501):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        torchs.step() if len(expected) < 501 else None
    assert rates("onecycle", 500, 0.2) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_halving_is_adml_s() -> None:
    """Halved after 20, 40, 60 and 80 of 100 epochs."""
    assert rates("halving", 100, 0.0)[:100] == [0.01 * 0.5 ** (epoch // 20) for epoch in range(100)]


def test_constant_stays() -> None:
    assert set(rates("constant")[10:]) == {0.01}


@pytest.mark.parametrize("schedule", ["cosine", "onecycle", "halving", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_a_run_of_some_steps_has_rates(schedule: Schedule, steps: int) -> None:
    assert all(math.isfinite(rate) and rate > 0 for rate in rates(schedule, steps)[:-1])
