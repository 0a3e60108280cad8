"""Searching sorted values within groups, without a loop over the groups.

The scorer asks thousands of times "which of this channel's excerpts / this term's occurrences comes last before
that time?". Times become integer ranks, so the answers are exact: no offset is added that could cost precision.
"""

from typing import Literal

import numpy as np


def searchsorted_by_group(
    group: np.ndarray, value: np.ndarray, query_group: np.ndarray, query: np.ndarray, *, side: Literal["left", "right"]
) -> np.ndarray:
    """Where each query would be inserted among the values of its own group, shape (m,).

    group and value, both (n,), are sorted by group and then by value; the positions count from the start of the whole
    array. side is numpy's: "left" before equal values, "right" after them.

    >>> searchsorted_by_group(np.array([0, 0, 1]), np.array([1.0, 5.0, 2.0]), np.array([0, 1]), np.array([3.0, 3.0]),
    ...                       side="left")
    array([1, 3])
    """
    ranks = np.unique(np.concatenate([value, query]), return_inverse=True)[1]
    width = ranks.max(initial=0) + 1
    return np.searchsorted(
        group * width + ranks[: len(value)],
        query_group * width + ranks[len(value) :],
        side=side,
    )


def running_max_by_group(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The greatest value so far within each group, shape (n,); group is sorted.

    >>> running_max_by_group(np.array([0, 0, 0, 1]), np.array([4.0, 2.0, 6.0, 1.0]))
    array([4., 4., 6., 1.])
    """
    distinct, ranks = np.unique(value, return_inverse=True)
    width = len(distinct) + 1
    return distinct[np.maximum.accumulate(group * width + ranks) % width]


def expand_ranges(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every (row, position) with start[row] <= position < stop[row], as two arrays of the total length.

    >>> expand_ranges(np.array([0, 7, 3]), np.array([2, 7, 4]))
    (array([0, 0, 2]), array([0, 1, 3]))
    """
    counts = np.maximum(stop - start, 0)
    row = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return row, start[row] + within
