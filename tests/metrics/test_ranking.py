import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.metrics.ranking import average_precisions, precisions_at_n, reciprocal_ranks
from stdsearch.metrics.twv import Trials


def ranked_list(targets: list[bool], n_targets: int, scores: list[float] | None = None) -> Trials:
    """One term's hits, the best first unless scores say otherwise; a second term has neither hits nor targets."""
    scores = scores if scores is not None else list(np.linspace(1, 0, len(targets)))
    n = len(targets)
    return Trials.from_hits(
        np.zeros(n, dtype=int),
        np.array(scores, dtype=float),
        np.ones(n, dtype=bool),
        np.array(targets, dtype=bool),
        n_targets=np.array([n_targets, 0]),
        n_trials=1000,
    )


def test_worked_list():
    trials = ranked_list([False, True, True, False, True], n_targets=4)
    assert average_precisions(trials)[0] == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 4)
    assert precisions_at_n(trials)[0] == 2 / 4
    assert reciprocal_ranks(trials)[0] == 1 / 2


def test_a_term_without_targets_has_no_figure():
    for measure in (average_precisions, precisions_at_n, reciprocal_ranks):
        assert np.isnan(measure(ranked_list([True], n_targets=1))[1])


def test_a_term_without_hits_scores_nothing():
    for measure in (average_precisions, precisions_at_n, reciprocal_ranks):
        assert measure(ranked_list([], n_targets=2))[0] == 0.0


def test_of_equal_scores_the_false_one_comes_first():
    assert average_precisions(ranked_list([True, False], n_targets=1, scores=[0.5, 0.5]))[0] == 0.5


def test_scores_are_compared_as_numbers():
    assert average_precisions(ranked_list([True, False], n_targets=1, scores=[10.0, 9.0]))[0] == 1.0
    assert average_precisions(ranked_list([True, False], n_targets=1, scores=[-1.0, -2.0]))[0] == 1.0


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=15), st.integers(1, 3))
def test_equals_walking_down_the_list(rows, missed):
    n_targets = sum(target for _, target in rows) + missed
    trials = ranked_list([t for _, t in rows], n_targets, [float(s) for s, _ in rows])
    ordered = sorted(rows, key=lambda row: (-row[0], row[1]))
    true_ranks = [rank for rank, (_, target) in enumerate(ordered, start=1) if target]
    precisions = [found / rank for found, rank in enumerate(true_ranks, start=1)]
    assert average_precisions(trials)[0] == pytest.approx(sum(precisions) / n_targets)
    assert precisions_at_n(trials)[0] == pytest.approx(sum(t for _, t in ordered[:n_targets]) / n_targets)
    assert reciprocal_ranks(trials)[0] == pytest.approx(1 / true_ranks[0] if true_ranks else 0.0)
