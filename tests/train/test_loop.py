import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stdsearch.errors import StdSearchError
from train.loop import LoopSettings, fit
from train.recipe import Recipe

SETTINGS = LoopSettings(
    steps=130, learning_rate=0.01, warm_up=0.08, evaluate_every=100, checkpoint_seconds=0.0, bf16=False, average=0.9
)


CLOCK = ("seconds", "wait", "forward", "backward", "update", "evaluate")


class Line(Recipe):
    """A toy recipe: y = 2 x - 1 learnt from noisy batches through dropout, so that everything random matters."""

    name = "line"
    criterion = "at_one"
    steps_per_epoch = 10

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
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]


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


def test_a_run_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    fit(Line(), tmp_path, SETTINGS, print, data="this", about={"recipe": "line"})
    with pytest.raises(StdSearchError, match="made with another data"):
        fit(Line(), tmp_path, SETTINGS, print, data="that", about={"recipe": "other"})
    assert json.loads((tmp_path / "run.json").read_text()) == {"recipe": "line"}


def test_the_best_of_a_run_that_nobody_goes_on_with_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"of a run that was stopped before its first checkpoint")
    fit(Line(), tmp_path, SETTINGS, print)
    assert not (tmp_path / "best.pt").exists()


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_told_in_a_line(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(damage)
    with pytest.raises(StdSearchError, match="not a readable checkpoint") as told:
        fit(Line(), tmp_path, SETTINGS, lambda line: None)
    assert "\n" not in str(told.value)


class Fading(Line):
    """As Line, but it gets worse from the fourth evaluation on."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        self.n_evaluations = getattr(self, "n_evaluations", 0) + 1
        return {"at_one": [0.1, 0.2, 0.5, 0.4, 0.5, 0.3, 0.9][self.n_evaluations - 1]}


PATIENT = replace(SETTINGS, steps=350, evaluate_every=50, patience=3)


def test_patience_ends_the_run_and_keeps_the_best(tmp_path: Path) -> None:
    """The third evaluation, after 150 steps, is the best; an equal one does not count as better."""
    best = fit(Fading(), tmp_path / "out", PATIENT, lambda line: None)
    assert [line["step"] for line in log(tmp_path / "out")] == [50, 100, 150, 200, 250, 300]
    kept = torch.load(tmp_path / "out" / "best.pt", weights_only=True)["step"]
    assert kept == 150
    assert not equal(best, fit(Line(), tmp_path / "whole", replace(PATIENT, patience=0), lambda line: None))
    again = fit(Fading(), tmp_path / "out", PATIENT, lambda line: None)
    assert equal(again, best)
    assert len(log(tmp_path / "out")) == 6


def test_a_recipe_without_figures_on_dev_never_ends_early(tmp_path: Path) -> None:
    class Blind(Line):
        def evaluate(self, model: nn.Module) -> dict[str, float]:
            return {}

    fit(Blind(), tmp_path, replace(PATIENT, steps=100, patience=1), lambda line: None)
    assert log(tmp_path)[-1]["step"] == 100


@pytest.mark.parametrize("schedule", ["onecycle", "halving", "constant"])
def test_sgd_and_every_schedule_learn(tmp_path: Path, schedule: Any) -> None:
    settings = replace(SETTINGS, steps=300, optimizer="sgd", schedule=schedule, learning_rate=0.02)
    fit(Line(), tmp_path, settings, lambda line: None)
    first, *_, last = log(tmp_path)
    assert last["loss"] < first["loss"] / 2


def test_a_group_may_learn_at_a_pace_of_its_own(tmp_path: Path) -> None:
    """With scale 0 the first layer stays as it was."""

    class Halted(Line):
        def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
            first, *rest = self.model.children()  # type: ignore[misc]
            others = [parameter for layer in rest for parameter in layer.parameters()]
            return [{"params": list(first.parameters()), "scale": 0.0, "weight_decay": 0.0}, {"params": others}]

    recipe = Halted()
    before = recipe.model[0].weight.detach().clone()  # type: ignore[index]
    fit(recipe, tmp_path, replace(SETTINGS, steps=20, average=0.0), lambda line: None)
    assert torch.equal(recipe.model[0].weight, before)  # type: ignore[index]


def test_where_the_time_went_is_logged(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    fit(Line(), tmp_path, SETTINGS, lines.append)
    assert all({"wait", "forward", "backward", "update"} <= line.keys() for line in lines)


def test_a_full_disk_is_told_and_the_last_checkpoint_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(Line(), tmp_path, replace(SETTINGS, steps=50), lambda line: None)
    kept = (tmp_path / "checkpoint.pt").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StdSearchError, match=r"checkpoint.pt: cannot be written .*No space left"):
        fit(Line(), tmp_path / "other", SETTINGS, lambda line: None)
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept
    assert not list(tmp_path.rglob("*.partial"))
