"""`stdsearch train RECIPE`: the same options for every recipe; `stdsearch train list` shows them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from stdsearch.cli.options import Real
from stdsearch.errors import StdSearchError
from train.cli.options import FILE, Assignment
from train.recipes import RECIPES, plan

SPLITS = ("train", "dev")  # of the manifest, that training reads
BF16_IF_FAST = "bf16 where the processor is made for it"


@click.command("list")
def list_recipes() -> None:
    """Show the recipes and their variants: the whole method first, then rows of the papers' tables."""
    for name, summary in RECIPES.items():
        click.echo(f"{name}\t{summary}")
        click.echo(f"\t{' '.join(plan(name).variants)}")


def recipe_command(name: str) -> click.Command:
    """The command of a recipe."""
    return click.Command(
        name,
        callback=lambda **options: _train(name, **options),
        help=f"Train {RECIPES[name]}.\n\nInterrupt and resume at will: the same command goes on from its checkpoint.",
        params=_options(name),
        no_args_is_help=True,
    )


def _options(name: str) -> list[click.Parameter]:
    variants = list(plan(name).variants)
    loop, epochs = plan(name).loop, plan(name).epochs
    length = f"{epochs} epochs" if epochs else f"{loop.steps} steps"
    takes = plan(name).takes
    special = {
        "start_from": click.Option(
            ["--start-from"], type=FILE, metavar="MODEL",
            help="Encoder to go on from, instead of random weights; of the same recipe, variant and size.",
        ),
        "encoder": click.Option(["--encoder"], type=FILE, help="Encoder to build upon [default: the one that ships]."),
        "corpus_weight": click.Option(
            ["--corpus-weight", "corpus_weights"], type=Assignment(Real(min=0)), multiple=True,
            metavar="CORPUS=FACTOR", help="Draw a corpus more or less often than its hours say; repeatable.",
        ),
    }  # fmt: skip
    return [
        click.Option(["--data"], type=FILE, required=True, help="Manifest made by `stdsearch train prepare`."),
        click.Option(["--out"], type=FILE, required=True, help="Directory of the run; a run that is there is resumed."),
        click.Option(
            ["--variant"], type=click.Choice(variants), default=variants[0], show_default=True,
            help="The whole method, or a row of the paper's tables.",
        ),
        click.Option(
            ["--small"], is_flag=True, hidden=plan(name).small is None,
            help="A smaller network, for two cores and some hours of speech.",
        ),
        click.Option(["--noise"], type=FILE, help="Directory of background recordings to mix in."),
        click.Option(["--epochs"], type=click.IntRange(min=1), help=f"Times through the data [default: {length}]."),
        click.Option(["--steps"], type=click.IntRange(min=1), help="Batches, instead of --epochs."),
        click.Option(
            ["--learning-rate"], type=Real(min=0, min_open=True), default=loop.learning_rate,
            show_default=True, help="At its peak.",
        ),
        click.Option(
            ["--patience"], type=click.IntRange(min=0), default=loop.patience, show_default=True,
            help="Evaluations on dev without a better one after which to stop and keep the best; 0: never.",
        ),
        click.Option(["--seed"], type=click.IntRange(0, 2**63 - 1), default=0, show_default=True),
        click.Option(["--device"], default="cpu", show_default=True, help="cpu, cuda or cuda:N."),
        click.Option(
            ["--bf16/--float32"], default=None,
            help=f"Numbers of the forward pass [default: {BF16_IF_FAST if loop.bf16 else 'float32'}].",
        ),
        click.Option(["--threads"], type=click.IntRange(min=1), help="Cores to use [default: all]."),
        click.Option(["--cache"], type=FILE, help="Directory of features, which runs may share [default: OUT]."),
        click.Option(["--allow-shared-speakers"], is_flag=True, help="Accept speakers that are in two splits."),
        click.Option(["--tensorboard"], is_flag=True, help="Write the figures for TensorBoard as well, into OUT."),
        *(option for name, option in special.items() if name in takes),
    ]  # fmt: skip


