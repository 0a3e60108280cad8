"""`stdsearch info`: what an archive holds, what it costs, and whether its parts are there."""

import json
from pathlib import Path
from typing import Any

import click

# the parts whose size goes with the hours
GROWING = ("segments", "frames", "runs", "spans", "groups", "blocks", "vectors")


@click.command()
@click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def info(archive: Path, as_json: bool) -> None:
    """Tell what ARCHIVE holds, its size, its encoder and settings, and whether every part is there.

    Exit code 1 says that one is not, or not of the size it had.
    """
    from stdsearch.archive.manifest import hold_manifest

    manifest, hold = hold_manifest(archive)
    with hold:
        facts = _facts(archive, manifest)
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else _page(facts))
    if facts["problems"]:
        click.get_current_context().exit(1)


def _facts(archive: Path, manifest: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from stdsearch.errors import StdSearchError

    problems = []
    for parts in manifest.parts.values():
        for part in parts:
            try:
                part.check_size(archive)
            except StdSearchError as error:
                problems.append(str(error))
    columns: list[str] = []
    try:
        columns = [] if problems else _columns(archive, manifest)
    except StdSearchError as error:
        problems.append(str(error))
    sizes = {role: sum(part.bytes for part in parts) for role, parts in manifest.parts.items()}
    hours = manifest.counts.seconds / 3600
    return {
        "archive": str(archive),
        "hours": hours,
        **{name: getattr(manifest.counts, name) for name in ("recordings", "channels", "segments")},
        "generation": manifest.generation,
        "removed_segments": manifest.next_ids.segment - manifest.counts.segments,
        "bytes": {**sizes, "all": sum(sizes.values())},
        "bytes_per_hour": {role: round(sizes[role] / hours) for role in GROWING} if hours else {},
        "shards": len(manifest.parts["segments"]),
        "columns": columns,
        "encoder": asdict(manifest.encoder),
        "settings": dict(manifest.settings),
        "problems": problems,
    }


def _columns(archive: Path, manifest: Any) -> list[str]:
    from stdsearch.archive.catalog import Catalog

    return Catalog(archive / manifest.part("catalog").name, manifest.counts, manifest.next_ids).columns


def _page(facts: dict[str, Any]) -> str:
    lines = {
        "recordings": f"{facts['recordings']}, {facts['channels']} channels, {facts['hours']:.2f} hours",
        "segments": f"{facts['segments']} (shards: {facts['shards']}"
        + (f"; removed and not yet compacted: {facts['removed_segments']})" if facts["removed_segments"] else ")"),
        "size": _size(facts["bytes"]["all"]),
        **{
            f"  {role}": f"{_size(facts['bytes'][role])}, {_size(n_bytes)} an hour"
            for role, n_bytes in facts["bytes_per_hour"].items()
        },
        **{
            f"  {role}": _size(n_bytes)
            for role, n_bytes in facts["bytes"].items()
            if role not in ("all", *facts["bytes_per_hour"])
        },
        "encoder": f"{facts['encoder']['name']}, {facts['encoder']['fingerprint']}",
        "columns": ", ".join(facts["columns"]),
        **{
            name: ", ".join(f"{key} {value}" for key, value in group.items())
            for name, group in facts["settings"].items()
        },
        "health": "every part is there, of the size it had" if not facts["problems"] else "damaged",
    }
    width = max(map(len, lines))
    return "\n".join([*(f"{name:{width}}  {value}" for name, value in lines.items()), *facts["problems"]])


def _size(n_bytes: float) -> str:
    """The number of bytes, in the unit that suits a reader.

    >>> _size(999), _size(1_500_000)
    ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"
