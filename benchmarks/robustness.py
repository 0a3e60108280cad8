"""Search in spoiled audio: noise, rooms, codecs, a telephone line, silence, a louder voice, one long file.

    python benchmarks/robustness.py ../shared/speech/dev ../shared/speech/test [--terms 400] [--conditions clean ...]

The recordings of each task are changed, indexed in a scratch folder, searched and scored, condition by condition; the
spoken examples stay as they are. The terms searched for are a sample, the same in every condition, so that losses
against the clean recordings are paired. SNR is the power within words to that of a stretch of a recording of --noise,
or of a babble of six training voices. What comes behind is not counted into T, but decisions go by the archive's
hours, with it: ATWV falls. A task lies in a folder of speech with a noise folder and a manifest.tsv in it.
Writes benchmarks/results/robustness_TASK.json after each condition. A quarter of an hour a task on two cores.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from conditions import ROOMS, Condition, Speech, conditions, describe, read_noises, write_float
from measure import rounded, write_result
from rich.console import Console
from rich.table import Table
from std_task import SYSTEMS, Task, figures, index, report, search

from stdsearch.audio import SAMPLE_RATE, read
from stdsearch.formats.ecf import Excerpt
from stdsearch.formats.hits import file_id
from stdsearch.formats.kwslist import KWSList
from stdsearch.metrics import Report, bootstrap
from stdsearch.search import Archive
from stdsearch.threads import set_threads

CLEAN, JOINED = "clean", "one long file"
DRAWS = bootstrap.BootstrapSettings(n_resamples=300)


def recordings(task: Task) -> Iterator[tuple[Excerpt, Speech]]:
    """Each recording of the ECF with the times of its words."""
    paths = task.recordings()
    words: dict[str, list[tuple[float, float]]] = {}
    for row in task.rttm:
        if row.type == "LEXEME" and row.tbeg is not None and row.dur is not None:
            words.setdefault(row.file, []).append((row.tbeg, row.tbeg + row.dur))
    for excerpt in task.ecf.excerpts:
        said = np.array(words.get(file_id(excerpt.audio_filename), [])).reshape(-1, 2)
        yield excerpt, Speech(read(paths[excerpt.audio_filename]), said)


def spoil(speech: Iterable[tuple[Excerpt, Speech]], condition: Condition, into: Path, seed: int) -> float:
    """Write the recordings as the condition leaves them; kbit/s of the files.

    The n-th recording draws the same noise in every condition.
    """
    n_bytes, seconds = 0, 0.0
    for i, (excerpt, recording) in enumerate(speech):
        path = (into / excerpt.audio_filename).with_suffix(condition.suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = condition.change(recording, np.random.default_rng([seed, i]))
        condition.write(path, changed)
        n_bytes, seconds = n_bytes + path.stat().st_size, seconds + len(changed) / SAMPLE_RATE
    return n_bytes * 8 / 1000 / seconds


def join(task: Task, speech: Iterable[tuple[Excerpt, Speech]], into: Path) -> Task:
    """Write the recordings as one; the task moved there."""
    offsets, waveforms, n_samples = {}, [], 0
    for excerpt, recording in speech:
        offsets[file_id(excerpt.audio_filename)] = n_samples / SAMPLE_RATE
        waveforms.append(recording.waveform)
        n_samples += len(recording.waveform)
    into.mkdir(parents=True, exist_ok=True)
    write_float(into / "joined.wav", np.concatenate(waveforms))
    rttm = [
        row._replace(file="joined", tbeg=round(row.tbeg + offsets[row.file], 3), name=f"{row.file} {row.name}")
        for row in task.rttm
        if row.file in offsets and row.tbeg is not None
    ]
    whole = replace(task.ecf.excerpts[0], audio_filename="joined.wav", tbeg=0.0, dur=n_samples / SAMPLE_RATE)
    return replace(task, ecf=replace(task.ecf, excerpts=(whole,)), rttm=rttm)


def sample(task: Task, system: str, n_terms: int | None, seed: int) -> set[str]:
    """The kwids of n of the terms that a system can be asked for, or of all."""
    kwids = [request.kwid for request in task.requests(system)]
    if n_terms is None or n_terms >= len(kwids):
        return set(kwids)
    return set(np.random.default_rng(seed).choice(kwids, n_terms, replace=False).tolist())


def detect(task: Task, archive: Archive, system: str, kwids: Set[str], folder: Path) -> KWSList:
    """What a system finds of some terms in an archive."""
    requests = [request for request in task.requests(system) if request.kwid in kwids]
    return search(archive, requests, folder / f"{system}.kwslist.xml")


def kept(scored: Report, clean: Report) -> dict[str, Any]:
    """A report's figures, and what was lost against the clean recordings, with bootstrap intervals of the loss."""
    ends = bootstrap.difference_intervals(clean.trials, scored.trials, settings=DRAWS)
    lost = {}
    for name, interval in ends.items():
        before, now = (getattr(summary, name) for summary in (clean.summary, scored.summary))
        lost[name] = [None if None in (before, now) else before - now, interval.low, interval.high]
    return figures(scored) | {"lost": {name: list(map(rounded, row)) for name, row in lost.items()}}


