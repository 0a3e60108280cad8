"""How sure a figure is: bootstrap intervals over terms.

Another list of terms would have given other figures. Terms are drawn with replacement, as many as there are; the
figures of many such lists spread as the figure would. Two systems are compared on the same draws, so that what is hard
for both cancels out. Source: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance
evaluation", ICASSP 2004, with terms in place of utterances.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from stdsearch.metrics import twv
from stdsearch.metrics.ranking import average_precisions
from stdsearch.metrics.twv import BETA, Trials

MEASURES = ("atwv", "mtwv", "map")


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """How often to draw, from which seed, and how much of the spread the interval holds."""

    n_resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """The range that holds the middle of the spread; None where the measure is undefined in some draw."""

    low: float | None
    high: float | None


def intervals(
    trials: Trials,
    beta: float = BETA,
    settings: BootstrapSettings | None = None,
    *,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Interval]:
    """The intervals of ATWV, MTWV and MAP. progress is called after each draw."""
    settings = settings or BootstrapSettings()
    figures = _figures(trials, beta)
    return _intervals([figures(weight) for weight in _draws(trials, settings, progress)], settings)


def difference_intervals(
    trials: Trials,
    others: Trials,
    beta: float = BETA,
    settings: BootstrapSettings | None = None,
    *,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Interval]:
    """The intervals of ATWV, MTWV and MAP of trials less those of others, another system on the same terms."""
    if not np.array_equal(trials.n_targets, others.n_targets):
        raise ValueError("the two systems were not scored on the same terms and reference")
    settings = settings or BootstrapSettings()
    ours, theirs = _figures(trials, beta), _figures(others, beta)
    return _intervals([ours(w) - theirs(w) for w in _draws(trials, settings, progress)], settings)


def _draws(trials: Trials, settings: BootstrapSettings, progress: Callable[[], None]) -> Iterator[np.ndarray]:
    """How often each term counts, shape (K,), draw by draw; a draw in which no term occurs is drawn again."""
    generator = np.random.default_rng(settings.seed)
    evaluated = np.flatnonzero(trials.evaluated)
    for _ in range(settings.n_resamples):
        drawn = generator.choice(evaluated, size=len(evaluated))
        while not trials.occurs[drawn].any():
            drawn = generator.choice(evaluated, size=len(evaluated))
        yield np.bincount(drawn, minlength=len(trials.n_targets)).astype(np.float64)
        progress()


def _figures(trials: Trials, beta: float) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the weights of the terms, shape (K,), to the MEASURES."""
    actual, precision, occurs = twv.actual(trials, beta), average_precisions(trials), trials.occurs

    def figures(weight: np.ndarray) -> np.ndarray:
        atwv = twv.over_terms(trials, actual, beta, weight).value
        mtwv = twv.maximum(twv.sweep(trials, weight), beta).value
        return np.array([atwv, mtwv, np.average(precision[occurs], weights=weight[occurs])])

    return figures


def _intervals(figures: list[np.ndarray], settings: BootstrapSettings) -> dict[str, Interval]:
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(figures, [tail, 1 - tail], axis=0)
    ends = [[None if np.isnan(value) else float(value) for value in row] for row in np.transpose([low, high])]
    return {name: Interval(*own) for name, own in zip(MEASURES, ends, strict=True)}
