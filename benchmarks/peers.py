"""Peers in the same run: other ways to search the same speech for the same terms, beside ours.

    python benchmarks/peers.py ../shared/speech/test --dev ../shared/speech/dev --name test --out runs/peers \
        --paper JMCL runs/ablation/jmcl-paper-0 --paper ADML runs/ablation/adml-rp-adams-0

pocketsphinx's keyphrase spotting for text (keyphrases), subsequence DTW on MFCCs for spoken queries (mfcc_dtw), and the
papers' recipes as encoders in our own search. Each peer's scores become probabilities by a calibration fitted on --dev,
as ours do, from the features that it has; "raw" has its own scores, in the same order. All on one core.

--out keeps what was indexed and found under names that tell from what; a second run makes only what is new. KWSLists of
the task go to --out/NAME, figures to benchmarks/results/peers_NAME.json.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keyphrases
import mfcc_dtw
import numpy as np
import std_task
from ablation import spent
from findings import Findings, Found, digest, kept
from measure import write_result
from rich.console import Console
from rich.table import Table
from std_task import SYSTEMS, evaluate, index, keep

import stdsearch
from stdsearch.archive.manifest import FORMAT
from stdsearch.calibrate import AS_THEY_ARE, Calibration, Logistic
from stdsearch.encoder import load_encoder
from stdsearch.search import Archive, Request, decided
from stdsearch.threads import set_threads
from stdsearch.types import TermHits
from train.calibrate import Task as Labels
from train.calibrate import fit_calibration, labelled

OURS = ("text", "audio1", "audio3", "audio5", "text+audio1")
OF_PAPERS = ("text", "audio1")
OF_DTW = {name: n for name, (with_text, n) in SYSTEMS.items() if n and not with_text}
KNOWN = "known"  # terms whose every word is in pocketsphinx's dictionary
FEWER = ("--lengths", "6", "--hop", "0.25")  # slices for encoders to which each is a pass of its own
SHOWN = ("terms", "mtwv", "atwv", "map", "fom", "stwv")
ENGINE = Path(stdsearch.__file__).parent
BENCHMARKS = Path(__file__).parent
Row = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """A task to search, where its occurrences are, and what was made from it."""

    task: std_task.Task
    labels: Labels
    out: Path

    @classmethod
    def read(cls, folder: Path, out: Path) -> "Split":
        """The task in a folder; out keeps what is made from it."""
        return cls(std_task.Task.read(folder), Labels.read(folder), out)

    @cached_property
    def recordings(self) -> dict[str, Path]:
        """The recordings' files by name, in the order that their ids count."""
        return self.task.recordings()

    @property
    def ids(self) -> dict[str, int]:
        """The recordings' ids by name."""
        return {name: i for i, name in enumerate(self.recordings)}

    @cached_property
    def audio(self) -> str:
        """A digest of all recordings."""
        return digest(*(part for item in self.recordings.items() for part in item))

    @cached_property
    def asked(self) -> tuple[str | Path, ...]:
        """What tells the task's recordings, terms and examples from others, for a digest."""
        spoken = {example.path for examples in self.task.examples.values() for example in examples}
        lists = (self.task.folder / name for name in ("kwlist.xml", "examples.tsv"))
        return self.audio, *lists, digest(*sorted(spoken))

    def archive(self, name: str, encoder: Path | None, options: Sequence[str] = ()) -> tuple[Archive, dict[str, float]]:
        """The archive of an encoder, indexed unless it is there, and what indexing took."""
        model = load_encoder(encoder)
        made_from = self.audio, model.fingerprint, json.dumps(model.metadata, sort_keys=True), str(FORMAT), *options
        stem = f"archive-{name}-{digest(*made_from)}"
        folder, took = self.out / stem, self.out / f"{stem}.json"
        if not took.exists():
            self.task.link_audio(self.out / f"audio-{self.audio}")
            cost = index(self.out / f"audio-{self.audio}", folder, encoder, 1, options)
            took.write_text(json.dumps(cost), encoding="utf-8")
        return Archive.open(folder), json.loads(took.read_text(encoding="utf-8"))

    def searched(self, name: str, archive: Archive) -> Findings:
        """What both passes of our search find in an archive, before calibration."""
        code = *sorted(ENGINE.rglob("*.py")), BENCHMARKS / "findings.py"
        made_from = *self.asked, archive.reader.encoder_fingerprint, repr(archive.reader.settings), *OF_PAPERS, *code
        path = self.out / f"searched-{name}-{digest(*made_from)}.npz"
        return kept(path, lambda: search(archive, {kind: self.task.requests(kind) for kind in OF_PAPERS}, self.ids))

    def spotted(self) -> Findings:
        """What pocketsphinx finds."""
        settings = keyphrases.SpotSettings()
        code = BENCHMARKS / "keyphrases.py", BENCHMARKS / "findings.py", ENGINE / "audio.py", ENGINE / "kernels.py"
        made_from = self.audio, self.task.folder / "kwlist.xml", repr(settings), version("pocketsphinx"), *code
        path = self.out / f"keyphrases-{digest(*made_from)}.npz"
        return kept(path, lambda: keyphrases.find(self.task.kwlist.terms, self.recordings, settings))

    def matched(self) -> Findings:
        """What DTW on MFCCs finds."""
        settings = mfcc_dtw.MfccSettings()
        modules = (ENGINE / f"{name}.py" for name in ("align", "audio", "features", "kernels"))
        code = BENCHMARKS / "mfcc_dtw.py", BENCHMARKS / "findings.py", *modules
        path = self.out / f"mfcc_dtw-{digest(*self.asked, repr((settings, OF_DTW)), *code)}.npz"
        return kept(path, lambda: mfcc_dtw.find(self.task.examples, OF_DTW, self.recordings, settings))


