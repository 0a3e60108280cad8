"""`stdsearch verify`: whether an archive is whole, and what of it is broken."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.errors import StdSearchError

if TYPE_CHECKING:
    from stdsearch.archive import ArchiveReader
    from stdsearch.archive.check import Fault

BROKEN = 1  # exit code


@click.command()
@click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="First make again what follows from the shards: tables and vectors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(archive: Path, repair: bool, as_json: bool) -> None:
    """Read all of ARCHIVE and tell what is broken: checksums, counts, ids; exit code 1 says that something is."""
    from stdsearch.archive.check import check_archive, open_unchecked
    from stdsearch.cli.progress import shown_stages

    if repair:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            _repair(archive)
    opened = open_unchecked(archive)
    with shown_stages() as on_stage:
        faults = check_archive(opened, on_stage=on_stage)
    if as_json:
        affected = _affected(opened, faults)
        listed = [
            {
                "part": fault.part,
                "complaint": fault.complaint,
                "rebuildable": fault.is_rebuildable,
                "recordings": affected.get(Path(fault.part).stem, []),
            }
            for fault in faults
        ]
        facts = {"archive": str(archive), "generation": opened.manifest.generation, "faults": listed}
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        click.echo(_page(opened, faults))
    if faults:
        click.get_current_context().exit(BROKEN)


def _repair(archive: Path) -> None:
    """Run the command `repair`, which writes and so belongs to another package."""
    context = click.get_current_context()
    group = context.find_root().command
    command = group.get_command(context, "repair") if isinstance(group, click.Group) else None
    if command is None:
        raise StdSearchError("--repair needs the package indexer, which is not installed; install stdsearch as a whole")
    context.invoke(command, archive=archive)


def _page(archive: "ArchiveReader", faults: Sequence["Fault"]) -> str:
    counts = archive.manifest.counts
    if not faults:
        n_parts = len(list(archive.manifest.all_parts()))
        return f"{archive.path}: whole; {n_parts} parts, {counts.recordings} recordings, {counts.segments} segments"
    lines = [fault.complaint for fault in faults]
    if any(fault.is_rebuildable for fault in faults):
        parts = ", ".join(fault.part for fault in faults if fault.is_rebuildable)
        lines.append(f"`stdsearch verify --repair {archive.path}` makes {parts} again from the shards")
    if paths := list(chain.from_iterable(_affected(archive, faults).values())):
        some = ", ".join(paths[:3]) + (", ..., all listed with --json" if len(paths) > 3 else "")
        lines.append(
            f"{len(paths)} recordings are affected ({some}): restore their shards, or `stdsearch remove` them and "
            "index them again with `stdsearch index --update`"
        )
    return "\n".join(lines)


def _affected(archive: "ArchiveReader", faults: Sequence["Fault"]) -> dict[str, list[str]]:
    """The paths of the recordings in broken shards, by the shards' stems; empty where the catalog is broken, too."""
    from stdsearch.archive.manifest import SHARD_ROLES

    if any(fault.role == "catalog" for fault in faults):
        return {}
    shards = {Path(fault.part).stem for fault in faults if fault.role in SHARD_ROLES}
    paths: dict[str, list[str]] = {}
    for recording in archive.recordings.values() if shards else ():
        if recording.shard in shards:
            paths.setdefault(recording.shard, []).append(recording.path)
    return paths
