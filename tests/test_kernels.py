import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stdsearch.kernels import merge_overlaps, merge_overlaps_plain

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


@settings(max_examples=200, deadline=None)
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
