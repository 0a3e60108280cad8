import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stdsearch.encoder import pooling
from stdsearch.kernels import merge_overlaps, merge_overlaps_plain, pool_spans

ONE = np.ones(4, int)


def test_the_best_of_overlapping_candidates_is_left() -> None:
    tbeg = np.array([1.0, 1.2, 5.0, 1.1])
    kept = merge_overlaps(ONE, ONE, tbeg, tbeg + 0.5, np.array([0.5, 0.9, 0.7, 0.8]))
    assert kept.tolist() == [1, 2]


def test_neighbours_that_share_only_their_edges_stay() -> None:
    tbeg = np.array([0.0, 0.4, 0.8, 1.2])  # of 0.5 s: a tenth of a second in common
    assert merge_overlaps(ONE, ONE, tbeg, tbeg + 0.5, np.arange(4.0)).tolist() == [3, 2, 1, 0]


def test_a_short_candidate_inside_a_long_one_is_merged() -> None:
    kept = merge_overlaps(ONE[:2], ONE[:2], np.array([0.0, 0.1]), np.array([2.0, 0.3]), np.array([0.9, 0.5]))
    assert kept.tolist() == [0]


def test_channels_recordings_and_terms_are_kept_apart() -> None:
    tbeg, score = np.zeros(4), np.arange(4.0)
    kept = merge_overlaps(
        np.array([0, 1, 0, 0]), np.array([1, 1, 2, 1]), tbeg, tbeg + 1, score, term=np.array([0, 0, 0, 1])
    )
    assert kept.tolist() == [3, 2, 1, 0]


def test_of_equals_the_first_is_left() -> None:
    assert merge_overlaps(ONE, ONE, np.zeros(4), np.ones(4), np.ones(4)).tolist() == [0]


def test_nothing_in_nothing_out() -> None:
    nothing = np.empty(0)
    assert merge_overlaps(nothing, nothing, nothing, nothing, nothing).tolist() == []


@settings(max_examples=200)
@given(st.data())
def test_equals_its_definition(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 30))
    column = st.lists(st.integers(0, 1), min_size=n, max_size=n).map(np.array)
    grid = st.lists(st.integers(0, 20), min_size=n, max_size=n).map(np.array)
    tbeg = data.draw(grid)
    candidates = (data.draw(column), data.draw(column), tbeg, tbeg + data.draw(grid) + 1, data.draw(grid))
    term = data.draw(column)
    expected = merge_overlaps_plain(*candidates, term=term)
    np.testing.assert_array_equal(merge_overlaps(*candidates, term=term), expected)


def test_pooled_spans_equal_their_definition() -> None:
    rng = np.random.default_rng(0)
    hidden, logit = rng.normal(size=(50, 7)).astype(np.float32), rng.normal(size=50).astype(np.float32)
    begin = np.append(rng.uniform(0, 40, 100), 0.0)
    end = np.append(begin[:-1] + rng.uniform(0.5, 9.9, 100), 50.0)
    expected = pooling.pool_spans(
        torch.tensor(hidden)[None],
        torch.tensor(logit)[None],
        torch.zeros(len(begin), dtype=torch.long),
        torch.tensor(begin, dtype=torch.float32),
        torch.tensor(end, dtype=torch.float32),
        3,
    )
    pooled = pool_spans(np.c_[hidden, logit], begin, end, 3, variance_floor=pooling.VARIANCE_FLOOR)
    np.testing.assert_allclose(pooled, expected.numpy(), atol=5e-3)


def test_a_pooled_span_by_hand() -> None:
    """Frames 1 to 4 in two parts: weights 1 3 | 1 1, values 0 4 | 2 6."""
    hidden, weight = np.array([[9.0], [0.0], [4.0], [2.0], [6.0]]), np.array([5.0, 1.0, 3.0, 1.0, 1.0])
    pooled = pool_spans(np.c_[hidden, np.log(weight)], np.array([1]), np.array([5]), 2, variance_floor=1e-4)
    mean = (12 + 8) / 6
    deviation = np.sqrt((48 + 4 + 36) / 6 - mean**2)
    np.testing.assert_allclose(pooled, [[3.0, 4.0, deviation]], rtol=1e-6)


def test_a_faint_span_behind_loud_ones_keeps_its_precision() -> None:
    hidden = np.random.default_rng(0).normal(size=(2000, 1)).astype(np.float32)
    logit = np.append(np.full(1990, 5.0), np.full(10, -5.0))
    pooled = pool_spans(np.c_[hidden, logit], np.array([1990]), np.array([2000]), 1, variance_floor=1e-4)
    np.testing.assert_allclose(pooled, [[hidden[1990:].mean(), hidden[1990:].std()]], rtol=1e-4)
