"""What goes wrong in a KWSList: kinds of misses and false alarms, the worst terms, the surest false alarms.

    python benchmarks/failures.py ../shared/speech/test runs/test/text.kwslist.xml --name test

Under each false hit lies what was really said there, by the reference. Which kind of error it is follows from spelling
and pronunciation: the first of KINDS that holds. Some kinds a listener would hardly call errors (FORGIVEN); the figures
are given also without them. Writes benchmarks/results/failures_NAME.json.
"""

import argparse
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from measure import write_result
from std_task import Task, report

from stdsearch.formats.kwslist import read_kwslist
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics import Report
from stdsearch.metrics.outcomes import Outcomes
from stdsearch.metrics.scoring import figures
from stdsearch.metrics.twv import Trials
from stdsearch.pronounce import Pronouncer

AGAIN = "the occurrence again"  # one occurrence has one hit; this is another
BESIDE = "beside a missed occurrence"  # less than BESIDE_SECONDS away from one without a hit: perhaps misaligned
SAME = "the same sounds"  # homophones, "every one" for "everyone"
INFLECTED = "an inflection"  # "doctors" for "doctor"
INSIDE = "inside longer words"  # all its phones, in order: "light" in "delight", "an other" in "mean other"
NEAR = "nearly the same sounds"  # at most NEAR_SHARE of its phones differ
UNLIKE = "other sounds"
NOTHING = "nothing said"
KINDS = (AGAIN, SAME, INFLECTED, INSIDE, BESIDE, NOTHING, NEAR, UNLIKE)
FORGIVEN = (AGAIN, BESIDE, SAME, INFLECTED, INSIDE)
NO_CANDIDATE, BEHIND, CAUTIOUS = "no candidate", "NO, behind a false hit", "NO, though above every false hit"

BESIDE_SECONDS = 2.0
NEAR_SHARE = 1 / 3
LEAST_OVERLAP = 1 / 3  # of a word, for it to lie under a hit
LEAST_SCORE = 0.05  # of false hits that are looked at
PRONUNCIATIONS = 4  # of a term, and of what was said
N_SHOWN = 30
ENDINGS = ("", "s", "es", "'s", "d", "ed", "ing", "er", "est")


def fit(phones: Sequence[str], said: Sequence[str]) -> int:
    """The least number of phones to insert, delete or replace to make phones any stretch of what was said.

    >>> fit(("L", "AY", "T"), ("D", "IH", "L", "AY", "T", "S"))
    0
    """
    row = [0] * (len(said) + 1)
    for phone in phones:
        diagonal, row[0] = row[0], row[0] + 1
        for j, against in enumerate(said, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (phone != against))
    return min(row)


def same_lemma(one: str, other: str) -> bool:
    """Whether two words differ by an inflection at most, by their spelling.

    >>> same_lemma("carried", "carrying"), same_lemma("running", "runs"), same_lemma("light", "delight")
    (True, True, False)
    """
    return bool(_stems(one) & _stems(other))


def _stems(word: str) -> set[str]:
    """What may be left of a word without an ending, of three letters or more; a last e is dropped."""
    stems: set[str] = set()
    for ending in ENDINGS:
        rest = word.removesuffix(ending)
        if word.endswith(ending) and len(rest) >= 3:
            stems |= {rest, rest.removesuffix("e"), rest[:-1] + "y" if rest[-1] == "i" else rest}
            stems.add(rest[:-1] if rest[-1] == rest[-2] else rest)
    return stems


@cache
def _pronounce(text: str) -> list[tuple[str, ...]]:
    return _pronouncer().pronounce(text, limit=PRONUNCIATIONS)


@cache
def _pronouncer() -> Pronouncer:
    return Pronouncer()


