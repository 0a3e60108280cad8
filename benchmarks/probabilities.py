"""Whether scores mean what they say: reliability, cross entropy, and decisions for a stated cost.

    python benchmarks/probabilities.py ../shared/speech/test runs/test/*.kwslist.xml --name test

Takes KWSLists as std_task.py leaves them. Writes benchmarks/results/probabilities_NAME.json, where systems are called
as their files.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import write_result
from std_task import Task, report

from stdsearch.calibrate import decide
from stdsearch.formats.kwslist import read_kwslist
from stdsearch.metrics import Report, twv
from stdsearch.metrics.cnxe import minimum_cross_entropy, normalised_cross_entropy
from stdsearch.metrics.twv import BETA, Trials

BINS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
COSTS = (1.0, 10.0, 100.0, BETA)
LEAST = 1e-6  # hits are written with six decimals


def reliability(probability: np.ndarray, true: np.ndarray) -> list[dict[str, Any]]:
    """The hits (n,) by probability: how many in each bin, their mean probability, and the share that is true.

    A bin holds its lower border, the last one both; a bin without hits is left out.
    """
    place = np.clip(np.searchsorted(BINS, probability, side="right") - 1, 0, len(BINS) - 2)
    table = []
    for i in np.unique(place):
        inside = place == i
        predicted, share = float(probability[inside].mean()), float(true[inside].mean())
        row = {"from": BINS[i], "to": BINS[i + 1], "hits": int(inside.sum())}
        table.append(row | {"predicted": round(predicted, 4), "true": round(share, 4)})
    return table


def cross_entropies(probability: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """C_nxe of the hits (n,) as they stand, and after the best shift and stretch of their log odds.

    The prior is the share of true hits, so that C_nxe is the mean log loss of the probabilities over that of the share.
    """
    prior = float(true.mean())
    p = np.clip(probability, LEAST, 1 - LEAST)
    ratio = np.log(p / (1 - p)) - np.log(prior / (1 - prior))
    parts = ratio[true], ratio[~true]
    return {
        "cnxe": round(normalised_cross_entropy(*parts, prior), 4),
        "min_cnxe": round(minimum_cross_entropy(*parts, prior), 4),
    }


def by_cost(trials: Trials, seconds: float) -> list[dict[str, float]]:
    """For each of COSTS the value of decisions made for it, beside that of the best single threshold."""
    by_term = np.argsort(trials.term, kind="stable")
    terms = np.split(by_term, np.flatnonzero(np.diff(trials.term[by_term])) + 1)
    rows = []
    for beta in COSTS:
        accepted = np.zeros(len(trials.term), bool)
        for hits in terms:
            accepted[hits] = decide(trials.score[hits], seconds, beta)
        decided = replace(trials, accepted=accepted)
        atwv = twv.over_terms(trials, twv.actual(decided, beta), beta).value
        mtwv = twv.maximum(twv.sweep(trials), beta).value
        rows.append({"beta": round(beta, 1), "atwv": round(atwv, 4), "mtwv": round(mtwv, 4)})
    return rows


def of_report(scored: Report) -> dict[str, Any]:
    """All of it for the hits of a report, whose scores are probabilities."""
    trials = scored.trials
    return {
        **cross_entropies(trials.score, trials.target),
        "reliability": reliability(trials.score, trials.target),
        "costs": by_cost(trials, scored.summary.total_seconds),
    }


def main() -> None:
    """Look at some KWSLists and write down what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("kwslists", type=Path, nargs="+", metavar="KWSLIST")
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    task, systems = Task.read(arguments.task), {}
    for path in arguments.kwslists:
        kwslist = read_kwslist(path)
        scored = report(task, kwslist, {detected.kwid for detected in kwslist.detected})
        systems[path.name.removesuffix(".kwslist.xml")] = of_report(scored)
    result = write_result(f"probabilities_{arguments.name}", {"systems": systems}, threads=1)
    print(result.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
