from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.metrics.alignment import OVERLAP_WEIGHT, SCORE_WEIGHT, align, maximum_weight_pairs
from stdsearch.metrics.outcomes import NO_PARTNER, Outcomes, ScoredHits, Targets


def hits_at(*rows: tuple[float, float, float], term: int = 0, channel: int = 0) -> ScoredHits:
    tbeg, dur, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    n = len(rows)
    return ScoredHits(np.full(n, term), np.full(n, channel), tbeg, dur, score, np.ones(n, dtype=bool))


def targets_at(*rows: tuple[float, float], term: int = 0, channel: int = 0) -> Targets:
    tbeg, tend = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    return Targets(np.full(len(rows), term), np.full(len(rows), channel), tbeg, tend)


def pairs(outcomes: Outcomes) -> set[tuple[float, float]]:
    both = outcomes.is_hit & outcomes.is_target
    return set(zip(outcomes.hit_tbeg[both].tolist(), outcomes.target_tbeg[both].tolist(), strict=True))


@pytest.mark.parametrize(("tbeg", "found"), [(0.0, True), (-0.001, False), (1.75, True), (1.751, False)])
def test_midpoint_may_lie_half_a_second_outside(tbeg, found):
    outcomes = align(hits_at((tbeg, 0.5, 1.0)), targets_at((0.75, 1.5)), tolerance=0.5)
    assert bool(pairs(outcomes)) == found


def test_pairs_never_cross_terms_or_channels():
    hits = hits_at((0.0, 1.0, 1.0), term=1, channel=0)
    for term, channel in ((0, 0), (1, 1)):
        assert not pairs(align(hits, targets_at((0.0, 1.0), term=term, channel=channel), tolerance=0.5))


def test_the_most_pairs_come_first_then_the_scores_then_the_overlap():
    # the middle hit reaches both, but each of the others reaches one only
    most = align(hits_at((0.0, 0.4, 0.1), (0.9, 0.2, 1.0)), targets_at((0.0, 0.5), (0.7, 1.0)), tolerance=0.5)
    assert pairs(most) == {(0.0, 0.0), (0.9, 0.7)}
    score = align(hits_at((0.0, 1.0, 0.3), (0.4, 1.0, 0.9)), targets_at((0.0, 1.0)), tolerance=0.5)
    assert pairs(score) == {(0.4, 0.0)}
    overlap = align(hits_at((0.4, 1.0, 0.5), (0.1, 1.0, 0.5)), targets_at((0.0, 1.0)), tolerance=0.5)
    assert pairs(overlap) == {(0.1, 0.0)}


def test_the_score_range_weighs_score_against_overlap():
    hits, targets = hits_at((0.0, 1.0, 0.500), (0.4, 1.0, 0.501)), targets_at((0.0, 1.0))
    assert pairs(align(hits, targets, tolerance=0.5)) == {(0.4, 0.0)}  # 0.501 is the greatest score there is
    assert pairs(align(hits, targets, tolerance=0.5, score_range=(0.0, 1.0))) == {(0.0, 0.0)}


def test_every_hit_and_every_missed_target_has_one_row():
    outcomes = align(hits_at((0.0, 1.0, 0.9), (50.0, 1.0, 0.8)), targets_at((0.0, 1.0), (100.0, 101.0)), tolerance=0.5)
    assert outcomes.label.tolist() == ["CORR", "FA", "MISS"]
    assert np.isnan(outcomes.target_tbeg).tolist() == [False, True, False]
    assert np.isnan(outcomes.score).tolist() == [False, False, True]


def test_no_hits_and_no_targets():
    none = align(hits_at((0.0, 1.0, 1.0)).take(np.array([False])), targets_at((0.0, 1.0)), tolerance=0.5)
    assert none.label.tolist() == ["MISS"]
    only = align(hits_at((0.0, 1.0, 1.0)), targets_at((0.0, 1.0)).take(np.array([False])), tolerance=0.5)
    assert only.label.tolist() == ["FA"]


def best_total(weights: np.ndarray) -> float:
    """The greatest total weight of any one-to-one pairing, by trying them all; 0 stands for a pair not allowed."""
    if weights.shape[0] > weights.shape[1]:
        weights = weights.T
    n, m = weights.shape
    return max((sum(weights[i, p] for i, p in enumerate(order)) for order in permutations(range(m), n)), default=0.0)


@given(st.data())
def test_equals_trying_every_pairing(data):
    n_hits, n_targets = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5))
    cells = [(h, t) for h in range(n_hits) for t in range(n_targets)]
    allowed = data.draw(st.lists(st.sampled_from(cells), unique=True)) if cells else []
    weight = np.array([1 + 1e-6 * data.draw(st.integers(0, 1000)) / 1000 for _ in allowed])
    hit, target = np.array([h for h, _ in allowed], dtype=int), np.array([t for _, t in allowed], dtype=int)
    partner = maximum_weight_pairs(hit, target, weight, n_hits=n_hits, n_targets=n_targets)

    weights = np.zeros((n_hits, n_targets))
    weights[hit, target] = weight
    chosen = [(h, t) for h, t in enumerate(partner.tolist()) if t != NO_PARTNER]
    assert all(weights[h, t] > 0 for h, t in chosen)
    assert len({t for _, t in chosen}) == len(chosen)
    assert sum(weights[h, t] for h, t in chosen) == pytest.approx(best_total(weights), abs=1e-9)


times = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12), st.integers(0, 10)), min_size=1, max_size=5)


@given(times, times)
def test_candidates_equal_testing_every_pair(hit_rows, target_rows):
    hits = hits_at(*((a / 10, d / 10, s / 10) for a, d, s in hit_rows))
    targets = targets_at(*((a / 10, round((a + d) / 10, 4)) for a, d, _ in target_rows))
    low, high = hits.score.min(), hits.score.max()
    weights = np.zeros((len(hits), len(targets)))
    for h in range(len(hits)):
        for t in range(len(targets)):
            if targets.tbeg[t] - 0.5 <= hits.midpoint[h] <= targets.tend[t] + 0.5:
                overlap = min(hits.tend[h], targets.tend[t]) - max(hits.tbeg[h], targets.tbeg[t])
                score = (hits.score[h] - low) / (high - low) if high > low else 0.0
                duration = targets.tend[t] - targets.tbeg[t]
                weights[h, t] = 1 + SCORE_WEIGHT * score + OVERLAP_WEIGHT * overlap / duration
    outcomes = align(hits, targets, tolerance=0.5)
    n_pairs = round(best_total(weights))
    assert len(outcomes.term) == len(hits) + len(targets) - n_pairs
    assert (outcomes.is_hit & outcomes.is_target).sum() == n_pairs