def compare(term: str, said: Sequence[str]) -> tuple[str, float]:
    """The kind of error if these words are said where a term was found, and the share of its phones that differ."""
    if not said:
        return NOTHING, 1.0
    sounds, heard = _pronounce(term), _pronounce(" ".join(said))
    differ = min(fit(phones, other) / len(phones) for phones in sounds for other in heard)
    parts = [said[i:j] for i in range(len(said)) for j in range(i + 1, len(said) + 1)]
    words = term.split()
    if differ == 0 and any(set(_pronounce(" ".join(part))) & set(sounds) for part in parts):
        return SAME, differ
    if any(len(part) == len(words) and all(map(same_lemma, words, part)) for part in parts):
        return INFLECTED, differ
    return (INSIDE if differ == 0 else NEAR if differ <= NEAR_SHARE else UNLIKE), differ


class Transcript:
    """The words of a reference, by recording and channel."""

    def __init__(self, rttm: Sequence[RTTMRow]) -> None:
        self._words: dict[tuple[str, int], list[tuple[float, float, str]]] = {}
        for row in rttm:
            if row.type == "LEXEME" and row.tbeg is not None and row.dur is not None:
                spoken = (row.tbeg, row.tbeg + row.dur, row.ortho.lower())
                self._words.setdefault((row.file, row.channel), []).append(spoken)
        for words in self._words.values():
            words.sort()

    def under(self, file: str, channel: int, tbeg: float, tend: float) -> list[str]:
        """The words that lie in a span with a third of themselves or more, or hold all of it."""
        words = self._words.get((file, channel), [])
        last = bisect_left(words, (tend,))
        return [
            word
            for begin, end, word in words[:last]
            if (common := min(end, tend) - max(begin, tbeg)) > 0
            and common >= min(LEAST_OVERLAP * (end - begin), tend - tbeg)
        ]


@dataclass(frozen=True, slots=True)
class FalseHit:
    """A hit that stands for no occurrence: row is its place in the outcomes; differ the share of phones that differ."""

    row: int
    term: str
    score: float
    accepted: bool
    file: str
    tbeg: float
    said: str
    kind: str
    differ: float


def false_hits(scored: Report, transcript: Transcript) -> Iterator[FalseHit]:
    """The false hits of LEAST_SCORE or more, and all that were said YES to, each with what was said and its kind."""
    outcomes, tolerance = scored.outcomes, scored.settings.tolerance
    places = _places(outcomes)
    looked_at = outcomes.accepted | (outcomes.score >= LEAST_SCORE)
    for row in np.flatnonzero(outcomes.is_hit & ~outcomes.is_target & looked_at):
        file, channel = scored.channels[outcomes.channel[row]]
        tbeg, tend = float(outcomes.hit_tbeg[row]), float(outcomes.hit_tend[row])
        said = transcript.under(file, channel, tbeg, tend)
        term = scored.searched[outcomes.term[row]].text.lower()
        kind, differ = compare(term, said)
        middle = (tbeg + tend) / 2
        near = [
            (max(begin - middle, middle - end), found)
            for begin, end, found in places.get((int(outcomes.term[row]), int(outcomes.channel[row])), [])
        ]
        if any(away <= tolerance for away, _ in near):
            kind = AGAIN
        elif kind not in (SAME, INFLECTED, INSIDE) and any(away <= BESIDE_SECONDS for away, found in near if not found):
            kind = BESIDE
        accepted = bool(outcomes.accepted[row])
        yield FalseHit(int(row), term, float(outcomes.score[row]), accepted, file, tbeg, " ".join(said), kind, differ)


def _places(outcomes: Outcomes) -> Mapping[tuple[int, int], list[tuple[float, float, bool]]]:
    """Where each term is said, by term and channel, and whether a hit stands for it."""
    places: dict[tuple[int, int], list[tuple[float, float, bool]]] = {}
    for row in np.flatnonzero(outcomes.is_target):
        place = (float(outcomes.target_tbeg[row]), float(outcomes.target_tend[row]), bool(outcomes.is_hit[row]))
        places.setdefault((int(outcomes.term[row]), int(outcomes.channel[row])), []).append(place)
    return places


