"""What it costs to keep an archive: bring it up to date, take recordings out, verify, compact and merge it.

    python benchmarks/life.py ARCHIVE... --new ../shared/speech/audio --work work/life

On a copy of each ARCHIVE whose files are links (no committed file is ever written again), by the command line, each
step in a process of its own: `index --update` with nothing changed and with --hours of new recordings, `remove` of ten
recordings, `verify`; with --copying also `compact`, then `merge` with an archive of the new recordings, which write as
much again. An update sees the recordings of ARCHIVE as links, for one file may be many of its recordings; they must lie
where they were when they were indexed. Seconds on the wall and of CPU, peak memory with pages of files and without.
Writes benchmarks/results/life.json.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import measured, write_result

from indexer.sources import Source, find_sources
from stdsearch import audio
from stdsearch.archive import ArchiveReader, open_archive

REMOVED = 10  # recordings


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", type=Path, nargs="+")
    parser.add_argument("--new", type=Path, required=True, help="folder of the recordings that come")
    parser.add_argument("--hours", type=float, default=1.0, help="of new recordings")
    parser.add_argument("--copying", type=float, default=200.0, help="hours up to which archives are compacted, merged")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    coming = first_hours(find_sources([arguments.new]), arguments.hours)
    archives = []
    for archive in arguments.archives:
        shutil.rmtree(arguments.work, ignore_errors=True)
        arguments.work.mkdir(parents=True)
        copying = open_archive(archive).total_seconds / 3600 <= arguments.copying
        archives.append(lived(archive, coming, arguments.work, arguments.threads, copying=copying))
        print(archives[-1], flush=True)
    shutil.rmtree(arguments.work)
    print(write_result("life", {"new_hours": arguments.hours, "archives": archives}, threads=arguments.threads))


def first_hours(sources: Sequence[Source], hours: float) -> list[Source]:
    """The first of some recordings that last so many hours together."""
    taken, seconds = [], 0.0
    for source in sources:
        if seconds >= 3600 * hours:
            break
        taken.append(source)
        seconds += audio.probe(source.file).duration
    return taken


def lived(original: Path, coming: Sequence[Source], work: Path, threads: int, *, copying: bool) -> dict[str, Any]:
    """What each step costs on a copy of an archive."""
    archive, recordings, new, merged = (work / name for name in ("archive", "recordings", "new", "merged"))
    shutil.copytree(original, archive, copy_function=os.link, symlinks=True)
    reader = open_archive(archive)
    link_recordings(reader, recordings)
    removed = [recording.path for recording in list(reader.recordings.values())[:REMOVED]]
    hours, n_recordings, n_bytes = reader.total_seconds / 3600, len(reader.recordings), bytes_of(reader)
    reader.release()

    def step(*arguments: object) -> dict[str, float]:
        figures = measured([sys.executable, "-m", "stdsearch", *map(str, arguments)])
        return {name: round(value, 1) for name, value in figures.items()}

    update = ("index", "--update", recordings, "--out", archive, "--threads", threads)
    steps = {"update, links for files": step(*update), "update, nothing new": step(*update)}
    for source in coming:
        link = new / source.path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source.file)
    (recordings / "new").symlink_to(new.resolve())
    steps["update, new recordings"] = step(*update)
    steps[f"remove {REMOVED}"] = step("remove", archive, *removed)
    steps["verify"] = step("verify", archive)
    if copying:
        steps["compact"] = step("compact", archive)
        step("index", new, "--out", work / "small", "--threads", threads)
        steps["merge"] = step("merge", original, work / "small", "--out", merged)
    return {
        "hours": round(hours, 1),
        "recordings": n_recordings,
        "gib": round(n_bytes / 2**30, 2),
        "steps": steps,
    }


def link_recordings(archive: ArchiveReader, folder: Path) -> None:
    """Make a folder from which an archive could have been made: a link to its file for each recording."""
    for recording in archive.recordings.values():
        link = folder / recording.path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(recording.source)


def bytes_of(archive: ArchiveReader) -> int:
    """What an archive takes on the disk."""
    return sum(part.bytes for part in archive.manifest.all_parts())


if __name__ == "__main__":
    main()
