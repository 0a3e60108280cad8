"""Term-weighted value, the detection measure of NIST's STD 2006 and OpenKWS evaluations.

A term that occurs is worth 1 - (P_miss + β · P_fa), with P_miss = misses / targets and
P_fa = false alarms / (trials - targets); β = (cost / value) · (1 / prior - 1) weighs a false alarm against a miss, and
there is one trial per second of speech. Over terms, P_miss and P_fa are means over the terms that occur, so that a rare
term weighs as much as a frequent one. Source: the STD 2006 evaluation plan; F4DE 3.5.0 for the corners.

- ATWV, the actual value, takes the system's own decisions.
- MTWV, the maximum value, takes the best single threshold for all terms.
- OTWV, the optimum value, takes the best threshold of each term.
- STWV, the supremum value, accepts every hit and leaves false alarms out of account.

A threshold accepts the scores that equal or exceed it. The candidates are the scores themselves: to accept nothing is
not one of them, so that MTWV may be negative. Of equally good thresholds the lowest is taken.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from stdsearch.metrics.outcomes import Outcomes

Rates = TypeVar("Rates", float, np.ndarray)

BETA = 0.1 / 1 * (1 / 1e-4 - 1)  # NIST's cost / value and prior: 999.9
TIE = 1e-12  # values closer than this are equal: sums over many terms carry rounding noise


@dataclass(frozen=True, slots=True)
class Trials:
    """The hits of K terms against their targets, as columns of shape (n,), best score first.

    target says which hits stand for a target, n_targets (K,) how many targets each term has, n_trials how many trials.
    With count_absent, P_fa is averaged over all terms, those without targets too (KWSEval -inc).
    """

    term: np.ndarray
    score: np.ndarray
    accepted: np.ndarray
    target: np.ndarray
    n_targets: np.ndarray
    n_trials: int
    count_absent: bool = False

    @classmethod
    def from_hits(
        cls,
        term: np.ndarray,
        score: np.ndarray,
        accepted: np.ndarray,
        target: np.ndarray,
        *,
        n_targets: np.ndarray,
        n_trials: int,
        count_absent: bool = False,
    ) -> "Trials":
        """The trials of hits in any order. Raises ValueError if a term has more targets than there are trials."""
        if (n_targets > n_trials).any():
            raise ValueError(f"a term has {n_targets.max()} targets, more than the {n_trials} trials")
        order = np.argsort(-score, kind="stable")
        return cls(term[order], score[order], accepted[order], target[order], n_targets, n_trials, count_absent)

    @classmethod
    def from_outcomes(cls, outcomes: Outcomes, *, n_terms: int, n_trials: int, count_absent: bool = False) -> "Trials":
        """The trials that the table of outcomes holds. Raises ValueError as `from_hits`."""
        hit, target = outcomes.is_hit, outcomes.is_target
        return cls.from_hits(
            outcomes.term[hit],
            outcomes.score[hit],
            outcomes.accepted[hit],
            target[hit],
            n_targets=np.bincount(outcomes.term[target], minlength=n_terms),
            n_trials=n_trials,
            count_absent=count_absent,
        )

    def pooled(self) -> "Trials":
        """All terms taken as one, with the same number of trials (KWSEval's pooled curves)."""
        return Trials.from_hits(
            np.zeros_like(self.term),
            self.score,
            self.accepted,
            self.target,
            n_targets=self.n_targets.sum(keepdims=True),
            n_trials=self.n_trials,
            count_absent=self.count_absent,
        )

    def of_terms(self, chosen: np.ndarray) -> "Trials":
        """The trials of the terms that a mask of shape (K,) chooses, numbered anew."""
        number = np.cumsum(chosen) - 1
        kept = chosen[self.term]
        return Trials(
            term=number[self.term[kept]],
            score=self.score[kept],
            accepted=self.accepted[kept],
            target=self.target[kept],
            n_targets=self.n_targets[chosen],
            n_trials=self.n_trials,
            count_absent=self.count_absent,
        )

    @property
    def occurs(self) -> np.ndarray:
        """Which terms have targets, shape (K,)."""
        return self.n_targets > 0

    @property
    def evaluated(self) -> np.ndarray:
        """Which terms count, shape (K,)."""
        return self.occurs | self.count_absent

    @property
    def other_trials(self) -> np.ndarray:
        """How many trials of each term are no targets, shape (K,); NaN for 0, which leaves P_fa undefined."""
        others = self.n_trials - self.n_targets
        return np.where(others > 0, others, np.nan)


@dataclass(frozen=True, slots=True)
class TermCounts:
    """What each of K terms scored under the system's own decisions, as columns of shape (K,).

    non_targets are the hits that stand for no target: false_alarms if said YES, correct_rejected if NO.
    """

    targets: np.ndarray
    non_targets: np.ndarray
    hits: np.ndarray
    correct: np.ndarray
    correct_rejected: np.ndarray
    false_alarms: np.ndarray
    misses: np.ndarray


def count(trials: Trials) -> TermCounts:
    """The counts of every term."""

    def per_term(which: np.ndarray) -> np.ndarray:
        return np.bincount(trials.term[which], minlength=len(trials.n_targets))

    correct = per_term(trials.target & trials.accepted)
    return TermCounts(
        targets=trials.n_targets,
        non_targets=per_term(~trials.target),
        hits=per_term(np.ones(len(trials.term), dtype=np.bool_)),
        correct=correct,
        correct_rejected=per_term(~trials.target & ~trials.accepted),
        false_alarms=per_term(~trials.target & trials.accepted),
        misses=trials.n_targets - correct,
    )


@dataclass(frozen=True, slots=True)
class TermPoints:
    """The error rates of each of K terms, the value they give, and the threshold behind them, each of shape (K,).

    NaN where undefined: P_miss of a term without targets, P_fa of one whose every trial is a target, the value of
    either, and a threshold where none was applied.
    """

    value: np.ndarray
    p_miss: np.ndarray
    p_fa: np.ndarray
    threshold: np.ndarray


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The error rates over all terms, the value they give, and the threshold behind them, NaN if there is not one."""

    value: float
    p_miss: float
    p_fa: float
    threshold: float


def term_value(p_miss: Rates, p_fa: Rates, beta: float) -> Rates:
    """1 - (P_miss + β · P_fa)."""
    return 1 - (p_miss + beta * p_fa)


def actual(trials: Trials, beta: float = BETA) -> TermPoints:
    """The system's own decisions, per term; the threshold is the lowest score it said YES to, NaN if none."""
    counts = count(trials)
    p_miss = np.divide(counts.misses, counts.targets, out=np.full(len(counts.targets), np.nan), where=trials.occurs)
    p_fa = counts.false_alarms / trials.other_trials
    lowest = np.full(len(counts.targets), np.inf)
    np.minimum.at(lowest, trials.term[trials.accepted], trials.score[trials.accepted])
    return TermPoints(term_value(p_miss, p_fa, beta), p_miss, p_fa, np.where(np.isinf(lowest), np.nan, lowest))


def optimum(trials: Trials, beta: float = BETA) -> TermPoints:
    """Each term at its own best threshold: the lowest score accepted.

    Where even that finds no target, the threshold is the lowest score of any term that accepts no more, as in F4DE; so
    it is the lowest of all for a term without hits, which misses everything.
    """
    n_terms = len(trials.n_targets)
    by_term = np.argsort(trials.term, kind="stable")  # best score first within each term
    term, score, target = trials.term[by_term], trials.score[by_term], trials.target[by_term]
    start = np.searchsorted(term, np.arange(n_terms))
    found, false_alarms = _count_within(term, target, start), _count_within(term, ~target, start)
    last = np.append((term[1:] != term[:-1]) | (score[1:] != score[:-1]), True)[: len(term)]
    term, score, found, false_alarms = term[last], score[last], found[last], false_alarms[last]

    n_targets = trials.n_targets[term]
    p_miss = 1 - np.divide(found, n_targets, out=np.full(len(term), np.nan), where=n_targets > 0)
    p_fa = false_alarms / trials.other_trials[term]
    value = np.nan_to_num(term_value(p_miss, p_fa, beta), nan=-np.inf)
    best = np.full(n_terms, -np.inf)
    np.maximum.at(best, term, value)
    winners = np.flatnonzero((value >= best[term] - TIE) & np.isfinite(value))
    choice = np.full(n_terms, -1)
    choice[term[winners]] = winners  # the last one assigned has the lowest score

    misses_all = np.where(trials.occurs & ~np.isnan(trials.other_trials), 1.0, np.nan)
    point = TermPoints(misses_all - 1, misses_all, misses_all - 1, np.full(n_terms, np.nan))
    chosen = np.flatnonzero(choice >= 0)
    for column, figures in ((value, point.value), (p_miss, point.p_miss), (p_fa, point.p_fa), (score, point.threshold)):
        figures[chosen] = column[choice[chosen]]

    lower = np.full(n_terms, -np.inf)  # the score just below the threshold, of the same term
    following = np.minimum(choice[chosen] + 1, len(term) - 1)
    lower[chosen] = np.where((term[following] == chosen) & (following > choice[chosen]), score[following], -np.inf)
    candidates = np.unique(trials.score[trials.evaluated[trials.term]])
    vain = np.flatnonzero(point.p_miss == 1)
    if len(candidates):
        point.threshold[vain] = candidates[np.searchsorted(candidates, lower[vain], side="right")]
    return point


def _count_within(term: np.ndarray, which: np.ndarray, start: np.ndarray) -> np.ndarray:
    """How many of which there are up to each row within its term; term is sorted, and begins at start."""
    total = np.concatenate([[0], np.cumsum(which)])
    return total[1:] - total[start[term]]


def supremum(trials: Trials) -> TermPoints:
    """Each term with every hit accepted and false alarms left out of account."""
    found = np.bincount(trials.term[trials.target], minlength=len(trials.n_targets))
    share = np.divide(found, trials.n_targets, out=np.full(len(found), np.nan), where=trials.occurs)
    nothing = np.where(trials.occurs, 0.0, np.nan)
    return TermPoints(share, 1 - share, nothing, nothing * np.nan)


def over_terms(
    trials: Trials, points: TermPoints, beta: float = BETA, weight: np.ndarray | None = None
) -> OperatingPoint:
    """The value of all terms together, from the rates of each where defined. Raises ValueError if no term occurs.

    weight (K,), one for all if None, says how often each term counts: a bootstrap draws it.
    """
    if not trials.occurs.any():
        raise ValueError("no term has a target, so the term-weighted value is undefined")
    weight = np.ones(len(trials.n_targets)) if weight is None else weight

    def average(rates: np.ndarray) -> float:
        weights = np.where(trials.evaluated & ~np.isnan(rates), weight, 0.0)
        return float(np.nan_to_num(rates) @ weights / weights.sum()) if weights.any() else np.nan

    p_miss, p_fa = average(points.p_miss), average(points.p_fa)
    return OperatingPoint(term_value(p_miss, p_fa, beta), p_miss, p_fa, np.nan)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Error rates averaged over the terms at every threshold, the highest first, as columns of shape (m,)."""

    threshold: np.ndarray
    p_miss: np.ndarray
    p_fa: np.ndarray


def sweep(trials: Trials, weight: np.ndarray | None = None) -> Sweep:
    """The error rates at every distinct score of a term that counts; weight as in `over_terms`."""
    weight = np.ones(len(trials.n_targets)) if weight is None else weight
    others = trials.other_trials
    miss_share = np.where(trials.occurs, weight, 0.0)
    miss_share /= miss_share.sum() * np.maximum(trials.n_targets, 1)
    fa_share = np.where(trials.evaluated & ~np.isnan(others), weight, 0.0)
    fa_share /= (fa_share.sum() or np.nan) * np.nan_to_num(others, nan=1.0)

    kept = (trials.evaluated & (weight > 0))[trials.term]
    term, score, target = trials.term[kept], trials.score[kept], trials.target[kept]
    last = np.append(score[1:] != score[:-1], True)[: len(score)]
    return Sweep(
        threshold=score[last],
        p_miss=np.maximum(1 - np.cumsum(miss_share[term] * target)[last], 0.0),  # rounding may end below 0
        p_fa=np.cumsum(fa_share[term] * ~target)[last],
    )


def maximum(curve: Sweep, beta: float = BETA) -> OperatingPoint:
    """The best single threshold for all terms; NaN throughout if there is no hit, or no defined P_fa."""
    value = term_value(curve.p_miss, curve.p_fa, beta)
    if not np.isfinite(value).any():
        return OperatingPoint(np.nan, np.nan, np.nan, np.nan)
    best = np.flatnonzero(value >= value.max() - TIE)[-1]
    return OperatingPoint(*(float(column[best]) for column in (value, curve.p_miss, curve.p_fa, curve.threshold)))
