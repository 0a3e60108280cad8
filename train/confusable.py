"""What sounds alike, by Levenshtein distance over phones: words of a vocabulary, runs of phones in running speech."""

from collections.abc import Sequence

import numba
import numpy as np

from stdsearch.phones import PHONE_INDEX

SEPARATOR = -1  # a label that no run crosses


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """The least number of phones to insert, delete or replace.

    >>> distance(("S", "T", "AA", "R"), ("S", "K", "AA", "R", "Z"))
    2
    """
    row = list(range(len(other) + 1))
    for i, phone in enumerate(one, start=1):
        diagonal, row[0] = row[0], i
        for j, against in enumerate(other, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (phone != against))
    return row[-1]


def nearest(pronunciations: Sequence[Sequence[str]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k other pronunciations nearest to each: indices (n, k) and distances (n, k), nearest first, ties in order.

    Where there are fewer, indices are -1. All pairs are looked at, most of them not to the end: some seconds for ten
    thousand words.
    """
    lengths = np.array([len(phones) for phones in pronunciations])
    padded = np.zeros((len(lengths), max(lengths, default=0)), np.uint8)
    for row, phones in zip(padded, pronunciations, strict=True):
        row[: len(phones)] = [PHONE_INDEX[phone] for phone in phones]
    index, found = _nearest(padded, lengths, k)
    return index, found


@numba.njit(cache=True, parallel=True)
def _nearest(phones: np.ndarray, lengths: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    n, width = phones.shape
    index = np.full((n, k), -1, np.int64)
    found = np.full((n, k), 255, np.int64)
    for i in numba.prange(n):
        row = np.empty(width + 1, np.int64)
        for j in range(n):
            bound = found[i, k - 1]
            if j == i or abs(lengths[i] - lengths[j]) >= bound:
                continue
            for c in range(lengths[j] + 1):
                row[c] = c
            for r in range(lengths[i]):
                diagonal = row[0]
                row[0] = r + 1
                least = row[0]
                for c in range(lengths[j]):
                    value = min(row[c + 1] + 1, row[c] + 1, diagonal + (phones[i, r] != phones[j, c]))
                    diagonal = row[c + 1]
                    row[c + 1] = value
                    least = min(least, value)
                if least >= bound:  # no way on gets below
                    row[lengths[j]] = least
                    break
            value = row[lengths[j]]
            if value < bound:
                place = k - 1
                while place > 0 and found[i, place - 1] > value:
                    found[i, place] = found[i, place - 1]
                    index[i, place] = index[i, place - 1]
                    place -= 1
                found[i, place] = value
                index[i, place] = j
    return index, found


@numba.njit(cache=True, nogil=True)
def closest_runs(wanted: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The run of labels (n,) nearest to the phones wanted (m,), for each place that it may end at.

    Returns where it begins (n,), counting from the first label, and its distance (n,); of equals the shortest run. One
    that ends at place i is labels[begin : i + 1]; it is empty, and its distance m, at a SEPARATOR (Sellers, 1980).
    """
    n, m = len(labels), len(wanted)
    first, found = np.empty(n, np.int64), np.empty(n, np.int64)
    cost, begin = np.arange(m + 1), np.zeros(m + 1, np.int64)
    for i in range(n):
        if labels[i] == SEPARATOR:
            for r in range(m + 1):
                cost[r], begin[r] = r, i + 1
            first[i], found[i] = i + 1, m
            continue
        diagonal, diagonal_begin = cost[0], begin[0]
        begin[0] = i + 1
        for r in range(m):
            best, start = diagonal + (labels[i] != wanted[r]), diagonal_begin
            if cost[r] + 1 < best or (cost[r] + 1 == best and begin[r] > start):  # a wanted phone is not there
                best, start = cost[r] + 1, begin[r]
            if cost[r + 1] + 1 < best or (cost[r + 1] + 1 == best and begin[r + 1] > start):  # one too many is
                best, start = cost[r + 1] + 1, begin[r + 1]
            diagonal, diagonal_begin = cost[r + 1], begin[r + 1]
            cost[r + 1], begin[r + 1] = best, start
        first[i], found[i] = begin[m], cost[m]
    return first, found
