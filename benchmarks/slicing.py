"""How many slices are worth their room: archives of one task with more and fewer slices, searched alike.

    python benchmarks/slicing.py ../shared/speech/dev --name dev --out runs/slicing

Each point is a number of lengths and a hop, as a share of the length, from 0.2 to 1.6 s; "all" slices what is no speech
too. Search, calibration and encoder are the same for all.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from measure import write_result
from std_task import SYSTEMS, Task, evaluate, index, search, size_of

from stdsearch.search import Archive
from stdsearch.threads import set_threads

POINTS = ("9/0.2", "9/0.33", "7/0.25", "7/0.25/all", "7/0.33", "6/0.33", "5/0.33", "5/0.5", "4/0.5")


def main() -> None:
    """Index and search at every point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the archives, one at a time")
    parser.add_argument("--encoder", type=Path, help="default: the one that ships")
    parser.add_argument("--points", nargs="+", default=POINTS, metavar="LENGTHS/HOP[/all]")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["text", "audio1"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    task = Task.read(arguments.task)
    task.link_audio(arguments.out / "audio")
    set_threads(arguments.threads)
    points = {point: measure(task, point, arguments) for point in arguments.points}
    print(write_result(f"slicing_{arguments.name}", {"points": points}, threads=arguments.threads))


def measure(task: Task, point: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What an archive of this point takes, and what is found in it."""
    lengths, hop, *everything = point.split("/")
    path = arguments.out / "archive"
    shutil.rmtree(path, ignore_errors=True)
    options = ["--lengths", lengths, "--hop", hop, *(["--all"] if everything else [])]
    result: dict[str, Any] = index(arguments.out / "audio", path, arguments.encoder, arguments.threads, options)
    archive = Archive.open(path)
    hours = archive.reader.total_seconds / 3600
    result |= {"segments_per_hour": round(archive.reader.n_segments / hours)}
    result |= {
        "mib_per_hour": round(size_of(path) / 2**20 / hours, 1),
        "encoder": archive.reader.encoder_fingerprint[:16],
    }
    for system in arguments.systems:
        hits = search(archive, task.requests(system), arguments.out / f"{system}.kwslist.xml")
        result[system] = evaluate(task, hits, {"all": task.parts()["all"]})["all"]
        print(point, system, {name: result[system][name] for name in ("mtwv", "map", "fom", "stwv")})
    return result


if __name__ == "__main__":
    main()
