"""Which hit is which occurrence: the alignment behind every count, by the rules of NIST's F4DE 3.5.0.

Per term, recording and channel, a hit may stand for an occurrence if its midpoint lies between `tolerance` seconds
before the occurrence's begin and `tolerance` after its end. Among the one-to-one pairings, the one of maximum weight
wins, a pair weighing 1 + 1e-6 · score + 1e-8 · overlap: most pairs first, then high scores, then good overlap. The
score is scaled to [0, 1], the overlap is (least end - greatest begin) / the occurrence's duration.

Crowds are rare, so the pairs are split into connected components; one with a single hit or a single occurrence is
decided by its heaviest pair, and only the others are handed to the Hungarian algorithm.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stdsearch.metrics.grouped import expand_ranges, running_max_by_group, searchsorted_by_group
from stdsearch.metrics.outcomes import NO_PARTNER, Outcomes, ScoredHits, Targets

SCORE_WEIGHT, OVERLAP_WEIGHT = 1e-6, 1e-8


def align(
    hits: ScoredHits, targets: Targets, *, tolerance: float, score_range: tuple[float, float] | None = None
) -> Outcomes:
    """What becomes of the hits and the occurrences.

    score_range is the least and greatest score that the KWSList declares; without it, those of the term's own hits
    in the channel are taken.
    """
    n_channels = max(hits.channel.max(initial=0), targets.channel.max(initial=0)) + 1
    hit_group = hits.term * n_channels + hits.channel
    order = np.lexsort((targets.tbeg, targets.term * n_channels + targets.channel))
    group, tbeg, tend = (targets.term * n_channels + targets.channel)[order], targets.tbeg[order], targets.tend[order]

    midpoint = hits.midpoint
    reach = running_max_by_group(group, tend) + tolerance
    start = searchsorted_by_group(group, reach, hit_group, midpoint, side="left")
    stop = searchsorted_by_group(group, tbeg - tolerance, hit_group, midpoint, side="right")
    hit, place = expand_ranges(start, stop)
    near = midpoint[hit] <= tend[place] + tolerance
    hit, place = hit[near], place[near]

    overlap = np.minimum(hits.tend[hit], tend[place]) - np.maximum(hits.tbeg[hit], tbeg[place])
    duration = tend[place] - tbeg[place]
    overlap = np.divide(overlap, duration, out=np.zeros_like(overlap), where=duration > 0)
    score = _scaled(hits.score, hit_group, score_range)
    weight = 1 + SCORE_WEIGHT * score[hit] + OVERLAP_WEIGHT * overlap
    partner = maximum_weight_pairs(hit, order[place], weight, n_hits=len(hits), n_targets=len(targets))
    return Outcomes.join(hits, targets, partner)


def _scaled(score: np.ndarray, group: np.ndarray, score_range: tuple[float, float] | None) -> np.ndarray:
    """The scores brought to [0, 1]; 0 where the range is empty."""
    if score_range is not None:
        low, high = (np.full(len(score), bound) for bound in score_range)
    else:
        groups, number = np.unique(group, return_inverse=True)
        least, greatest = np.full(len(groups), np.inf), np.full(len(groups), -np.inf)
        np.minimum.at(least, number, score)
        np.maximum.at(greatest, number, score)
        low, high = least[number], greatest[number]
    return np.divide(score - low, high - low, out=np.zeros_like(score), where=high > low)


def maximum_weight_pairs(
    hit: np.ndarray, target: np.ndarray, weight: np.ndarray, *, n_hits: int, n_targets: int
) -> np.ndarray:
    """The target paired with each hit in a one-to-one pairing of maximum total weight, shape (n_hits,).

    hit, target and weight, each of shape (n_pairs,), list the pairs allowed; weights are positive. Equal to trying
    every one-to-one pairing; of equal single candidates, the first listed wins.
    """
    partner = np.full(n_hits, NO_PARTNER, dtype=np.int64)
    n_nodes = n_hits + n_targets
    graph = coo_array((np.ones(len(hit), np.bool_), (hit, n_hits + target)), shape=(n_nodes, n_nodes))
    component = connected_components(graph, directed=False)[1]
    hits_in = np.bincount(component[:n_hits], minlength=n_nodes)
    targets_in = np.bincount(component[n_hits:], minlength=n_nodes)

    component = component[hit]
    by_component = np.lexsort((-weight, component))
    starts = np.flatnonzero(np.diff(component[by_component], prepend=-1))
    alone = np.minimum(hits_in, targets_in)[component[by_component[starts]]] == 1
    heaviest = by_component[starts[alone]]
    partner[hit[heaviest]] = target[heaviest]

    stops = np.append(starts[1:], len(hit))
    for start, stop in zip(starts[~alone], stops[~alone], strict=True):
        pairs = by_component[start:stop]
        rows, row = np.unique(hit[pairs], return_inverse=True)
        columns, column = np.unique(target[pairs], return_inverse=True)
        weights = np.zeros((len(rows), len(columns)))
        weights[row, column] = weight[pairs]
        best_row, best_column = linear_sum_assignment(weights, maximize=True)
        allowed = weights[best_row, best_column] > 0
        partner[rows[best_row[allowed]]] = columns[best_column[allowed]]
    return partner
