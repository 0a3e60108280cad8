"""How fast `stdsearch score` is, and how much memory it takes, XML reading included.

    python benchmarks/scoring.py [--hits 1000000] [--runs 3] [--f4de ../shared/f4de]

Generates a KWSList, ECF, RTTM and KWList of the size asked for, and scores them in a fresh process a run; then NIST's
own syn cases, if they are there; then same-different discrimination over ten million pairs. Writes
benchmarks/results/scoring.json.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import write_result
from rich.console import Console
from rich.table import Table

from stdsearch.formats.ecf import ECF, Excerpt, write_ecf
from stdsearch.formats.kwlist import KWList, write_kwlist
from stdsearch.formats.kwslist import DetectedTerm, Hits, KWSList, write_kwslist
from stdsearch.formats.rttm import RTTMRow, write_rttm
from stdsearch.metrics.discrimination import pair_scores, same_different
from stdsearch.types import Term

RECORDINGS, SECONDS = 500, 1800.0
N_TERMS = 2_000
THREADS = 1
PAIRS_CLIPS = 4_473  # make ten million pairs
GIB = 2**30


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hits", type=int, default=1_000_000)
    parser.add_argument("--targets", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--f4de", type=Path, default=Path("../shared/f4de"), help="folder of NIST's cases")
    parser.add_argument("--child", choices=["score", "pairs"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(_score(arguments.folder) if arguments.child == "score" else _pairs()))
        return

    figures, load_average = {}, os.getloadavg()[1]  # of five minutes: what else kept the machine busy
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), n_hits=arguments.hits, n_targets=arguments.targets)
        name = f"{arguments.hits:,} hits, {arguments.targets:,} targets, {N_TERMS:,} terms"
        figures[name] = measure("score", Path(folder), arguments.runs)
    for case in ("syn_basic", "syn_dense_ties_2chan"):
        if (arguments.f4de / case).is_dir():
            figures[f"NIST's {case}"] = measure("score", arguments.f4de / case, arguments.runs)
    figures["same-different, 10 million pairs"] = measure("pairs", Path(), arguments.runs)

    table = Table(title="stdsearch score, reading included")
    for heading in ("case", "seconds (median)", "spread", "CPU seconds", "peak GiB"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for name, row in figures.items():
        spread = f"{row['seconds_min']:.2f}-{row['seconds_max']:.2f}"
        cells = (row["seconds_median"], spread, row["cpu_seconds_median"], row["peak_gib"])
        table.add_row(name, *(cell if isinstance(cell, str) else f"{cell:.2f}" for cell in cells))
    Console().print(table)
    write_result("scoring", {"load_average": load_average, "cases": figures}, threads=THREADS, runs=arguments.runs)


def measure(child: str, folder: Path, runs: int) -> dict[str, float]:
    """Seconds and peak memory of a fresh process, over so many runs; the first figures are the child's own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "OPENBLAS_NUM_THREADS": str(THREADS)}
    command = [sys.executable, __file__, "--child", child, "--folder", str(folder)]
    rows = [
        json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
        for _ in range(runs)
    ]
    seconds, cpu_seconds = ([row.pop(name) for row in rows] for name in ("seconds", "cpu_seconds"))
    return {
        **rows[0],
        "seconds_median": statistics.median(seconds),
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "cpu_seconds_median": statistics.median(cpu_seconds),
        "peak_gib": max(row["peak_gib"] for row in rows),
    }


def _score(folder: Path) -> dict[str, float]:
    """One scoring of the files in the folder; the seconds run from the first read to the last figure."""
    started, cpu_started = time.perf_counter(), time.process_time()
    from stdsearch.formats.ecf import read_ecf
    from stdsearch.formats.kwlist import read_kwlist
    from stdsearch.formats.kwslist import read_kwslist
    from stdsearch.formats.rttm import read_rttm
    from stdsearch.metrics import score

    inputs = read_ecf(folder / "ecf.xml"), read_rttm(folder / "ref.rttm"), read_kwlist(folder / "kwlist.xml")
    kwslist = read_kwslist(folder / "kwslist.xml")
    read = time.perf_counter()
    summary = score(kwslist, *inputs).summary
    done = time.perf_counter()
    return {
        "seconds": done - started,
        "seconds_reading": read - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_gib": _peak_gib(),
        "hits": summary.hits,
        "targets": summary.targets,
        "correct": summary.correct,
    }


def _pairs() -> dict[str, float]:
    """Same-different discrimination of random embeddings, with as many repeated words as LibriSpeech has."""
    random = np.random.default_rng(0)
    words = random.integers(0, 1400, PAIRS_CLIPS)
    embeddings = random.normal(size=(1400, 128))[words] + 2 * random.normal(size=(PAIRS_CLIPS, 128))
    speakers = random.integers(0, 40, PAIRS_CLIPS)
    started, cpu_started = time.perf_counter(), time.process_time()
    result = same_different(pair_scores(embeddings), words, speakers)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_gib": _peak_gib(),
        "pairs": result.n_pairs,
    }


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def generate(folder: Path, *, n_hits: int, n_targets: int) -> None:
    """Write inputs in which a quarter of the hits lie near a target, some crowded together; the others are false."""
    random = np.random.default_rng(0)
    files = [f"rec{i:04d}" for i in range(RECORDINGS)]
    excerpts = tuple(Excerpt(f"audio/{file}.wav", 1, 0.0, SECONDS, "bnews") for file in files)
    write_ecf(ECF(excerpts, RECORDINGS * SECONDS, "english", "1"), folder / "ecf.xml")
    terms = tuple(Term(f"KW-{k:05d}", f"word{k}") for k in range(N_TERMS))
    write_kwlist(KWList(terms, "ecf.xml", "1", "english"), folder / "kwlist.xml")

    file = random.integers(0, RECORDINGS, n_targets)
    tbeg = np.round(random.uniform(1, SECONDS - 2, n_targets), 3)
    dur = np.round(random.uniform(0.2, 0.8, n_targets), 3)
    term = random.integers(0, N_TERMS, n_targets)
    order = np.lexsort((tbeg, file))
    write_rttm(
        (
            RTTMRow("LEXEME", files[file[i]], 1, float(tbeg[i]), float(dur[i]), f"word{term[i]}", "lex", "spk", None)
            for i in order
        ),
        folder / "ref.rttm",
    )

    near = random.random(n_hits) < 0.25
    source = random.integers(0, n_targets, n_hits)
    hit_file = np.where(near, file[source], random.integers(0, RECORDINGS, n_hits))
    hit_tbeg = np.where(near, tbeg[source] + random.normal(0, 0.2, n_hits), random.uniform(1, SECONDS - 2, n_hits))
    hit_term = np.where(near, term[source], random.integers(0, N_TERMS, n_hits))
    score = np.round(np.clip(random.normal(np.where(near, 0.7, 0.3), 0.2), 0, 1), 6)
    names = np.array(files, dtype=object)
    detected = []
    for k in range(N_TERMS):
        rows = np.flatnonzero(hit_term == k)
        hits = Hits(
            file=names[hit_file[rows]],
            channel=np.ones(len(rows), dtype=np.int64),
            tbeg=np.round(np.maximum(hit_tbeg[rows], 0), 3),
            dur=np.round(random.uniform(0.2, 0.8, len(rows)), 3),
            score=score[rows],
            decision=score[rows] >= 0.5,
        )
        detected.append(DetectedTerm(terms[k].kwid, 0.1, 0, hits))
    write_kwslist(KWSList(tuple(detected), "kwlist.xml", "english", "generated"), folder / "kwslist.xml")


if __name__ == "__main__":
    main()