def search(archive: Archive, requests: Mapping[str, Sequence[Request]], ids: Mapping[str, int]) -> Findings:
    """The candidates of requests by kind of query; ids: of the recordings, by name."""
    recordings, found, cost = archive.reader.recordings, {}, {}
    for kind, asked in requests.items():
        began = time.process_time()
        places = [archive.candidates(archive.prepare(request)) for request in asked]
        cost[kind] = (time.process_time() - began) / len(asked)
        found[kind] = [
            Found(request.kwid, replace(at, recording_id=renumbered), features)
            for request, (at, features) in zip(asked, places, strict=True)
            for renumbered in [np.array([ids[recordings[i].path] for i in at.recording_id.tolist()], np.int32)]
        ]
    return Findings(found, cost)


def fit(split: Split, found: Iterable[Found]) -> Calibration:
    """The calibration that best explains which of a peer's candidates are true, as `train.calibrate` fits ours."""
    paths = dict(enumerate(split.recordings))
    terms = (term for term in found if len(term.places))
    return fit_calibration([labelled(split.labels, paths, term.kwid, term.places, term.features) for term in terms])


def as_it_is(name: str, found: Iterable[Found]) -> Calibration:
    """A calibration that keeps the order of one feature, and brings it into the range of probabilities."""
    values = np.concatenate([term.features[name] for term in found])
    return Calibration(Logistic((name,), (float(values.mean()),), (float(values.std()),), (1.0,), 0.0), AS_THEY_ARE)


def hits_of(split: Split, found: Iterable[Found], calibration: Calibration) -> list[TermHits]:
    """A peer's candidates as hits, decided as ours are."""
    paths, seconds = dict(enumerate(split.recordings)), split.task.ecf.source_signal_duration
    return [
        TermHits(term.kwid, "", *decided(term.places, term.features, calibration, paths, seconds)) for term in found
    ]


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores hits on parts of the task's terms, kwids by name; KWSLists go to out."""

    task: std_task.Task
    parts: Mapping[str, set[str]]
    out: Path

    def row(self, system: str, query: str, scores: str, hits: Sequence[TermHits], cpu_seconds: float) -> Row:
        """The figures of a system for one kind of query; cpu_seconds: for each query, over the whole task.

        A term that the system cannot look for has no hits.
        """
        found = {term.kwid for term in hits}
        asked = (request.kwid for request in self.task.requests(query))
        hits = [*hits, *(TermHits(kwid, "", ()) for kwid in asked if kwid not in found)]
        path = self.out / f"{system.replace(' ', '-')}.{query}.{scores}.kwslist.xml"
        kwslist = keep(hits, path, system)
        parts = {name: kwids for name, kwids in self.parts.items() if name == "all" or query == "text"}
        row = {"system": system, "query": query, "scores": scores, "cpu_seconds_per_query": round(cpu_seconds, 5)}
        return row | {"parts": evaluate(self.task, kwslist, parts)}


