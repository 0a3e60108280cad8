"""`stdsearch train`: from transcribed speech to an encoder."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.errors import StdSearchError

if TYPE_CHECKING:
    from rich.console import Console

    from train.prepare.report import Report

FILE = click.Path(path_type=Path)


class Assignment(click.ParamType):
    """NAME=VALUE on the command line, a pair in Python."""

    name = "name=value"

    def __init__(self, value_type: click.ParamType) -> None:
        self.value_type = value_type

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | float]:
        """The pair."""
        name, equals, given = str(value).partition("=")
        if not (name and equals):
            self.fail(f"{value!r} is not of the form NAME=VALUE", param, ctx)
        return name, self.value_type.convert(given, param, ctx)


@click.group()
def train() -> None:
    """Make an encoder from transcribed speech."""


@train.command(no_args_is_help=True)
@click.argument("format", type=click.Choice(["table", "librispeech", "kaldi"]))
@click.argument("source", type=FILE)
@click.option("--out", type=FILE, required=True, help="Manifest to write (JSON lines).")
@click.option("--alignments", type=FILE, help="Words with times that are known already: a manifest, or JSON lines.")
@click.option("--lexicon", type=FILE, help="Pronunciations of words of your own.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--split", default="train", show_default=True, help="Split of utterances that name none.")
@click.option(
    "--hold-out",
    type=Assignment(click.FloatRange(0, 1, min_open=True, max_open=True)),
    multiple=True,
    metavar="SPLIT=SHARE",
    help="Give this share of the speakers without a split to SPLIT; repeatable.",
)
@click.option(
    "--audio-root", type=FILE, help="Where relative audio paths start: the table's folder, or, for kaldi, here."
)
@click.option(
    "--column",
    "columns",
    type=Assignment(click.STRING),
    multiple=True,
    metavar="OURS=THEIRS",
    help="What the table calls a column, as in text=sentence; repeatable.",
)
@click.option("--allow-shared-speakers", is_flag=True, help="Accept speakers that are in two splits.")
def prepare(
    format: str,
    source: Path,
    out: Path,
    alignments: Path | None,
    lexicon: Path | None,
    jobs: int,
    split: str,
    hold_out: tuple[tuple[str, float], ...],
    audio_root: Path | None,
    columns: tuple[tuple[str, str], ...],
    allow_shared_speakers: bool,
) -> None:
    """Find where the words and phones of transcribed speech are said, and write them as a manifest.

    FORMAT says what SOURCE is: a table of utterances (TSV, CSV, JSON lines), a LibriSpeech tree, or a Kaldi data
    directory. An interrupted preparation goes on when started again.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from train.manifest import check_speakers, read_words
    from train.prepare.kaldi import read_kaldi
    from train.prepare.librispeech import read_librispeech
    from train.prepare.run import prepare as run
    from train.prepare.splits import assign_splits
    from train.prepare.table import COLUMNS, read_table

    unknown = [ours for ours, _ in columns if ours not in COLUMNS]
    if unknown or (columns and format != "table"):
        raise click.UsageError(f"--column names a column of a table: {', '.join(COLUMNS)}")
    if audio_root and format == "librispeech":
        raise click.UsageError("--audio-root is for tables and Kaldi directories; LibriSpeech has its audio beside it")
    if format == "table":
        found = read_table(source, audio_root=audio_root, columns=dict(columns))
    elif format == "kaldi":
        found = read_kaldi(source, audio_root=audio_root)
    else:
        found = read_librispeech(source)
    utterances = assign_splits(found, default=split, hold_out=dict(hold_out))
    if not allow_shared_speakers:
        check_speakers(utterances, source)
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("aligning"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        bar = progress.add_task("aligning", total=len(utterances))
        report = run(
            utterances,
            out,
            alignments=read_words(alignments) if alignments else None,
            lexicon=lexicon,
            jobs=jobs,
            advance=lambda n_done: progress.advance(bar, n_done),
        )
    _show_report(report, console)


def _show_report(report: "Report", console: "Console") -> None:
    """What was kept and dropped, as tables."""
    from rich.markup import escape
    from rich.table import Table

    kept = Table("split", "utterances", "speakers", "words", "hours", title="kept", title_justify="left")
    for split, row in report.kept.items():
        kept.add_row(split, str(row.utterances), str(row.speakers), str(row.words), f"{row.hours:.2f}")
    console.print(kept)
    if report.dropped:
        dropped = Table("why", "utterances", "the first", title="dropped", title_justify="left")
        for reason, count, detail in report.reasons():
            dropped.add_row(reason, str(count), escape(detail))
        console.print(dropped)
    if report.guessed:
        console.print(f"words in no dictionary, pronounced by their spelling: {len(report.guessed)}")


def _check_folder(path: Path) -> None:
    """Raise StdSearchError, before what takes long, if there is no folder to write a file to."""
    if not path.parent.is_dir():
        raise StdSearchError(f"{path}: {path.parent} is no folder; make it first, or choose another")


@train.command()
@click.option("--data", type=FILE, required=True, help="Manifest made by `stdsearch train prepare`.")
@click.option("--out", type=FILE, required=True, help="Directory of the run; a run that is there is resumed.")
@click.option("--noise", type=FILE, help="Directory of background recordings to mix in.")
@click.option("--steps", type=click.IntRange(min=1), default=6000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
@click.option(
    "--corpus-weight",
    "corpus_weights",
    type=Assignment(click.FloatRange(min=0)),
    multiple=True,
    metavar="CORPUS=FACTOR",
    help="Draw a corpus more or less often than its hours say; repeatable.",
)
def span(
    data: Path,
    out: Path,
    noise: Path | None,
    steps: int,
    seed: int,
    device: str,
    threads: int | None,
    corpus_weights: tuple[tuple[str, float], ...],
) -> None:
    """Train the span encoder: CLAP + DWD + phones. Hours on two cores; interrupt and resume at will."""
    import json

    from rich.console import Console
    from rich.progress import Progress

    from stdsearch.pronounce.lexicon import Dictionary
    from stdsearch.threads import available_cores, set_threads
    from train.export import commit, describe_data
    from train.loop import LoopSettings, fit
    from train.manifest import check_speakers, read_manifest
    from train.recipes.span import SpanRecipe, SpanSettings

    set_threads(threads or available_cores())
    utterances = read_manifest(data)
    check_speakers(utterances, data)
    for split in ("train", "dev"):
        if not any(utterance.words for utterance in utterances if utterance.split == split):
            raise StdSearchError(
                f"{data}: nothing is said in the split {split}; prepare it with --hold-out dev=0.05, for example"
            )
    if noise and not noise.is_dir():
        raise StdSearchError(f"{noise}: no such folder; name one of background recordings")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StdSearchError(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        recipe = SpanRecipe(
            utterances,
            data.parent,
            SpanSettings(corpus_weight=corpus_weights),
            dictionary=Dictionary().all_pronunciations(),
            noise=sorted(path for path in noise.iterdir() if path.is_file()) if noise else [],
            cache=out,
            seed=seed,
            progress=lambda items: progress.track(items, description="Reading audio"),
        )
        about = {"recipe": recipe.name, "commit": commit(), "data": describe_data(utterances)}
        (out / "run.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        bar = progress.add_task("Training", total=steps)

        def report(line: dict) -> None:
            progress.update(bar, completed=line["step"])
            console.print("  ".join(f"{name} {value:g}" for name, value in line.items()), highlight=False)

        fit(recipe, out, LoopSettings(steps=steps, seed=seed, device=device), report)
    click.echo(f"Trained. Next: stdsearch train export {out} MODEL.safetensors", err=True)


@train.command()
@click.argument("run", type=FILE)
@click.argument("model", type=FILE)
def export(run: Path, model: Path) -> None:
    """Write the averaged encoder of RUN to MODEL (.safetensors), with a model card beside it."""
    from train.export import export as write

    _check_folder(model)
    figures = write(run, model)
    for name, value in figures.items():
        if name.startswith("dev_"):
            click.echo(f"{name}\t{value}")


@train.command()
@click.argument("archive", type=FILE)
@click.argument("task", type=FILE)
@click.option(
    "--out", type=FILE, required=True, help="Encoder, or verifier, to write: the one used, with its calibration."
)
@click.option("--verifier", type=FILE, help="Search with this verifier, and write it instead of the encoder.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
def calibrate(archive: Path, task: Path, out: Path, verifier: Path | None, threads: int | None) -> None:
    """Fit how scores become probabilities, on dev.

    TASK is a directory with ecf.xml, ref.rttm, kwlist.xml and, for spoken queries, examples.tsv; ARCHIVE was made from
    its recordings.
    """
    from rich.console import Console
    from rich.progress import Progress

    from stdsearch.calibrate import to_json
    from stdsearch.encoder import save_encoder
    from stdsearch.search import Archive
    from stdsearch.threads import available_cores, set_threads
    from stdsearch.verifier import load_verifier, save_verifier
    from train.calibrate import Task
    from train.calibrate import calibrate as fit

    _check_folder(out)
    set_threads(threads or available_cores())
    opened = Archive.open(archive, verifier=load_verifier(verifier) if verifier else None)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        fitted = fit(Task.read(task), opened, lambda items: progress.track(items, description="Searching dev"))
    calibration = {"calibration": to_json(fitted)}
    if opened.verifier:
        save_verifier(opened.verifier, out, calibration)
    else:
        save_encoder(opened.encoder, out, calibration)
