"""How close our forced alignment is to the reference alignments of a speech directory, and how fast it is.

    python benchmarks/alignment.py ../shared/speech [--utterances 100] [--seed 0]

Draws utterances of the reference at random and aligns them anew; then gives each of them the transcript of another,
of about the same length, and counts how many of these are found out. Writes benchmarks/results/alignment.json.
"""

import argparse
import logging
import os
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from measure import write_result

from train.manifest import read_words
from train.prepare.source import SourceUtterance
from train.prepare.table import read_table
from train.prepare.utterance import Dropped, Found, UtterancePreparer


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="directory with manifest.tsv, alignments.jsonl and the audio")
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    reference = read_words(arguments.speech / "alignments.jsonl")
    known = [source for source in read_table(arguments.speech / "manifest.tsv") if source.utterance in reference]
    rng = np.random.default_rng(arguments.seed)
    drawn = [known[i] for i in rng.choice(len(known), arguments.utterances, replace=False)]

    prepare = UtterancePreparer()
    begun, cpu_begun = time.perf_counter(), time.process_time()
    outcomes = [prepare((source, None)) for source in drawn]
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
    edges = np.array(
        [
            (ours.tbeg - theirs.tbeg, ours.tend - theirs.tend)
            for source, outcome in zip(drawn, outcomes, strict=True)
            if isinstance(outcome, Found)
            for ours, theirs in zip(outcome.words, reference[source.utterance], strict=True)
        ]
    )
    audio_seconds = sum(source.dur or 0.0 for source in drawn)
    foreign = [prepare((source, None)) for source in _with_foreign_transcripts(drawn)]
    result = {
        "load": round(os.getloadavg()[0], 1),
        "utterances": len(drawn),
        "audio_minutes": round(audio_seconds / 60, 1),
        "words": len(edges),
        "median_edge_difference": round(float(np.median(np.abs(edges))), 3),
        "mean_edge_difference": round(float(np.abs(edges).mean()), 4),
        "both_edges_within_50_ms": round(float((np.abs(edges) < 0.0505).all(axis=1).mean()), 4),
        "dropped": Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Dropped)),
        "foreign_transcripts_dropped": round(sum(isinstance(o, Dropped) for o in foreign) / len(foreign), 3),
        "times_real_time": round(audio_seconds / seconds, 1),
        "times_real_time_of_cpu": round(audio_seconds / cpu_seconds, 1),
    }
    print(write_result("alignment", result, threads=1).read_text(encoding="utf-8"))


def _with_foreign_transcripts(sources: list[SourceUtterance]) -> list[SourceUtterance]:
    """The sources, each with the transcript next in length, so that it fits into the audio."""
    by_length = sorted(sources, key=lambda source: len(source.text))
    return [replace(source, text=shorter.text) for shorter, source in pairwise(by_length)]


if __name__ == "__main__":
    main()