def misses(outcomes: Outcomes) -> np.ndarray:
    """The kind of each row (n,) that is a target without a YES; "" elsewhere."""
    false = outcomes.is_hit & ~outcomes.is_target
    best_false = np.full(outcomes.term.max(initial=0) + 1, -np.inf)
    np.maximum.at(best_false, outcomes.term[false], outcomes.score[false])
    kinds = np.where(outcomes.score > best_false[outcomes.term], CAUTIOUS, BEHIND)
    kinds = np.where(outcomes.is_hit, kinds, NO_CANDIDATE)
    return np.where(outcomes.is_target & ~outcomes.accepted, kinds, "")


def without(scored: Report, rows: Sequence[int]) -> dict[str, float]:
    """ATWV, MTWV and MAP as if some hits had not been made."""
    table, left = scored.outcomes, np.ones(len(scored.outcomes.term), bool)
    left[list(rows)] = False
    columns = (getattr(table, name) for name in Outcomes.__slots__)
    trials = Trials.from_outcomes(
        Outcomes(*(column[left] for column in columns)),
        n_terms=len(scored.searched),
        n_trials=scored.trials.n_trials,
    )
    summary, _ = figures(trials, scored.summary.beta, scored.summary.total_seconds)
    return {name: round(getattr(summary, name), 4) for name in ("atwv", "mtwv", "map")}


def analyse(scored: Report, transcript: Transcript) -> dict[str, Any]:
    """Counts of kinds, figures with and without what is forgiven, and the lists."""
    false = sorted(false_hits(scored, transcript), key=lambda hit: -hit.score)
    missed = misses(scored.outcomes)
    result: dict[str, Any] = {
        "misses": dict(Counter(missed[missed != ""].tolist())),
        "false_alarms": {kind: n for kind in KINDS if (n := sum(h.accepted and h.kind == kind for h in false))},
        "false_hits": {
            kind: n for kind in KINDS if (n := sum(h.score >= LEAST_SCORE and h.kind == kind for h in false))
        },
        "as_scored": without(scored, []),
        "forgiven": without(scored, [hit.row for hit in false if hit.kind in FORGIVEN]),
    }
    result["surest_false_hits"] = [_shown(hit) for hit in false[:N_SHOWN]]
    each = zip(scored.searched, scored.per_term, strict=True)
    occurring = [(term, scores) for term, scores in each if scores.targets]
    worst = sorted(occurring, key=lambda pair: (pair[1].atwv, pair[1].map))[:N_SHOWN]
    numbers = {term.kwid: number for number, term in enumerate(scored.searched)}
    for term, scores in worst:
        of_term = scored.outcomes.term == numbers[term.kwid]
        alarms = [hit for hit in false if hit.accepted and scored.outcomes.term[hit.row] == numbers[term.kwid]]
        result.setdefault("worst_terms", []).append(
            {
                "term": term.text,
                "value": round(scores.atwv, 3),
                "ap": round(scores.map, 3),
                "targets": scores.targets,
                "misses": dict(Counter(kind for kind in missed[of_term].tolist() if kind)),
                "false_alarms": [{"said": hit.said, "kind": hit.kind} for hit in alarms],
            }
        )
    return result


def _shown(hit: FalseHit) -> dict[str, Any]:
    shown = asdict(hit)
    del shown["row"]
    return shown | {"score": round(hit.score, 3), "differ": round(hit.differ, 2)}


def main() -> None:
    """Analyse a KWSList and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("kwslist", type=Path, help="hits of text terms, as std_task.py leaves them")
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    task, kwslist = Task.read(arguments.task), read_kwslist(arguments.kwslist)
    scored = report(task, kwslist, {detected.kwid for detected in kwslist.detected})
    path = write_result(f"failures_{arguments.name}", analyse(scored, Transcript(task.rttm)), threads=1)
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
