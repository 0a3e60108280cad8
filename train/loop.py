"""The training loop: steps, learning rate, averaging, checkpoints that resume, metrics as JSON lines.

Everything random in a step follows from the seed and the step's number, so that a run that was interrupted
and resumed sees what an undisturbed one would.
"""

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stdsearch.errors import StdSearchError

LOG_EVERY = 50  # steps that a line of the log is the mean of; checkpoints fall between lines


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long and how fast to train."""

    steps: int = 6000
    learning_rate: float = 2e-3
    warm_up: int = 300
    weight_decay: float = 0.01
    clip: float = 2.0  # gradient norm
    average: float = 0.998  # decay of the exponential average of the weights, which is what is exported
    evaluate_every: int = 500
    checkpoint_seconds: float = 300.0
    seed: int = 0
    bf16: bool = True
    device: str = "cpu"


class Recipe(Protocol):
    """What the loop needs to know of a recipe."""

    name: str

    @property
    def model(self) -> nn.Module:
        """What is trained: the encoder with everything that only training needs."""

    def settings(self) -> dict[str, Any]:
        """Everything that must be equal for a checkpoint to go on; JSON."""

    def batch(self, step: int) -> Any:
        """The batch of a step; called in another thread, ahead of time."""

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch and figures to log."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures on dev of an averaged copy of the model."""


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Linear warm-up, then half a cosine down to 1 % of the peak."""
    if step < settings.warm_up:
        return settings.learning_rate * (step + 1) / settings.warm_up
    share = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


def fit(recipe: Recipe, out: Path, settings: LoopSettings, report: Callable[[dict[str, Any]], None]) -> nn.Module:
    """The averaged model after all steps; `out` gets checkpoint.pt and log.jsonl, and a run there is resumed.

    report is called with every line of the log. Raises StdSearchError if the loss stops being finite,
    leaving the last checkpoint, or if the checkpoint there belongs to another recipe or other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    model = recipe.model.to(settings.device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
    identity = {"recipe": recipe.name, **recipe.settings(), "loop": asdict(settings)}
    identity = json.loads(json.dumps(identity))
    checkpoint = out / "checkpoint.pt"
    first = _resume(checkpoint, identity, model, average, optimizer) if checkpoint.exists() else 0
    _rewind(out / "log.jsonl", first)

    started, saved, seconds_data = time.monotonic(), time.monotonic(), 0.0
    sums: dict[str, float] = {}
    with open(out / "log.jsonl", "a", encoding="utf-8") as log, ThreadPoolExecutor(1) as loader:
        ahead: Future = loader.submit(recipe.batch, first)
        for step in range(first, settings.steps):
            waited = time.monotonic()
            batch = ahead.result()
            seconds_data += time.monotonic() - waited
            ahead = loader.submit(recipe.batch, step + 1)
            model.train()
            torch.manual_seed(hash((settings.seed, step)) & 0x7FFFFFFF)  # dropout
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, settings)
            with torch.autocast(settings.device, torch.bfloat16, enabled=settings.bf16):
                loss, figures = recipe.loss(batch)
            if not math.isfinite(loss.item()):
                raise StdSearchError(
                    f"{out}: the loss is {loss.item()} at step {step}, and would be so again; "
                    "train with another seed or a lower learning rate into another --out"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            average.update_parameters(model)

            for name, value in {"loss": loss.item(), **figures}.items():
                sums[name] = sums.get(name, 0.0) + value
            done = step + 1
            if done % LOG_EVERY == 0 or done == settings.steps:
                n = done - max(first, step // LOG_EVERY * LOG_EVERY)
                line = {"step": done, "seconds": round(time.monotonic() - started, 1), "wait": round(seconds_data, 1)}
                line |= {name: round(value / n, 4) for name, value in sums.items()}
                sums = {}
                if done % settings.evaluate_every == 0 or done == settings.steps:
                    line |= {f"dev_{k}": round(v, 4) for k, v in recipe.evaluate(average.module.eval()).items()}
                log.write(json.dumps(line) + "\n")
                log.flush()
                report(line)
                if time.monotonic() - saved > settings.checkpoint_seconds or done == settings.steps:
                    _save(checkpoint, identity, done, model, average, optimizer)
                    saved = time.monotonic()
    module: nn.Module = average.module.eval()
    return module


def _save(path: Path, identity: dict, step: int, model: nn.Module, average: nn.Module, optimizer: Any) -> None:
    state = {
        "identity": json.dumps(identity),
        "step": step,
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _rewind(log: Path, step: int) -> None:
    """Leave the lines of the log up to a step: what an interrupted run did after its checkpoint is done again."""
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    kept = (line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step)
    log.write_text("".join(kept), encoding="utf-8")


def _resume(path: Path, identity: dict, model: nn.Module, average: nn.Module, optimizer: Any) -> int:
    """The number of steps done, after everything was set as it was."""
    try:
        state = torch.load(path, weights_only=True)
        was = json.loads(state["identity"])
    except Exception as error:  # whatever unpickling comes upon
        reason = str(error).partition("\n")[0]
        raise StdSearchError(f"{path}: not a readable checkpoint ({reason}); remove it to start again") from error
    differing = [key for key in {*was, *identity} if was.get(key) != identity.get(key)]
    if differing:
        raise StdSearchError(f"{path}: made with another {', '.join(sorted(differing))}; choose another --out")
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
