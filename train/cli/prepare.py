"""`stdsearch train prepare`: where the words and phones of transcribed speech are said."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.cli.options import Real
from train.cli.options import FILE, Assignment

if TYPE_CHECKING:
    from rich.console import Console

    from train.prepare.report import Report


@click.command(no_args_is_help=True)
@click.argument("format", type=click.Choice(["table", "librispeech", "kaldi"]))
@click.argument("source", type=FILE)
@click.option("--out", type=FILE, required=True, help="Manifest to write (JSON lines).")
@click.option("--alignments", type=FILE, help="Words with times that are known already: a manifest, or JSON lines.")
@click.option("--lexicon", type=FILE, help="Pronunciations of words of your own.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes [default: a core each].")
@click.option("--split", default="train", show_default=True, help="Split of utterances that name none.")
@click.option(
    "--hold-out",
    type=Assignment(Real(0, 1, min_open=True, max_open=True)),
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
    jobs: int | None,
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

    from stdsearch.threads import available_cores
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
            jobs=jobs or available_cores(),
            advance=lambda n_done: progress.advance(bar, n_done),
        )
    _show_report(report, console)


def _show_report(report: "Report", console: "Console") -> None:
    """What was kept and dropped, as tables."""
    from rich.table import Table

    from stdsearch.cli.text import cell

    kept = Table("split", "utterances", "speakers", "words", "hours", title="kept", title_justify="left")
    for split, row in report.kept.items():
        kept.add_row(split, str(row.utterances), str(row.speakers), str(row.words), f"{row.hours:.2f}")
    console.print(kept)
    if report.dropped:
        dropped = Table("why", "utterances", "the first", title="dropped", title_justify="left")
        for reason, count, detail in report.reasons():
            dropped.add_row(reason, str(count), cell(detail))
        console.print(dropped)
    if report.guessed:
        console.print(f"words in no dictionary, pronounced by their spelling: {len(report.guessed)}")
