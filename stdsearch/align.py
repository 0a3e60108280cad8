"""Alignment kernels for rescoring: a phone string, or a spoken example, against stretches of a recording.

All stretches of a query are laid end to end and told apart by offsets, so that one call aligns them all.
"""

import numba
import numpy as np


@numba.njit(cache=True, parallel=True, fastmath=False)
def align_phones(
    frame_scores: np.ndarray, offsets: np.ndarray, phones: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best places of a phone string in many stretches.

    frame_scores: (F, P) score of each symbol at each frame, positive where it is likelier than chance; offsets:
    (m + 1,) where each stretch begins in F, and F; phones: (L,) columns of frame_scores.

    Returns (score (m,), begin (m,), phone ends (m, L)): the alignment takes each phone in turn for at least one frame,
    begins and ends anywhere, and has the greatest sum of frame scores; begin and ends count frames from the start
    of the stretch. A stretch shorter than L frames has score -inf.

    Equals, for each stretch X of T frames: max over 0 <= b < e_1 < ... < e_L <= T of Σ_l Σ_{t in [e_{l-1}, e_l)}
    X[t, phones[l]], where e_0 = b.
    """
    m, n = len(offsets) - 1, len(phones)
    score = np.full(m, -np.inf, np.float32)
    begin = np.zeros(m, np.int64)
    ends = np.zeros((m, n), np.int64)
    for i in numba.prange(m):
        x = frame_scores[offsets[i] : offsets[i + 1]]
        length = len(x)
        if length < n:
            continue
        best = np.full((length, n), -np.inf, np.float32)
        entered = np.zeros((length, n), np.bool_)  # whether the best path comes to phone l at frame t from phone l - 1
        for t in range(length):
            here = x[t, phones[0]]
            if t > 0 and best[t - 1, 0] > 0:
                best[t, 0] = best[t - 1, 0] + here
            else:
                best[t, 0] = here
                entered[t, 0] = True
            for k in range(1, min(n, t + 1)):
                stay, come = best[t - 1, k], best[t - 1, k - 1]
                if come >= stay:
                    best[t, k] = come + x[t, phones[k]]
                    entered[t, k] = True
                else:
                    best[t, k] = stay + x[t, phones[k]]
        end = 0
        for t in range(length):
            if best[t, n - 1] > score[i]:
                score[i] = best[t, n - 1]
                end = t
        if score[i] == -np.inf:  # scores that are no numbers: there is no path to go back
            continue
        t = end
        ends[i, n - 1] = end + 1
        for k in range(n - 1, -1, -1):
            while not entered[t, k]:
                t -= 1
            if k > 0:
                ends[i, k - 1] = t
                t -= 1
            else:
                begin[i] = t
    return score, begin, ends


@numba.njit(cache=True, parallel=True)
def subsequence_dtw(
    query: np.ndarray, frames: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best matches of a spoken example in many stretches, by dynamic time warping on cosine distance.

    query: (q, d), frames: (F, d), rows L2-normalised; offsets: (m + 1,) as in align_phones.

    Returns (cost (m,), begin (m,), end (m,)): the least of the costs of `subsequence_costs` in each stretch, inf for an
    empty one; [begin, end) counts frames from the start of the stretch.
    """
    m = len(offsets) - 1
    cost = np.full(m, np.inf, np.float32)
    begin = np.zeros(m, np.int64)
    end = np.zeros(m, np.int64)
    for i in numba.prange(m):
        if offsets[i] < offsets[i + 1]:
            mean, start = _subsequence_paths(query, frames[offsets[i] : offsets[i + 1]])
            last = np.argmin(mean)
            cost[i], begin[i], end[i] = mean[last], start[last], last + 1
    return cost, begin, end


@numba.njit(cache=True, parallel=True)
def subsequence_costs(query: np.ndarray, frames: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a match of a spoken example costs that ends at each frame of many stretches; arguments as above.

    Returns (cost (F,), begin (F,)): the path passes the whole query in order, begins anywhere in the stretch and ends
    at the frame, by steps (1, 0), (0, 1), (1, 1). Of all such paths that of the least sum of 1 - cosine is found; cost
    is its mean. begin counts frames from the start of the stretch.
    """
    cost = np.empty(len(frames), np.float32)
    begin = np.empty(len(frames), np.int64)
    for i in numba.prange(len(offsets) - 1):
        first, last = offsets[i], offsets[i + 1]
        if first < last:
            cost[first:last], begin[first:last] = _subsequence_paths(query, frames[first:last])
    return cost, begin


@numba.njit(cache=True)
def _subsequence_paths(query: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Costs (T,) and begins (T,) of `subsequence_costs` in one stretch (T, d) that is not empty."""
    distance = 1 - query @ frames.T
    total = distance[0].copy()  # of the best path to each frame and the row of the query, made row by row in place
    steps = np.ones(len(frames), np.int64)
    begin = np.arange(len(frames))
    for r in range(1, len(query)):
        above, above_steps, above_begin = np.float32(np.inf), 0, 0  # the row before, one frame back
        for t in range(len(frames)):
            least, least_steps, least_begin = total[t], steps[t], begin[t]
            if above <= least:
                least, least_steps, least_begin = above, above_steps, above_begin
            above, above_steps, above_begin = total[t], steps[t], begin[t]
            if t > 0 and total[t - 1] < least:
                least, least_steps, least_begin = total[t - 1], steps[t - 1], begin[t - 1]
            total[t], steps[t], begin[t] = least + distance[r, t], least_steps + 1, least_begin
    return total / steps.astype(np.float32), begin
