"""Verification measures over pooled trials: equal error rate and area under the ROC curve.

All trials go into one curve. Averages over batches, which some published systems report, differ.
"""

import numpy as np


def equal_error_rate(target_scores: np.ndarray, other_scores: np.ndarray) -> float:
    """The error rate where misses and false alarms are equally frequent.

    Taken at the score θ, accepting ≥ θ, with the least |P_miss - P_fa|, as the mean of the two; to accept nothing is a
    candidate too.

    >>> round(equal_error_rate(np.array([0.9, 0.8, 0.3]), np.array([0.7, 0.2, 0.1])), 4)
    0.3333
    """
    targets, others = _sorted(target_scores), _sorted(other_scores)
    thresholds = np.unique(np.concatenate([targets, others, [np.inf]]))
    p_miss = np.searchsorted(targets, thresholds, side="left") / len(targets)
    p_fa = 1 - np.searchsorted(others, thresholds, side="left") / len(others)
    best = np.argmin(np.abs(p_miss - p_fa))
    return float((p_miss[best] + p_fa[best]) / 2)


def roc_area(target_scores: np.ndarray, other_scores: np.ndarray) -> float:
    """The probability that a target scores higher than another trial, a tie counting half (the ROC AUC).

    >>> round(roc_area(np.array([0.9, 0.8, 0.3]), np.array([0.7, 0.2, 0.1])), 4)
    0.8889
    """
    targets, others = _sorted(target_scores), _sorted(other_scores)
    below = np.searchsorted(others, targets, side="left").sum(dtype=np.int64)
    up_to = np.searchsorted(others, targets, side="right").sum(dtype=np.int64)
    return float((below + up_to) / 2 / (len(targets) * len(others)))


def _sorted(scores: np.ndarray) -> np.ndarray:
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise ValueError("scores of targets and of other trials must each be a non-empty column without NaN")
    return np.sort(scores)
