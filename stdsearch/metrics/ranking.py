"""Measures of a ranked list of hits: average precision, precision at N, reciprocal rank.

Where a true and a false hit share a score, the false one is ranked first (F4DE 3.5.0), so that ties earn nothing.
F4DE compares these scores as strings; here they are compared as numbers.
"""

import numpy as np

from stdsearch.metrics.twv import Trials


def average_precisions(trials: Trials) -> np.ndarray:
    """Σ precision at the true hits / targets, of each term, shape (K,); NaN for a term without targets.

    Targets that no hit stands for add nothing. F4DE's AP; its mean over terms is MAP.
    """
    term, target, rank = ranked(trials)
    true_rank = _rank_within(term[target])
    precision = true_rank / rank[target]
    total = np.bincount(term[target], weights=precision, minlength=len(trials.n_targets))
    return _per_target(total, trials)


def precisions_at_n(trials: Trials) -> np.ndarray:
    """The share of true hits among the best N, N being the term's number of targets, shape (K,); NaN without targets.

    Source: Hazen, Shen and White, "Query-by-example spoken term detection", ASRU 2009.
    """
    term, target, rank = ranked(trials)
    in_top = target & (rank <= trials.n_targets[term])
    return _per_target(np.bincount(term[in_top], minlength=len(trials.n_targets)), trials)


def reciprocal_ranks(trials: Trials) -> np.ndarray:
    """1 / the rank of the first true hit of each term, shape (K,), 0 if there is none; NaN without targets."""
    term, target, rank = ranked(trials)
    best = np.zeros(len(trials.n_targets))
    np.maximum.at(best, term[target], 1 / rank[target])
    return np.where(trials.occurs, best, np.nan)


def ranked(trials: Trials) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Term, target and rank (from 1) of every hit, by term and then from the best hit to the worst."""
    order = np.lexsort((trials.target, -trials.score, trials.term))
    term = trials.term[order]
    return term, trials.target[order], _rank_within(term)


def _rank_within(term: np.ndarray) -> np.ndarray:
    """1, 2, 3 ... anew in each run of equal numbers."""
    return np.arange(len(term)) - np.searchsorted(term, term) + 1


def _per_target(total: np.ndarray, trials: Trials) -> np.ndarray:
    return np.divide(total, trials.n_targets, out=np.full(len(total), np.nan), where=trials.occurs)
