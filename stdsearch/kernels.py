"""Inner loops that numpy cannot express without their square in memory, compiled by numba.

Each has a definition in plain Python or torch, which tests hold it to.
"""

import numba
import numpy as np


def merge_overlaps(
    recording_id: np.ndarray,
    channel: np.ndarray,
    tbeg: np.ndarray,
    tend: np.ndarray,
    score: np.ndarray,
    *,
    term: np.ndarray | None = None,
) -> np.ndarray:
    """The places (n,) in which overlapping candidates are left once each, best first.

    Candidates are taken from the best on (of equals, the first); one is left out if the midpoint of it or of a better
    one that was kept lies inside the other. Only candidates of one recording channel, and with `term` of one term, are
    compared. Equals `merge_overlaps_plain`.
    """
    groups = [channel, recording_id] if term is None else [channel, recording_id, term]
    order = np.lexsort((-np.asarray(score, np.float64), *groups))
    changes = np.zeros(max(0, len(order) - 1), bool)
    for values in groups:
        changes |= np.diff(np.asarray(values)[order]) != 0
    bounds = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(order)]])
    kept = order[_apart(np.asarray(tbeg, np.float64)[order], np.asarray(tend, np.float64)[order], bounds)]
    return kept[np.lexsort((kept, -np.asarray(score, np.float64)[kept]))]


def merge_overlaps_plain(
    recording_id: np.ndarray,
    channel: np.ndarray,
    tbeg: np.ndarray,
    tend: np.ndarray,
    score: np.ndarray,
    *,
    term: np.ndarray | None = None,
) -> np.ndarray:
    """The definition of `merge_overlaps`, candidate by candidate."""
    term = np.zeros(len(score), int) if term is None else term
    middle = (np.asarray(tbeg, np.float64) + tend) / 2
    kept: list[int] = []
    for i in np.argsort(-np.asarray(score, np.float64), kind="stable"):
        better = [j for j in kept if (term[i], recording_id[i], channel[i]) == (term[j], recording_id[j], channel[j])]
        if not any(tbeg[j] <= middle[i] <= tend[j] or tbeg[i] <= middle[j] <= tend[i] for j in better):
            kept.append(int(i))
    return np.array(kept, np.int64)


@numba.njit(cache=True)
def _apart(tbeg: np.ndarray, tend: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Which candidates to keep (n,) bool; group g is bounds[g] to bounds[g + 1], best first."""
    keep = np.zeros(len(tbeg), np.bool_)
    kept = np.empty(len(tbeg), np.int64)
    for group in range(len(bounds) - 1):
        n_kept = 0
        for i in range(bounds[group], bounds[group + 1]):
            middle = (tbeg[i] + tend[i]) / 2
            keep[i] = True
            for j in kept[:n_kept]:
                other = (tbeg[j] + tend[j]) / 2
                if tbeg[j] <= middle <= tend[j] or tbeg[i] <= other <= tend[i]:
                    keep[i] = False
                    break
            if keep[i]:
                kept[n_kept] = i
                n_kept += 1
    return keep


@numba.njit(cache=True, parallel=True)
def dequantise(codes: np.ndarray, low: np.ndarray, step: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Values low + step * codes (n, d) float32 of codes (n, d) uint8; piece i, from offsets[i] on, has low[i], step[i].

    codes: (n, d); low, step: (m, d); offsets: (m + 1,). Equals `archive.frames.QuantisedFrames.values` of each piece.
    """
    values = np.empty(codes.shape, np.float32)
    for i in numba.prange(len(offsets) - 1):
        for t in range(offsets[i], offsets[i + 1]):
            for j in range(codes.shape[1]):
                values[t, j] = np.float32(codes[t, j]) * step[i, j] + low[i, j]
    return values


def pool_spans(
    hidden: np.ndarray, logit: np.ndarray, begin: np.ndarray, end: np.ndarray, parts: int, *, variance_floor: float
) -> np.ndarray:
    """Pooled spans (n, (parts + 1) * d) float32 of one sequence of frames; defined by `encoder.pooling.pool_spans`.

    hidden: (T, d); logit: (T,); begin, end: (n,) in frames, 0 <= begin < end <= T. Each span's own frames are summed:
    of slices, which have 5 to 40, that takes two thirds of what reading prefix sums does, and of the spans of many
    candidates, which share none, a tenth. Other threads run meanwhile.
    """
    weight = np.exp(np.asarray(logit, np.float64))
    rows = np.ascontiguousarray(hidden, np.float32)  # in place of every other width's strides: what vectorises
    return _pool(rows, weight, np.asarray(begin, np.float64), np.asarray(end, np.float64), parts, variance_floor)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # damaged frames, which weigh nothing, give no numbers
def _pool(
    hidden: np.ndarray, weight: np.ndarray, begin: np.ndarray, end: np.ndarray, parts: int, floor: float
) -> np.ndarray:
    n_frames, d = hidden.shape
    pooled = np.empty((len(begin), (parts + 1) * d), np.float32)
    part, whole, square = np.empty((3, d), np.float32)
    for i in range(len(begin)):
        whole[:], square[:], total = 0, 0, np.float32(0)
        for k in range(parts):
            first = begin[i] + (end[i] - begin[i]) * k / parts
            last = begin[i] + (end[i] - begin[i]) * (k + 1) / parts
            part[:], inside = 0, np.float32(0)
            for t in range(int(first), min(int(np.ceil(last)), n_frames)):
                share = np.float32(weight[t] * (min(last, t + 1.0) - max(first, float(t))))
                inside += share
                for j in range(d):
                    weighted = share * hidden[t, j]
                    part[j] += weighted
                    square[j] += weighted * hidden[t, j]
            total += inside
            for j in range(d):
                whole[j] += part[j]
                pooled[i, k * d + j] = part[j] / inside
        for j in range(d):
            mean = whole[j] / total
            pooled[i, parts * d + j] = np.sqrt(max(square[j] / total - mean * mean, floor))
    return pooled
