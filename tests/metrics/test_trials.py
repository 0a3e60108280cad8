import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.metrics.trials import equal_error_rate, roc_area

scores = st.lists(st.integers(0, 8).map(float), min_size=1, max_size=12).map(np.array)


def test_perfect_and_useless_scores():
    assert equal_error_rate(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 0.0
    assert roc_area(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert roc_area(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0.5


@given(scores, scores)
def test_area_equals_comparing_every_pair(targets, others):
    wins = [(t > o) + (t == o) / 2 for t in targets for o in others]
    assert roc_area(targets, others) == pytest.approx(np.mean(wins))


@given(scores, scores)
def test_rate_equals_trying_every_threshold(targets, others):
    candidates = [*sorted({*targets, *others}), np.inf]
    rates = [((targets < c).mean(), (others >= c).mean()) for c in candidates]
    closest = min(abs(miss - fa) for miss, fa in rates)
    expected = [(miss + fa) / 2 for miss, fa in rates if abs(miss - fa) < closest + 1e-12]
    assert min(abs(equal_error_rate(targets, others) - e) for e in expected) < 1e-12


@pytest.mark.parametrize("bad", [np.array([]), np.array([np.nan]), np.ones((2, 2))])
def test_wrong_columns_are_refused(bad):
    for measure in (equal_error_rate, roc_area):
        with pytest.raises(ValueError, match="non-empty column"):
            measure(bad, np.array([1.0]))