def run(task: Task, chosen: Mapping[str, Condition | None], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is measured on a task, again after each condition, of which the first is what losses are against.

    The condition None joins the recordings into one.
    """
    asked = {system: sample(task, system, arguments.terms, arguments.seed) for system in arguments.systems}
    result: dict[str, Any] = {"asked": {system: len(kwids) for system, kwids in asked.items()}}
    result |= {"seed": arguments.seed, "rooms": {name: describe(room) for name, room in ROOMS.items()}}
    result["conditions"], first = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        speech = list(recordings(task))
        for place, (name, condition) in enumerate(chosen.items()):
            folder, spoilt = Path(scratch) / str(place), task
            about: dict[str, Any] = {}
            if condition:
                about["kbits"] = round(spoil(speech, condition, folder / "audio", arguments.seed), 1)
            else:
                spoilt = join(task, speech, folder / "audio")
            index(folder / "audio", folder / "archive", arguments.encoder, arguments.threads)
            archive = Archive.open(folder / "archive")
            result["encoder"] = archive.reader.encoder_fingerprint[:16]
            scored = {
                system: report(spoilt, detect(spoilt, archive, system, kwids, folder), kwids)
                for system, kwids in asked.items()
            }
            first = first or scored
            about["systems"] = {system: kept(scored[system], first[system]) for system in asked}
            result["conditions"][name] = about
            shutil.rmtree(folder)
            yield result


def print_table(result: dict[str, Any]) -> None:
    """The latest condition's figures, a line a system."""
    name, condition = list(result["conditions"].items())[-1]
    shown = ("mtwv", "atwv", "map", "fom", "stwv")
    table = Table("system", *shown, "mtwv lost", title=name)
    for system, part in condition["systems"].items():
        table.add_row(system, *(str(part[figure]) for figure in shown), str(part["lost"]["mtwv"][0]))
    Console().print(table)


def main() -> None:
    """Run every task and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", type=Path, nargs="+", metavar="TASK_DIR")
    parser.add_argument("--encoder", type=Path, help="default: the one that ships")
    parser.add_argument("--noise", type=Path, help="folder of recordings; default: noise beside the first task")
    parser.add_argument("--terms", type=int, default=400, help="a system is asked for (default 400)")
    parser.add_argument("--seed", type=int, default=0, help="of the terms, the noise and the babble")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["text", "audio1"])
    parser.add_argument("--conditions", nargs="+", help="some of them by name; the clean recordings come with them")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    speech = arguments.tasks[0].parent
    manifest = speech / "manifest.tsv"
    noises = read_noises(arguments.noise or speech / "noise")
    known: dict[str, Condition | None] = {
        condition.name: condition
        for condition in conditions(noises, manifest if manifest.exists() else None, arguments.seed)
    }
    known[JOINED] = None
    wanted = {CLEAN, *(arguments.conditions or known)}
    if unknown := wanted - known.keys():
        parser.error(f"no condition {', '.join(sorted(unknown))}; there are: {'; '.join(known)}")
    chosen = {name: condition for name, condition in known.items() if name in wanted}
    for folder in arguments.tasks:
        for result in run(Task.read(folder), chosen, arguments):
            print_table(result)
            print(write_result(f"robustness_{folder.name}", result, threads=arguments.threads))


if __name__ == "__main__":
    main()