def ours(scorer: Scorer, archive: Archive) -> Iterator[Row]:
    """Rows of our search as users have it."""
    for query in OURS:
        requests = scorer.task.requests(query)
        list(archive.search_all(requests[:1]))  # loads what is loaded once
        began = time.process_time()
        hits = list(archive.search_all(requests))
        yield scorer.row("stdsearch", query, "calibrated", hits, (time.process_time() - began) / len(requests))


def peer(
    scorer: Scorer, system: str, raw: str, split: Split, found: Findings, dev: Split, on_dev: Findings
) -> Iterator[Row]:
    """Rows of a peer whose own score is the feature `raw`, each kind of query with a calibration of its own."""
    for query, terms in found.found.items():
        ways = {"raw": as_it_is(raw, on_dev.found[query]), "calibrated": fit(dev, on_dev.found[query])}
        for scores, calibration in ways.items():
            yield scorer.row(system, query, scores, hits_of(split, terms, calibration), found.cost[query])


def main() -> None:
    """Run all peers and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("--dev", type=Path, required=True, help="the task that calibrations are fitted on")
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for archives, findings and KWSLists")
    parser.add_argument("--encoder", type=Path, help="ours; default: the one that ships")
    parser.add_argument(
        "--paper", nargs=2, action="append", default=[], metavar=("NAME", "RUN"), help="a trained recipe to compare"
    )
    arguments = parser.parse_args()
    set_threads(1)
    split, dev = (Split.read(folder, arguments.out) for folder in (arguments.task, arguments.dev))
    spotter = keyphrases.Spotter(split.task.kwlist.terms, keyphrases.SpotSettings())
    scorer = Scorer(split.task, split.task.parts() | {KNOWN: spotter.known}, arguments.out / arguments.name)
    scorer.out.mkdir(parents=True, exist_ok=True)

    seconds = split.task.ecf.source_signal_duration
    archive, cost = split.archive("ours", arguments.encoder)
    about: dict[str, dict[str, Any]] = {"stdsearch": {"encoder": archive.reader.encoder_fingerprint[:16], **cost}}
    rows = list(ours(scorer, archive))
    spotted = split.spotted()
    pace = seconds / (spotted.cost["text"] * len(spotter.known))
    about["pocketsphinx"] = {"keyphrases": len(spotter.keyphrases), "x_real_time": round(pace, 1)}
    rows += peer(scorer, "pocketsphinx", "ratio", split, spotted, dev, dev.spotted())
    rows += peer(scorer, "DTW on MFCCs", "z", split, split.matched(), dev, dev.matched())
    for name, run in arguments.paper:
        encoder = Path(run) / "model.safetensors"
        (archive, cost), (of_dev, _) = (part.archive(name, encoder, FEWER) for part in (split, dev))
        about[name] = {"encoder": archive.reader.encoder_fingerprint[:16], **spent(Path(run)), **cost}
        rows += peer(scorer, name, "first", split, split.searched(name, archive), dev, dev.searched(name, of_dev))

    result = {"seconds": round(seconds, 1), "systems": about, "rows": rows}
    print_table(arguments.name, result)
    print(write_result(f"peers_{arguments.name}", result, threads=1))


def print_table(name: str, result: Mapping[str, Any]) -> None:
    """The figures as a table."""
    table = Table("system", "query", "scores", "which", *SHOWN, "CPU s", title=f"{name}: {result['seconds']:.0f} s")
    for row in result["rows"]:
        for part, figures in row["parts"].items():
            shown = (str(figures[column]) for column in SHOWN)
            table.add_row(row["system"], row["query"], row["scores"], part, *shown, str(row["cpu_seconds_per_query"]))
    Console().print(table)


if __name__ == "__main__":
    main()
