"""`stdsearch index`: a folder of recordings becomes an archive."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from stdsearch.cli.options import Real
from stdsearch.errors import StdSearchError
from stdsearch.slicing import LONGEST_SLICE, MOST_LENGTHS, SlicingSettings
from stdsearch.vector_settings import AUTO, KINDS, RECALL, VectorChoice

if TYPE_CHECKING:
    from indexer.build import Report
    from indexer.shards import Progress
    from stdsearch.stages import OnStage

SOME_FAILED, INTERRUPTED = 3, 130  # exit codes
SLICING = SlicingSettings()


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", metavar="ARCHIVE", required=True, type=click.Path(path_type=Path), help="The archive to make.")
@click.option(
    "--metadata",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="CSV, TSV, Parquet, JSON or JSON lines with a column `recording`, `path` or `file`: the path below PATH, or "
    "the base name. Its other columns are for `stdsearch query --where`.",
)
@click.option("--encoder", metavar="MODEL", type=click.Path(path_type=Path), help="An encoder of your own.")
@click.option("--update", is_flag=True, help="Make the archive hold what PATH... holds now, and nothing else.")
@click.option(
    "--checksum", is_flag=True, help="With --update: read every file, though size and time of change are as they were."
)
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="Cores to use [default: all].")
@click.option("--speech-only/--all", default=True, help="Pass over what is no speech [default], or over nothing.")
@click.option(
    "--longest",
    metavar="SECONDS",
    type=Real(SLICING.shortest, LONGEST_SLICE),
    default=SLICING.longest,
    show_default=True,
    help="The longest slice; of longer terms the middle is looked for.",
)
@click.option(
    "--lengths",
    metavar="N",
    type=click.IntRange(2, MOST_LENGTHS),
    default=SLICING.n_lengths,
    show_default=True,
    help=f"How many lengths of slices there are, from {SLICING.shortest:g} s to the longest.",
)
@click.option(
    "--hop",
    metavar="SHARE",
    type=Real(0, 1, min_open=True),
    default=SLICING.hop,
    show_default=True,
    help="From one slice to the next, as a share of their length.",
)
@click.option(
    "--vectors",
    "kind",
    type=click.Choice([AUTO, *KINDS]),
    help=f"Kind of vector index, the smaller and faster ones last; {AUTO}, the default, goes by their number.",
)
@click.option(
    "--recall",
    metavar="SHARE",
    type=Real(0, 1, min_open=True),
    help="Of what is nearest, the share that a vector index other than exact is to find; measured on the archive "
    f"[default: {RECALL}].",
)
def index(
    paths: tuple[Path, ...],
    out: Path,
    metadata: Path | None,
    encoder: Path | None,
    threads: int | None,
    speech_only: bool,
    longest: float,
    lengths: int,
    hop: float,
    kind: str | None,
    recall: float | None,
    update: bool,
    checksum: bool,
) -> None:
    """Index the recordings among and below PATH... into a new archive.

    With --update, into one that may be there: new and changed files are indexed, files that are gone are removed, what
    is as it was stays, and so does what a changed file that cannot be read was indexed as. A file of the same name and
    size that was last changed when it was is taken for unchanged, and so is one of the same checksum, which may have
    got another name. Encoder and slices are the archive's. Without --metadata, recordings keep the columns that they
    have, and without --vectors and --recall these stay as well.

    An encoder of cut segments, as of the recipes jmcl and adml, runs over each slice by itself, so that its time goes
    with the number of slices and their length: --lengths 5 --hop 0.4 takes about a quarter, and finds less.

    A recording that cannot be read is reported and left out; exit code 3 says that there were such. When interrupted,
    the same command goes on where it stopped.
    """
    from indexer.build import build_archive, check_out, update_archive
    from indexer.commit import choice_of
    from indexer.metadata import read_metadata
    from indexer.sources import find_sources
    from stdsearch.archive import open_archive
    from stdsearch.archive.manifest import FILE_NAME
    from stdsearch.encoder import load_encoder
    from stdsearch.encoder.file import default_encoder_path
    from stdsearch.threads import available_cores

    if checksum and not update:
        raise click.UsageError("--checksum is for --update; a new archive reads every file anyway")
    settings = SlicingSettings(longest=longest, n_lengths=lengths, hop=hop, speech_only=speech_only)
    asked: Any = {name: value for name, value in (("chosen", kind), ("recall", recall)) if value is not None}
    is_there = update and (out / FILE_NAME).exists()
    if is_there:
        archive = open_archive(out)
        _check_slicing(archive.settings["slicing"], settings)
        encoder_file = encoder or archive.encoder_path
        choice = replace(choice_of(archive), **asked)
    else:
        check_out(out)
        encoder_file = encoder or default_encoder_path()
        choice = VectorChoice(**asked)
    sources = find_sources(paths, each=is_there)
    columns = read_metadata(metadata, [source.path for source in sources]) if metadata else None
    if columns and columns.unmatched:
        n_rows = len(columns.unmatched)
        rows_name = "1 row names" if n_rows == 1 else f"{n_rows} rows name"
        _note(f"{metadata}: {rows_name} no recording, the first {columns.unmatched[0]!r}")
    began = monotonic()
    with _shown(sum(source.bytes for source in sources)) as (meter, on_stage):
        common: Any = {
            "vectors": choice,
            "metadata": columns,
            "threads": threads or available_cores(),
            "on_progress": meter,
            "on_stage": on_stage,
        }
        model = load_encoder(encoder_file)
        try:
            if is_there:
                archive.release()
                report = update_archive(sources, out, model, by_checksum=checksum, **common)
            else:
                report = build_archive(sources, out, model, encoder_file=encoder_file, settings=settings, **common)
        except KeyboardInterrupt:
            _note(f"interrupted; {meter.kept} recordings are kept, and the same command goes on from there")
            click.get_current_context().exit(INTERRUPTED)
    if is_there:
        click.echo(_update_summary(out, report))
    else:
        click.echo(_summary(out, report, meter.fresh_seconds / (monotonic() - began)))
    if report.complaints:
        click.get_current_context().exit(SOME_FAILED)


def _check_slicing(kept: Mapping[str, object], asked: SlicingSettings) -> None:
    """Raise StdSearchError if an option was given that asks for other slices than an archive has."""
    options = {"longest": "longest", "lengths": "n_lengths", "hop": "hop", "speech_only": "speech_only"}
    context = click.get_current_context()
    for option, name in options.items():
        given = context.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT
        if given and kept.get(name) != getattr(asked, name):
            raise StdSearchError(
                f"the archive was made with {name} {kept.get(name)}, not {getattr(asked, name)}; "
                "leave the option out, or index again"
            )


class _Meter:
    """Remembers the latest progress and passes it on to a display."""

    def __init__(self, show: Callable[["Progress", float], None]) -> None:
        self.kept = 0
        self.fresh_seconds = 0.0
        self._resumed: float | None = None
        self._show = show

    def __call__(self, progress: "Progress") -> None:
        if self._resumed is None:
            self._resumed = progress.seconds
        self.kept = progress.kept
        self.fresh_seconds = progress.seconds - self._resumed
        self._show(progress, self.fresh_seconds)


@contextmanager
def _shown(total_bytes: int) -> Iterator[tuple[_Meter, "OnStage"]]:
    """A meter with a progress bar, what shows the stages before and after, and warnings as notes, meanwhile."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from stdsearch.cli.progress import bars, stages_on

    began = monotonic()
    told = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[came_to]}")
    bar = bars(*told, TimeRemainingColumn())
    task = bar.add_task("Indexing", total=total_bytes, came_to="")

    def show(progress: "Progress", fresh_seconds: float) -> None:
        speed = fresh_seconds / max(monotonic() - began, 1e-3)
        text = f"{progress.recordings} recordings, {progress.seconds / 3600:.2f} h, {speed:.0f} × real time"
        bar.update(task, completed=progress.bytes, came_to=text)

    notes = _Notes(logging.WARNING)
    logging.getLogger().addHandler(notes)
    try:
        with bar:
            yield _Meter(show), stages_on(bar, came_to="")
    finally:
        logging.getLogger().removeHandler(notes)


class _Notes(logging.Handler):
    """Shows what the library warns of."""

    def emit(self, record: logging.LogRecord) -> None:
        _note(record.getMessage())


def _note(text: str) -> None:
    click.echo(f"stdsearch: {text}", err=True)


def _update_summary(out: Path, report: "Report") -> str:
    counts = report.counts
    left_out = len(report.complaints) - report.stayed
    renamed = f" ({report.renamed} renamed)" if report.renamed else ""
    failed = f", {report.stayed} unreadable and left as indexed before" if report.stayed else ""
    failed += f", {left_out} left out" if left_out else ""
    return (
        f"{out}: {report.added} added, {report.changed} changed, {report.removed} removed, {report.unchanged} "
        f"unchanged{renamed}{failed}; {counts.recordings} recordings, {counts.seconds / 3600:.2f} h, "
        f"{counts.segments} segments"
    )


def _summary(out: Path, report: "Report", speed: float) -> str:
    counts = report.counts
    failed = f", {len(report.complaints)} left out" if report.complaints else ""
    return (
        f"{out}: {counts.recordings} recordings{failed}, {counts.seconds / 3600:.2f} h, {counts.segments} segments; "
        f"indexed at {speed:.0f} × real time"
    )
