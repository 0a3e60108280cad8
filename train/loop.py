"""The training loop: steps, averaging, evaluation, early stopping, checkpoints that resume, a log as JSON lines.

Everything random in a step follows from the seed and the step's number, so that a run that was interrupted
and resumed sees what an undisturbed one would.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stdsearch.errors import StdSearchError
from train import checkpoint
from train.recipe import Recipe, to_device
from train.schedule import Schedule, learning_rate

LOG_EVERY = 50  # steps that a line of the log is the mean of; checkpoints fall between lines
MOMENTUM = 0.9  # of SGD


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long and how fast to train."""

    steps: int = 6000
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    schedule: Schedule = "cosine"
    warm_up: float = 0.05  # share of the steps
    weight_decay: float = 0.01
    clip: float = 2.0  # gradient norm
    average: float = 0.998  # decay of the exponential average of the weights, which is what is exported; 0: the last
    evaluate_every: int = 500
    patience: int = 0  # evaluations without a better one after which to stop, keeping the best model; 0: never
    checkpoint_seconds: float = 300.0
    seed: int = 0
    bf16: bool = True
    device: str = "cpu"


class _Stopwatch:
    """Seconds spent by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - began

    def rounded(self) -> dict[str, float]:
        return {stage: round(seconds, 1) for stage, seconds in self.seconds.items()}


def fit(
    recipe: Recipe,
    out: Path,
    settings: LoopSettings,
    report: Callable[[dict[str, Any]], None],
    *,
    data: str = "",
    about: Mapping[str, Any] = MappingProxyType({}),
) -> nn.Module:
    """The averaged model after all steps, or the best one if patience ended; a run that is in `out` is resumed.

    `out` gets run.json, which holds what is said about the run, log.jsonl, checkpoint.pt and, with patience, best.pt.
    report is called with every line of the log; a line holds means since the line before, and since the start of the
    process the seconds of its stages, of which "wait" is for data. data: a name for what is learnt from. Raises
    StdSearchError if the loss stops being finite, leaving the last checkpoint, or if the checkpoint there belongs to
    another recipe, other settings or other data.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    device = torch.device(settings.device)
    model = recipe.model.to(device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True)
    groups = recipe.parameter_groups(settings.weight_decay)
    optimizer = _optimizer(groups, settings)
    identity = {"recipe": recipe.name, "product": recipe.product, **recipe.settings(), "loop": asdict(settings)}
    identity["data"] = data
    if recipe.start:
        identity["start"] = recipe.start
    run = checkpoint.Run(out, identity)
    first = run.resume(model, average, optimizer)
    (out / "run.json").write_text(json.dumps(dict(about), indent=1), encoding="utf-8")
    log_file = out / "log.jsonl"
    earlier = _rewind(log_file, first)
    judged = [line[f"dev_{recipe.criterion}"] for line in earlier if f"dev_{recipe.criterion}" in line]

    began = saved = time.monotonic()
    stage, sums = _Stopwatch(), dict[str, float]()
    with open(log_file, "a", encoding="utf-8") as log, ThreadPoolExecutor(1) as loader:
        ahead: Future = loader.submit(recipe.batch, first)
        for step in range(first, settings.steps):
            if _is_over(judged, settings.patience):
                break
            with stage("wait"):
                batch = ahead.result()
            ahead = loader.submit(recipe.batch, step + 1)
            model.train()
            torch.manual_seed(hash((settings.seed, step)) & 0x7FFFFFFF)  # dropout
            rate = learning_rate(
                step, settings.steps, settings.learning_rate, settings.schedule, warm_up=settings.warm_up
            )
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("scale", 1.0)
            with stage("forward"), torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
                loss, figures = recipe.loss(to_device(batch, device))
                value = loss.item()
            if not math.isfinite(value):
                raise StdSearchError(
                    f"{out}: the loss is {value} at step {step}, and would be so again; "
                    "train with another seed or a lower learning rate into another --out"
                )
            with stage("backward"):
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
            with stage("update"):
                nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
                optimizer.step()
                average.update_parameters(model)

            for name, figure in {"loss": value, **figures}.items():
                sums[name] = sums.get(name, 0.0) + figure
            done = step + 1
            if done % LOG_EVERY == 0 or done == settings.steps:
                n = done - max(first, step // LOG_EVERY * LOG_EVERY)
                line: dict[str, Any] = {"step": done, "seconds": round(time.monotonic() - began, 1), **stage.rounded()}
                line |= {name: round(total / n, 4) for name, total in sums.items()} | {"rate": rate}
                sums = {}
                if done % settings.evaluate_every == 0 or done == settings.steps:
                    with stage("evaluate"):
                        figures = recipe.evaluate(average.module.eval())
                    line |= {f"dev_{name}": round(figure, 4) for name, figure in figures.items()}
                    if recipe.criterion in figures:
                        judged.append(line[f"dev_{recipe.criterion}"])
                        if settings.patience and judged.index(max(judged)) == len(judged) - 1:
                            run.save_best(done, average)
                log.write(json.dumps(line) + "\n")
                log.flush()
                report(line)
                ends = done == settings.steps or _is_over(judged, settings.patience)
                if time.monotonic() - saved > settings.checkpoint_seconds or ends:
                    run.save(done, model, average, optimizer)
                    saved = time.monotonic()
    if settings.patience:
        run.load_best(average)
    module: nn.Module = average.module.eval()
    return module


def _optimizer(groups: list[dict[str, Any]], settings: LoopSettings) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=MOMENTUM, fused=True)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)


def _is_over(judged: list[float], patience: int) -> bool:
    """Whether the best of all evaluations lies `patience` of them or more back."""
    return bool(patience) and bool(judged) and len(judged) - 1 - judged.index(max(judged)) >= patience


def _rewind(log: Path, step: int) -> list[dict[str, Any]]:
    """The lines of the log up to a step, which are left there: what followed its checkpoint is done again."""
    kept = [line for line in checkpoint.read_log(log) if line["step"] <= step] if log.exists() else []
    log.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    return kept
