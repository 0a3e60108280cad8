import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stdsearch.errors import StdSearchError
from train.loop import LoopSettings, fit, learning_rate

SETTINGS = LoopSettings(
    steps=130, learning_rate=0.01, warm_up=10, evaluate_every=100, checkpoint_seconds=0.0, bf16=False, average=0.9
)


class Line:
    """A toy recipe: y = 2 x - 1 learnt from noisy batches through dropout, so that everything random matters."""

    name = "line"

    def __init__(
        self, *, disturb: Callable[[int], None] = lambda step: None, slope: float = 2.0, nan_at: int = -1
    ) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))
        self.disturb, self.slope, self.nan_at, self.n_losses = disturb, slope, nan_at, 0

    def settings(self) -> dict[str, Any]:
        return {"slope": self.slope}

    def batch(self, step: int) -> tuple[int, Tensor]:
        return step, torch.randn(16, 1, generator=torch.Generator().manual_seed(step))

    def loss(self, batch: tuple[int, Tensor]) -> tuple[Tensor, dict[str, float]]:
        step, x = batch
        self.disturb(step)
        self.n_losses += 1
        loss = (self.model(x) - (self.slope * x - 1)).square().mean()
        return loss * (float("nan") if step == self.nan_at else 1.0), {"step_squared": step**2}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        assert not model.training
        return {"at_one": model(torch.ones(1, 1)).item()}


def log(out: Path) -> list[dict[str, Any]]:
    """Lines of the log, without what the clock says."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "wait")} for line in lines]


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def at(step: int) -> Callable[[int], None]:
    """Ctrl-C at a step."""

    def interrupt(now: int) -> None:
        if now == step:
            raise KeyboardInterrupt

    return interrupt


def test_a_line_of_the_log_is_the_mean_since_the_one_before(tmp_path: Path) -> None:
    reported: list[dict] = []
    fit(Line(), tmp_path, SETTINGS, reported.append)
    lines = log(tmp_path)
    assert [line["step"] for line in lines] == [line["step"] for line in reported] == [50, 100, 130]
    means = [sum(step**2 for step in steps) / len(steps) for steps in (range(50), range(50, 100), range(100, 130))]
    assert [line["step_squared"] for line in lines] == pytest.approx(means, abs=1e-3)
    assert ["dev_at_one" in line for line in lines] == [False, True, True]


def test_it_learns(tmp_path: Path) -> None:
    fit(Line(), tmp_path, replace(SETTINGS, steps=300), lambda line: None)
    first, *_, last = log(tmp_path)
    assert last["loss"] < first["loss"] / 2
    assert last["dev_at_one"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("steps", [(3,), (50,), (77,), (20, 60, 129)])
def test_a_resumed_run_is_as_if_undisturbed(tmp_path: Path, steps: tuple[int, ...]) -> None:
    whole = fit(Line(), tmp_path / "whole", SETTINGS, lambda line: None)
    for step in steps:
        with pytest.raises(KeyboardInterrupt):
            fit(Line(disturb=at(step)), tmp_path / "resumed", SETTINGS, lambda line: None)
    recipe = Line()
    assert equal(fit(recipe, tmp_path / "resumed", SETTINGS, lambda line: None), whole)
    assert log(tmp_path / "resumed") == log(tmp_path / "whole")
    assert recipe.n_losses == 130 - steps[-1] // 50 * 50


def test_lines_behind_the_last_checkpoint_are_written_once(tmp_path: Path) -> None:
    rare = replace(SETTINGS, checkpoint_seconds=1e9)
    with pytest.raises(KeyboardInterrupt):
        fit(Line(disturb=at(120)), tmp_path / "resumed", rare, lambda line: None)
    assert len(log(tmp_path / "resumed")) == 2
    with open(tmp_path / "resumed" / "log.jsonl", "a") as torn:
        torn.write('{"step": 1')
    assert equal(
        fit(Line(), tmp_path / "resumed", rare, lambda line: None),
        fit(Line(), tmp_path / "whole", rare, lambda line: None),
    )
    assert log(tmp_path / "resumed") == log(tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    whole = fit(Line(), tmp_path, SETTINGS, lambda line: None)
    lines, recipe = log(tmp_path), Line()
    assert equal(fit(recipe, tmp_path, SETTINGS, lambda line: None), whole)
    assert (recipe.n_losses, log(tmp_path)) == (0, lines)


def test_the_average_follows_the_weights(tmp_path: Path) -> None:
    """After one step it is the weights, then each step draws it a tenth of the way."""
    seen = []

    class Watched(Line):
        def loss(self, batch: tuple[int, Tensor]) -> tuple[Tensor, dict[str, float]]:
            seen.append(self.model[0].weight.detach().clone())
            return super().loss(batch)

    recipe = Watched()
    averaged = fit(recipe, tmp_path, replace(SETTINGS, steps=4), lambda line: None)
    first, *rest = [*seen[1:], recipe.model[0].weight.detach()]
    expected = first
    for weights in rest:
        expected = 0.9 * expected + 0.1 * weights
    assert torch.allclose(averaged[0].weight, expected)  # type: ignore[index, union-attr]


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="the loss is nan at step 60") as told:
        fit(Line(nan_at=60), tmp_path, SETTINGS, lambda line: None)
    assert str(told.value).startswith(str(tmp_path))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 50


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    fit(Line(), tmp_path, SETTINGS, lambda line: None)
    with pytest.raises(StdSearchError, match="made with another slope; choose another --out"):
        fit(Line(slope=3.0), tmp_path, SETTINGS, lambda line: None)
    with pytest.raises(StdSearchError, match="made with another loop; choose another --out"):
        fit(Line(), tmp_path, replace(SETTINGS, seed=1), lambda line: None)


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_told_in_a_line(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(damage)
    with pytest.raises(StdSearchError, match="not a readable checkpoint") as told:
        fit(Line(), tmp_path, SETTINGS, lambda line: None)
    assert "\n" not in str(told.value)


def test_the_learning_rate_rises_then_falls_to_a_hundredth() -> None:
    rates = [learning_rate(step, SETTINGS) for step in range(131)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[9] == rates[10] == max(rates) == pytest.approx(0.01)
    assert rates[70] == pytest.approx(0.01 * (0.01 + 0.99 / 2))
    assert rates[130] == pytest.approx(0.0001)
    assert rates[10:] == sorted(rates[10:], reverse=True)
