"""Search by who speaks: each corpus, and each speaker of some minutes, as a task of its own.

    python benchmarks/speakers.py ../shared/speech/test runs/test/text.kwslist.xml --name test

Takes KWSLists as std_task.py leaves them; recordings lie in folders CORPUS/SPEAKER. T is the speech of the group: a
false alarm costs the more there, but the rate of false alarms counts, as it does for FOM. MAP falls with the amount of
speech. Writes benchmarks/results/speakers_NAME.json, where systems are called as their files.
"""

import argparse
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from measure import write_result
from std_task import Task, figures, report

from stdsearch.errors import StdSearchError
from stdsearch.formats.ecf import Excerpt
from stdsearch.formats.kwslist import KWSList, read_kwslist

LEAST_SECONDS = 120.0  # of a speaker who gets a row


def groups(task: Task) -> dict[tuple[str, str], list[Excerpt]]:
    """The excerpts of each corpus, under (corpus, ""), and of each speaker who has enough of them."""
    found: dict[tuple[str, str], list[Excerpt]] = {}
    for excerpt in task.ecf.excerpts:
        *corpus, speaker, _ = PurePosixPath(excerpt.audio_filename).parts
        name = "/".join(corpus).removeprefix("audio/")
        found.setdefault((name, ""), []).append(excerpt)
        found.setdefault((name, speaker), []).append(excerpt)
    enough = (key for key, excerpts in found.items() if not key[1] or _seconds(excerpts) >= LEAST_SECONDS)
    return {key: found[key] for key in sorted(enough)}


def by_speaker(task: Task, kwslist: KWSList) -> list[dict[str, Any]]:
    """The figures of a KWSList in each group that can be scored."""
    asked = {detected.kwid for detected in kwslist.detected}
    rows = []
    for (corpus, speaker), excerpts in groups(task).items():
        part = replace(task, ecf=replace(task.ecf, excerpts=tuple(excerpts)))
        row: dict[str, Any] = {"corpus": corpus, "speaker": speaker, "seconds": round(_seconds(excerpts))}
        row["speakers"] = len({PurePosixPath(excerpt.audio_filename).parent for excerpt in excerpts})
        with suppress(StdSearchError):  # no hit, or no term, in the whole group
            rows.append(row | figures(report(part, kwslist, asked)))
    return rows


def _seconds(excerpts: list[Excerpt]) -> float:
    return sum(excerpt.dur for excerpt in excerpts)


def main() -> None:
    """Score some KWSLists by speaker and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("kwslists", type=Path, nargs="+", metavar="KWSLIST")
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    task = Task.read(arguments.task)
    systems = {
        path.name.removesuffix(".kwslist.xml"): by_speaker(task, read_kwslist(path)) for path in arguments.kwslists
    }
    result = write_result(f"speakers_{arguments.name}", {"systems": systems}, threads=1)
    print(result.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
