import numpy as np
import pytest
from vectors import Nearest, moved, recall


def test_exhaustive_search_block_after_block_ranks_as_all_at_once() -> None:
    random = np.random.default_rng(0)
    vectors, queries = random.normal(size=(100, 4)).astype(np.float32), random.normal(size=(3, 4)).astype(np.float32)
    nearest = Nearest(queries, 12)
    for first in range(0, 100, 30):
        nearest.add(np.arange(first, min(first + 30, 100)) + 7, vectors[first : first + 30])
    np.testing.assert_array_equal(nearest.ranked(), np.argsort(-queries @ vectors.T, axis=1)[:, :12] + 7)


def test_recall_is_the_share_found_in_any_order() -> None:
    assert recall(np.array([[3, 1, 9], [4, 5, 6]]), np.array([[1, 2], [6, 4]])) == 0.75


def test_copies_are_unit_vectors_moved_as_far_as_neighbours_are_apart() -> None:
    angles = np.arange(0, 1, 0.1)
    block = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    copy = moved(block, 1)
    assert np.linalg.norm(copy, axis=1) == pytest.approx(1)
    assert 0 < np.abs(copy - block).max() < 0.11
    np.testing.assert_array_equal(copy, moved(block, 1))
    assert (copy != moved(block, 2)).any()