def _train(
    name: str,
    *,
    data: Path,
    out: Path,
    variant: str,
    small: bool,
    noise: Path | None,
    epochs: int | None,
    steps: int | None,
    learning_rate: float,
    patience: int,
    seed: int,
    device: str,
    bf16: bool | None,
    threads: int | None,
    cache: Path | None,
    allow_shared_speakers: bool,
    tensorboard: bool,
    start_from: Path | None = None,
    encoder: Path | None = None,
    corpus_weights: tuple[tuple[str, float], ...] = (),
) -> None:
    from stdsearch.encoder import load_encoder
    from stdsearch.encoder.span import is_fast_in_bf16
    from stdsearch.pronounce.lexicon import Dictionary
    from stdsearch.threads import available_cores, set_threads
    from train.cli.live import Live
    from train.export import commit, describe_data
    from train.loop import fit
    from train.manifest import check_speakers, read_manifest
    from train.recipe import Inputs

    if epochs and steps:
        raise click.UsageError("give --epochs or --steps, not both")
    _check_device(device)
    set_threads(threads or available_cores())
    utterances = read_manifest(data)
    if not allow_shared_speakers:
        check_speakers(utterances, data)
    for split in SPLITS:
        if not any(utterance.words for utterance in utterances if utterance.split == split):
            raise StdSearchError(
                f"{data}: nothing is said in the split {split}; prepare it with --hold-out dev=0.05, for example"
            )
    corpora = {utterance.corpus for utterance in utterances if utterance.split == "train"}
    factors = dict(corpus_weights)
    if unknown := sorted(factors.keys() - corpora):
        raise StdSearchError(
            f"{data}: has no corpus {unknown[0]!r} in train; its corpora are {', '.join(sorted(corpora))}"
        )
    if not any(factors.get(corpus, 1.0) for corpus in corpora):
        raise StdSearchError("--corpus-weight: leaves no corpus to train on; give one of them more than 0")
    if noise and not noise.is_dir():
        raise StdSearchError(f"{noise}: no such folder; name one of background recordings")
    for folder in (out, cache or out):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StdSearchError(f"{folder}: cannot be made ({error.strerror}); choose another") from None
    noises = sorted(path for path in noise.iterdir() if path.is_file()) if noise else []
    planned = plan(name)
    settings = planned.variants[variant]
    if small and planned.small is None:
        raise click.UsageError(f"{name} has no small network")
    with Live(name, out, tensorboard=tensorboard) as live:
        recipe = planned.make(
            planned.small(settings) if small and planned.small else settings,
            Inputs(
                utterances,
                data.parent,
                cache or out,
                noise=noises,
                dictionary=Dictionary().all_pronunciations(),
                corpus_weight=corpus_weights,
                encoder=encoder,
                seed=seed,
                device=device,
                progress=live.reading,
            ),
        )
        if start_from:
            recipe.start_from(load_encoder(start_from))
        if epochs is None and steps is None:
            epochs, steps = planned.epochs, planned.loop.steps
        n_steps = recipe.steps_per_epoch * epochs if epochs else steps
        assert n_steps
        loop = replace(
            planned.loop,
            steps=n_steps,
            learning_rate=learning_rate,
            patience=patience,
            seed=seed,
            device=device,
            bf16=planned.loop.bf16 and (device != "cpu" or is_fast_in_bf16()) if bf16 is None else bf16,
        )
        about: dict[str, Any] = {"recipe": name, "variant": variant, "small": small, "commit": commit()}
        about |= {
            "steps_per_epoch": recipe.steps_per_epoch,
            "data": describe_data([u for u in utterances if u.split in SPLITS]),
        }
        live.start(n_steps)
        try:
            fit(recipe, out, loop, live.report, data=_digest(data, noises), about=about)
        except OSError as error:
            reason = error.strerror or error
            raise StdSearchError(
                f"{out}: cannot be written ({reason}); mend that, and the same command goes on"
            ) from None
    click.echo(f"Trained. Next: stdsearch train export {out} MODEL.safetensors", err=True)


def _digest(manifest: Path, noises: Sequence[Path]) -> str:
    """What a run learns from, as a short name: a manifest, and the names of background recordings."""
    digest = hashlib.sha256(manifest.read_bytes())
    digest.update(repr([path.name for path in noises]).encode())
    return digest.hexdigest()[:16]


def _check_device(device: str) -> None:
    import torch

    try:
        if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
            raise RuntimeError("unknown")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise StdSearchError(
            f"--device {device}: cannot be used ({reason}); name cpu, or cuda where there is a GPU"
        ) from None
