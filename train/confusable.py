"""Confusable words: for each pronunciation of a vocabulary those nearest to it by Levenshtein distance over phones."""

from collections.abc import Sequence

import numba
import numpy as np

from stdsearch.phones import PHONE_INDEX


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
