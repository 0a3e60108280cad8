"""Spoken term detection on a task directory: index, search, score, and write down what came out.

    python benchmarks/std_task.py ../shared/speech/test --name test --out work/test

TASK_DIR holds ecf.xml, ref.rttm, kwlist.xml and examples.tsv; the ECF's audio paths are sought from it upwards.
Systems: text terms; 1, 3 and 5 spoken examples; text with 1 and with 5. A spoken query takes the terms that have so
many examples, so each such system stands beside text over the same terms. KWSLists go to --out, figures to
benchmarks/results/std_task_NAME.json; scored as NIST does, beta 999.9, over all terms and over IV and OOV apart.
mtwv_kst is the MTWV of the scores that `stdsearch query --normalise kst` gives.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import measured, rounded, write_result
from rich.console import Console
from rich.table import Table

from stdsearch.calibrate import normalise
from stdsearch.formats.ecf import ECF, read_ecf
from stdsearch.formats.examples import read_examples
from stdsearch.formats.hits import write_hits
from stdsearch.formats.kwlist import KWList, read_kwlist
from stdsearch.formats.kwslist import KWSList, read_kwslist
from stdsearch.formats.rttm import RTTMRow, read_rttm
from stdsearch.metrics import Report, bootstrap, score
from stdsearch.metrics.coverage import total_seconds
from stdsearch.metrics.fom import figures_of_merit
from stdsearch.search import Archive, Request
from stdsearch.threads import set_threads
from stdsearch.types import Spoken, TermHits
from stdsearch.verifier import load_verifier

SYSTEMS = {
    "text": (True, 0),
    "audio1": (False, 1),
    "audio3": (False, 3),
    "audio5": (False, 5),
    "text+audio1": (True, 1),
    "text+audio5": (True, 5),
}  # name: with text, number of examples
FIGURES = ("atwv", "mtwv", "otwv", "stwv", "map")  # stwv is the recall of the first pass: every hit accepted
VOCABULARY = "vocabulary"  # the KWList attribute that says IV or OOV


@dataclass(frozen=True, slots=True)
class Task:
    """A task directory, read."""

    folder: Path
    ecf: ECF
    rttm: list[RTTMRow]
    kwlist: KWList
    examples: Mapping[str, tuple[Spoken, ...]]

    @classmethod
    def read(cls, folder: Path) -> "Task":
        """The task in a folder."""
        return cls(
            folder,
            read_ecf(folder / "ecf.xml"),
            read_rttm(folder / "ref.rttm"),
            read_kwlist(folder / "kwlist.xml"),
            read_examples(folder / "examples.tsv"),
        )

    def recordings(self) -> dict[str, Path]:
        """The recordings of the ECF and their files, sought from the task's folder upwards."""
        names = dict.fromkeys(excerpt.audio_filename for excerpt in self.ecf.excerpts)
        folders = self.folder.resolve().parents
        return {name: next(folder / name for folder in folders if (folder / name).exists()) for name in names}

    def parts(self) -> dict[str, set[str]]:
        """The kwids of all terms, and of IV and OOV terms apart."""
        kwids = {term.kwid: term.attributes.get(VOCABULARY) for term in self.kwlist.terms}
        of = {name: {kwid for kwid, vocabulary in kwids.items() if vocabulary == name} for name in ("IV", "OOV")}
        return {"all": set(kwids), **of}

    def with_examples(self) -> dict[str, set[str]]:
        """The kwids of the terms that have 1, 3 and 5 spoken examples, to set text beside those."""
        return {
            f"terms of audio{n}": {kwid for kwid, spoken in self.examples.items() if len(spoken) >= n}
            for n in (1, 3, 5)
        }

    def link_audio(self, into: Path) -> None:
        """Make a folder of links to the recordings of the ECF, which is then what there is to index."""
        for name, source in self.recordings().items():
            link = into / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(source)

    def requests(self, system: str) -> list[Request]:
        """The terms of a system that have the examples it takes."""
        with_text, n = SYSTEMS[system]
        spoken = {term.kwid: self.examples.get(term.kwid, ())[:n] for term in self.kwlist.terms}
        return [
            Request(term.kwid, term.text if with_text else "", spoken[term.kwid])
            for term in self.kwlist.terms
            if len(spoken[term.kwid]) == n
        ]


def index(
    audio: Path, archive: Path, encoder: Path | None, threads: int, options: Sequence[str] = ()
) -> dict[str, float]:
    """Index by the command line, in a process of its own; seconds, on the wall and of processors, and peak memory."""
    model = ["--encoder", str(encoder)] if encoder else []
    command = [sys.executable, "-m", "stdsearch", "index", str(audio), "--out", str(archive), "--threads", str(threads)]
    return {f"index_{name}": round(value, 2) for name, value in measured([*command, *model, *options]).items()}


def size_of(archive: Path) -> int:
    """Bytes on disk, but for the encoder, which an archive of any size has once."""
    return sum(path.stat().st_size for path in archive.rglob("*") if path.is_file() and path.suffix != ".safetensors")


