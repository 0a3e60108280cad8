"""How fast each recipe trains, and where the time goes.

    python benchmarks/training_speed.py runs/speech.jsonl --out runs/speed

The manifest is one of `stdsearch train prepare`. A token is a mel frame, of 10 ms, or 20 ms
in the small networks. Each recipe trains for some steps on
all of its threads: "wait" is the share of the time that the network waits for data, and an epoch is what a step takes
times the steps that an epoch has. --device cuda measures the same there.
"""

import argparse
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import write_result
from rich.console import Console
from rich.table import Table

from stdsearch.pronounce.lexicon import Dictionary
from stdsearch.threads import set_threads
from train.loop import fit
from train.manifest import read_manifest
from train.recipe import Inputs
from train.recipes import RECIPES, plan

STAGES = ("wait", "forward", "backward", "update")


def speed(name: str, inputs: Inputs, *, small: bool, steps: int) -> dict[str, Any]:
    """Figures of a recipe as it is, or small, trained for some steps."""
    planned = plan(name)
    settings = next(iter(planned.variants.values()))
    recipe = planned.make(planned.small(settings) if small and planned.small else settings, inputs)
    loop = replace(planned.loop, steps=steps, evaluate_every=10**9, device=inputs.device)
    lines: list[dict[str, Any]] = []
    recipe.evaluate = lambda model: {}  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as out:
        fit(recipe, Path(out), loop, lines.append)
    line = lines[-1]
    frames = sum(one["frames"] * n for one, n in zip(lines, _steps(lines), strict=True))
    spent = sum(line[stage] for stage in STAGES)
    return {
        "parameters": sum(p.numel() for p in recipe.model.parameters()),
        "tokens_per_second": round(frames / line["seconds"]),
        "seconds_per_step": round(line["seconds"] / steps, 3),
        "steps_per_epoch": recipe.steps_per_epoch,
        "seconds_per_epoch": round(line["seconds"] / steps * recipe.steps_per_epoch, 1),
        **{f"share_{stage}": round(line[stage] / spent, 3) for stage in STAGES},
    }


def _steps(lines: list[dict[str, Any]]) -> list[int]:
    return [b - a for a, b in itertools.pairwise([0, *(line["step"] for line in lines)])]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for features")
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--recipes", nargs="*", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    inputs = Inputs(
        read_manifest(arguments.manifest),
        arguments.manifest.parent,
        arguments.out,
        noise=sorted(arguments.noise.iterdir()) if arguments.noise else [],
        dictionary=Dictionary().all_pronunciations(),
        device=arguments.device,
    )
    found = {
        f"{name}{', small' if small else ''}": speed(name, inputs, small=small, steps=arguments.steps)
        for name in arguments.recipes
        for small in (False, True)
        if not small or plan(name).small
    }
    columns = list(next(iter(found.values())))
    table = Table("recipe", *columns)
    for name, figures in found.items():
        table.add_row(name, *(str(figures[column]) for column in columns))
    Console().print(table)
    figures = {"device": arguments.device, "steps": arguments.steps, "recipes": found}
    print(write_result(f"training_speed_{arguments.device}", figures, threads=arguments.threads))


if __name__ == "__main__":
    main()
