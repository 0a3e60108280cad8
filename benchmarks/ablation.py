"""A paper's ablation in small: every variant of a recipe trained alike, by seeds, and measured on dev.

    python benchmarks/ablation.py jmcl runs/speech.jsonl --out runs/ablation --epochs 12 --variants paper clap dwd

Each run is `stdsearch train RECIPE` in a process of one thread, --jobs of them at a time; a run that is finished is
not made again, and an interrupted one is resumed. Encoders are measured by the protocols of jmcl_words, word_pairs and
libriphrase, verifiers by libriphrase, all with their own seeds fixed. Figures go to results/ablation_RECIPE.json.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import jmcl_words
import libriphrase
import numpy as np
import word_pairs
from clips import read_parts, word_clips
from measure import write_result
from rich.console import Console
from rich.table import Table

from stdsearch.encoder import load_encoder
from stdsearch.threads import set_threads
from stdsearch.verifier import load_verifier
from train.recipes import plan

RECIPES = ("jmcl", "adml", "plcl")
Figures = dict[str, float]


def train(recipe: str, variant: str, seed: int, options: argparse.Namespace) -> Path:
    """Train and export one run; returns the model's path."""
    run = options.out / f"{recipe}-{variant}-{seed}"
    model = run / "model.safetensors"
    if model.exists():
        return model
    command = [sys.executable, "-m", "stdsearch", "train"]
    length = ["--epochs", str(options.epochs)] if options.epochs else ["--steps", str(options.steps)]
    settings = ["--variant", variant, "--seed", str(seed), "--threads", "1", "--cache", str(options.out / "features")]
    settings += ["--learning-rate", str(options.learning_rate)] if options.learning_rate else []
    settings += ["--noise", str(options.noise)] if options.noise else []
    settings += ["--small"] if plan(recipe).small else []
    run.mkdir(parents=True, exist_ok=True)
    with open(run / "output.txt", "a", encoding="utf-8") as output:
        told = {"stdout": output, "stderr": output, "check": True}
        data = ["--data", str(options.manifest), "--out", str(run)]
        subprocess.run([*command, recipe, *data, *length, *settings], **told)  # type: ignore[call-overload]
        subprocess.run([*command, "export", str(run), str(model)], **told)  # type: ignore[call-overload]
    return model


def encoder_figures(options: argparse.Namespace) -> Callable[[Path], Figures]:
    """What measures an encoder on the split."""
    utterances = read_parts(options.manifest, [options.split])
    words = jmcl_words.jmcl_clips(word_clips(utterances, options.manifest.parent))
    words = [clip.alone() for clip in words]
    seen = {word.text for u in read_parts(options.manifest, ["train"]) for word in u.words}
    phrases = libriphrase.choose(options.manifest, [options.split], small=True)

    def measure(model: Path) -> Figures:
        encoder = load_encoder(model)
        figures: Figures = {}
        for name, part in jmcl_words.evaluate(encoder, words, seen).items():
            figures |= {f"acoustic_ap_{name}": part["acoustic_ap"], f"crossmodal_ap_{name}": part["crossmodal_ap"]}
        figures["pair_ap"] = word_pairs.evaluate(encoder, words)["ap"]
        return figures | _phrase_figures(libriphrase.evaluate(encoder, phrases))

    return measure


def verifier_figures(options: argparse.Namespace) -> Callable[[Path], Figures]:
    """What measures a verifier, and with it the encoder that ships, on the split."""
    phrases = libriphrase.choose(options.manifest, [options.split], small=True)
    encoder = load_encoder()
    return lambda model: _phrase_figures(libriphrase.evaluate(encoder, phrases, verifier=load_verifier(model)))


def _phrase_figures(found: dict[str, Any]) -> Figures:
    """EER and AUC by set and enrolment, over distinct trials of two a row."""
    return {
        f"{name}_{trial['set']}_{trial['enrolment']}": trial[f"{name}_distinct"]
        for trial in found["trials"]
        if trial["expansion"] == 2
        for name in ("eer", "auc")
    }


def spent(run: Path) -> dict[str, float]:
    """Minutes and steps of a run by its log, in which seconds begin anew where it was resumed."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    ends = [line for line, after in pairwise(lines) if after["seconds"] < line["seconds"]]
    return {"minutes": round(sum(line["seconds"] for line in [*ends, lines[-1]]) / 60, 1), "steps": lines[-1]["step"]}


def made_at(run: Path) -> str:
    """The commit that a run was trained at."""
    return str(json.loads((run / "run.json").read_text(encoding="utf-8"))["commit"])


def summarise(runs: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and range over the seeds of each variant's figures."""
    by_variant: dict[str, list[Figures]] = {}
    for run in runs:
        by_variant.setdefault(run["variant"], []).append(run["figures"])
    return {
        variant: {
            name: {"mean": round(float(np.mean(values)), 4), "least": min(values), "most": max(values)}
            for name in found[0]
            for values in [[figures[name] for figures in found]]
        }
        for variant, found in by_variant.items()
    }


def main() -> None:
    """Train what is not trained, measure all, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--variants", nargs="+", help="default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--learning-rate", type=float, help="default: the recipe's")
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--split", default="dev", help="what is measured on")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    variants = arguments.variants or list(plan(arguments.recipe).variants)
    wanted = list(product(arguments.seeds, variants))
    with ThreadPoolExecutor(arguments.jobs) as pool:
        models = list(pool.map(lambda one: train(arguments.recipe, one[1], one[0], arguments), wanted))
    set_threads(arguments.jobs)
    measure = (verifier_figures if arguments.recipe == "plcl" else encoder_figures)(arguments)
    runs = [
        {
            "variant": variant,
            "seed": seed,
            **spent(model.parent),
            "commit": made_at(model.parent),
            "figures": measure(model),
        }
        for (seed, variant), model in zip(wanted, models, strict=True)
    ]
    about = json.loads((models[0].parent / "run.json").read_text(encoding="utf-8"))
    hours = round(sum(part["hours"] for part in about["data"] if part["split"] == "train"), 2)
    summary = summarise(runs)
    shown = list(next(iter(summary.values())))
    table = Table("variant", *shown)
    for variant, figures in summary.items():
        table.add_row(variant, *(f"{figures[name]['mean']:.3f}" for name in shown))
    Console(width=200).print(table)
    result = {"recipe": arguments.recipe, "tested_on": arguments.split, "train_hours": hours, "runs_made": runs}
    print(
        write_result(
            f"ablation_{arguments.recipe}", {**result, "variants": summary}, threads=1, runs=len(arguments.seeds)
        )
    )


if __name__ == "__main__":
    main()
