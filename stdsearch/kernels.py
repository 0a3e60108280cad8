"""Inner loops that numpy cannot express without their square in memory, compiled by numba.

Each stands beside its definition in plain Python, which tests hold it to.
"""

import numba
import numpy as np


def merge_overlaps(
    recording_id: np.ndarray,
    channel: np.ndarray,
    tbeg: np.ndarray,
    tend: np.ndarray,
    score: np.ndarray,
    *,
    term: np.ndarray | None = None,
) -> np.ndarray:
    """The places (n,) in which overlapping candidates are left once each, best first.

    Candidates are taken from the best on (of equals, the first); one is left out if the midpoint of it or of a better
    one that was kept lies inside the other. Only candidates of one recording channel, and with `term` of one term, are
    compared. Equals `merge_overlaps_plain`.
    """
    groups = [channel, recording_id] if term is None else [channel, recording_id, term]
    order = np.lexsort((-np.asarray(score, np.float64), *groups))
    changes = np.zeros(max(0, len(order) - 1), bool)
    for values in groups:
        changes |= np.diff(np.asarray(values)[order]) != 0
    bounds = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(order)]])
    kept = order[_apart(np.asarray(tbeg, np.float64)[order], np.asarray(tend, np.float64)[order], bounds)]
    return kept[np.lexsort((kept, -np.asarray(score, np.float64)[kept]))]


def merge_overlaps_plain(
    recording_id: np.ndarray,
    channel: np.ndarray,
    tbeg: np.ndarray,
    tend: np.ndarray,
    score: np.ndarray,
    *,
    term: np.ndarray | None = None,
) -> np.ndarray:
    """The definition of `merge_overlaps`, candidate by candidate."""
    term = np.zeros(len(score), int) if term is None else term
    middle = (np.asarray(tbeg, np.float64) + tend) / 2
    kept: list[int] = []
    for i in np.argsort(-np.asarray(score, np.float64), kind="stable"):
        better = [j for j in kept if (term[i], recording_id[i], channel[i]) == (term[j], recording_id[j], channel[j])]
        if not any(tbeg[j] <= middle[i] <= tend[j] or tbeg[i] <= middle[j] <= tend[i] for j in better):
            kept.append(int(i))
    return np.array(kept, np.int64)


@numba.njit(cache=True)
def _apart(tbeg: np.ndarray, tend: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Which candidates to keep (n,) bool; group g is bounds[g] to bounds[g + 1], best first."""
    keep = np.zeros(len(tbeg), np.bool_)
    for group in range(len(bounds) - 1):
        for i in range(bounds[group], bounds[group + 1]):
            middle = (tbeg[i] + tend[i]) / 2
            keep[i] = True
            for j in range(bounds[group], i):
                if keep[j]:
                    other = (tbeg[j] + tend[j]) / 2
                    if tbeg[j] <= middle <= tend[j] or tbeg[i] <= other <= tend[i]:
                        keep[i] = False
                        break
    return keep
