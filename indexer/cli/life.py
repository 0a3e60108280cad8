"""`stdsearch remove`, `compact`, `merge` and `repair`: what happens to an archive after it was made."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.cli.progress import shown_stages

if TYPE_CHECKING:
    from stdsearch.archive.manifest import Counts

_archive = click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))


@click.command()
@_archive
@click.argument("recordings", metavar="RECORDING...", nargs=-1, required=True)
def remove(archive: Path, recordings: tuple[str, ...]) -> None:
    """Remove each RECORDING, by its path in ARCHIVE or its base name.

    It is found no longer at once; the space that it took comes back with `stdsearch compact`.
    """
    from indexer.removal import remove_recordings

    with shown_stages() as on_stage:
        counts = remove_recordings(archive, recordings, on_stage=on_stage)
    click.echo(f"{archive}: {_told(counts)} are left")


@click.command()
@_archive
def compact(archive: Path) -> None:
    """Free the space of removed recordings, and put shards together that updates have left small.

    Recordings and segments are numbered anew. Meanwhile ARCHIVE takes up to twice its space. What an interrupted
    `index --update` had finished is given up: let that end first.
    """
    from indexer.copying import compact_archive
    from stdsearch.archive.manifest import load_manifest

    before = sum(part.bytes for part in load_manifest(archive).all_parts())
    with shown_stages() as on_stage:
        counts = compact_archive(archive, on_stage=on_stage)
    if counts is None:
        click.echo(f"{archive}: is compact already")
        return
    after = sum(part.bytes for part in load_manifest(archive).all_parts())
    click.echo(f"{archive}: {_told(counts)}; {(before - after) / 1e6:.1f} MB less")


@click.command()
@click.argument("archives", metavar="ARCHIVE ARCHIVE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", metavar="ARCHIVE", required=True, type=click.Path(path_type=Path), help="The archive to make.")
def merge(archives: tuple[Path, ...], out: Path) -> None:
    """Put several archives together into a new one, as if all their recordings had been indexed at once.

    They must have been made by one encoder with the same slices, and no two may hold a recording of the same path.
    """
    from indexer.copying import merge_archives

    if len(archives) < 2:
        raise click.UsageError("name two archives or more to merge")
    with shown_stages() as on_stage:
        counts = merge_archives(archives, out, on_stage=on_stage)
    click.echo(f"{out}: {_told(counts)}")


@click.command(hidden=True)  # shown as verify --repair, which calls it
@_archive
def repair(archive: Path) -> None:
    """Make again what of ARCHIVE is broken and follows from its shards, as `stdsearch verify --repair` does."""
    from indexer.repair import repair_archive

    with shown_stages() as on_stage:
        repaired = repair_archive(archive, on_stage=on_stage)
    click.echo(f"{archive}: {', '.join(repaired)} made again" if repaired else f"{archive}: nothing to repair")


def _told(counts: "Counts") -> str:
    return f"{counts.recordings} recordings, {counts.seconds / 3600:.2f} h, {counts.segments} segments"
