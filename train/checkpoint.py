"""What a run leaves: the latest checkpoint, from which it resumes, the best, which patience keeps, and its log."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from stdsearch.errors import StdSearchError


class Run:
    """The checkpoints in a run's directory, each written whole or not at all; identity: what they belong to, JSON."""

    def __init__(self, out: Path, identity: dict[str, Any]) -> None:
        self.latest, self.best = out / "checkpoint.pt", out / "best.pt"
        self.identity = json.loads(json.dumps(identity))

    def save(self, step: int, model: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer) -> None:
        """Write the latest checkpoint, of so many steps done."""
        rest = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        self._write(self.latest, {"step": step, "average": average.state_dict(), **rest})

    def save_best(self, step: int, average: AveragedModel) -> None:
        """Keep the averaged model as the best so far."""
        self._write(self.best, {"step": step, "average": average.state_dict()})

    def load_best(self, average: AveragedModel) -> None:
        """Set the averaged model to the best that was kept, if one was."""
        if self.best.exists():
            average.load_state_dict(read(self.best)["average"])

    def resume(self, model: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer) -> int:
        """The number of steps done, after everything was set as it was; 0 if there is no checkpoint.

        Raises StdSearchError for a checkpoint that cannot be read or has another identity.
        """
        if not self.latest.exists():
            self.best.unlink(missing_ok=True)  # it is of a run that nobody goes on with
            return 0
        state = read(self.latest)
        was = json.loads(state["identity"])
        differing = [key for key in {*was, *self.identity} if was.get(key) != self.identity.get(key)]
        if differing:
            raise StdSearchError(
                f"{self.latest}: made with another {', '.join(sorted(differing))}; choose another --out"
            )
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        partial = path.with_suffix(".partial")
        try:
            torch.save({"identity": json.dumps(self.identity), **state}, partial)
        except (OSError, RuntimeError) as error:  # torch tells a full disk as a RuntimeError
            partial.unlink(missing_ok=True)
            reason = str(error).partition("\n")[0]
            raise StdSearchError(
                f"{path}: cannot be written ({reason}); mend that, and the same command goes on"
            ) from None
        partial.replace(path)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log up to one that is not whole, as a process that was killed, or a full disk, leaves it."""
    lines: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
        if not line.endswith("\n"):
            return lines[:-1]
    return lines


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, "identity" as JSON. Raises StdSearchError if it cannot be read."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        json.loads(state["identity"])
    except Exception as error:  # whatever unpickling comes upon
        reason = str(error).partition("\n")[0]
        raise StdSearchError(f"{path}: not a readable checkpoint ({reason}); remove it to start again") from error
    return state