def figures(scored: Report) -> dict[str, Any]:
    """The figures to keep of a report, with bootstrap intervals over the terms."""
    summary, trials = scored.summary, scored.trials
    merit = float(np.nanmean(figures_of_merit(trials, summary.total_seconds)))
    kept: dict[str, Any] = {"terms": int(trials.occurs.sum()), "targets": summary.targets}
    kept |= {name: rounded(getattr(summary, name)) for name in FIGURES} | {"fom": round(merit, 4)}
    kept |= {"mtwv_threshold": summary.mtwv_threshold, "trials": summary.trials, "beta": round(summary.beta, 1)}
    spread = bootstrap.intervals(trials, settings=bootstrap.BootstrapSettings(n_resamples=500))
    return kept | {"interval_95": {name: [rounded(i.low), rounded(i.high)] for name, i in spread.items()}}


def main() -> None:
    """Run the task and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the archive and the KWSLists")
    parser.add_argument("--encoder", type=Path, help="default: the one that ships")
    parser.add_argument("--verify", action="store_true", help="let the verifier that ships have a last look")
    parser.add_argument("--verifier", type=Path, help="the same by another verifier")
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    task = Task.read(arguments.task)
    archive_path = arguments.out / "archive"
    result: dict[str, Any] = {}
    if not archive_path.exists():
        task.link_audio(arguments.out / "audio")
        result |= index(arguments.out / "audio", archive_path, arguments.encoder, arguments.threads)
    set_threads(arguments.threads)
    judge = load_verifier(arguments.verifier) if arguments.verify or arguments.verifier else None
    archive = Archive.open(archive_path, verifier=judge)
    seconds = archive.reader.total_seconds
    result |= {"seconds": round(seconds, 1), "segments_per_hour": round(archive.reader.n_segments / seconds * 3600)}
    result |= {"mib_per_hour": round(size_of(archive_path) / 2**20 / seconds * 3600)}
    result |= {"encoder": archive.reader.encoder_fingerprint[:16], "systems": {}}
    if "index_seconds" in result:
        result["index_x_real_time"] = round(seconds / result["index_seconds"], 1)

    for system in arguments.systems:
        kwslist = search(archive, task.requests(system), arguments.out / f"{system}.kwslist.xml")
        latency = np.percentile([1000 * detected.search_time for detected in kwslist.detected], [50, 95])
        parts = task.parts() | (task.with_examples() if system == "text" else {})
        scored, normalised = evaluate(task, kwslist, parts), with_kst(task, kwslist)
        for part, kwids in asked(kwslist, parts).items():
            scored[part]["mtwv_kst"] = rounded(report(task, normalised, kwids).summary.mtwv)
        result["systems"][system] = {"ms_p50": round(latency[0], 1), "ms_p95": round(latency[1], 1)} | scored
    print_table(arguments.name, result)
    print(write_result(f"std_task_{arguments.name}", result, threads=arguments.threads))


def search(archive: Archive, requests: Sequence[Request], path: Path) -> KWSList:
    """The hits of the requests, which the file at path then holds too."""
    return keep(list(archive.search_all(requests)), path, "stdsearch")


def keep(hits: Sequence[TermHits], path: Path, system: str) -> KWSList:
    """Hits by way of a file, as a scorer sees them."""
    write_hits(hits, path, "kwslist", kwlist_filename="kwlist.xml", language="english", system_id=system)
    return read_kwslist(path)


def report(task: Task, kwslist: KWSList, kwids: Set[str]) -> Report:
    """How a KWSList scores over some of the terms."""
    terms = tuple(term for term in task.kwlist.terms if term.kwid in kwids)
    detected = tuple(detected for detected in kwslist.detected if detected.kwid in kwids)
    return score(replace(kwslist, detected=detected), task.ecf, task.rttm, replace(task.kwlist, terms=terms))


def evaluate(task: Task, kwslist: KWSList, parts: Mapping[str, Set[str]]) -> dict[str, Any]:
    """Figures of a KWSList over parts of the terms, kwids by name, as far as they were asked for."""
    return {name: figures(report(task, kwslist, kwids)) for name, kwids in asked(kwslist, parts).items()}


def asked(kwslist: KWSList, parts: Mapping[str, Set[str]]) -> dict[str, Set[str]]:
    """What was asked for of each part of the terms; an empty part is left out."""
    kwids = {detected.kwid for detected in kwslist.detected}
    return {name: part & kwids for name, part in parts.items() if part & kwids}


def with_kst(task: Task, kwslist: KWSList) -> KWSList:
    """A KWSList of probabilities with the scores that keyword-specific thresholding makes of them."""
    seconds = total_seconds(task.ecf)
    return replace(
        kwslist,
        detected=tuple(
            replace(term, hits=replace(term.hits, score=normalise(term.hits.score, "kst", seconds)))
            for term in kwslist.detected
        ),
    )


def print_table(name: str, result: dict[str, Any]) -> None:
    """The figures as a table."""
    columns = ("terms", "targets", *FIGURES, "fom")
    table = Table("system", "terms", *columns, "ms p50", title=f"{name}: {result['seconds']:.0f} s")
    for system, parts in result["systems"].items():
        for part in ("all", "IV", "OOV"):
            if part in parts:
                table.add_row(system, part, *(str(parts[part][column]) for column in columns), str(parts["ms_p50"]))
    Console().print(table)


if __name__ == "__main__":
    main()
