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

    Returns (cost (m,), begin (m,), end (m,)): the path passes the whole query in order and begins and ends anywhere in
    the stretch, by steps (1, 0), (0, 1), (1, 1). For each end the path of the least sum of 1 - cosine is found; cost is
    the least of their means, inf for an empty stretch; [begin, end) counts frames from the start of the stretch.
    """
    m, q = len(offsets) - 1, len(query)
    cost = np.full(m, np.inf, np.float32)
    begin = np.zeros(m, np.int64)
    end = np.zeros(m, np.int64)
    for i in numba.prange(m):
        x = frames[offsets[i] : offsets[i + 1]]
        length = len(x)
        if length == 0:
            continue
        distance = 1 - query @ x.T
        total = np.empty((q, length), np.float32)
        steps = np.ones((q, length), np.int64)
        start = np.empty((q, length), np.int64)
        for t in range(length):
            total[0, t] = distance[0, t]
            start[0, t] = t
        for r in range(1, q):
            for t in range(length):
                where_r, where_t, least = r - 1, t, total[r - 1, t]
                if t > 0:
                    if total[r - 1, t - 1] <= least:
                        where_t, least = t - 1, total[r - 1, t - 1]
                    if total[r, t - 1] < least:
                        where_r, where_t, least = r, t - 1, total[r, t - 1]
                total[r, t] = least + distance[r, t]
                steps[r, t] = steps[where_r, where_t] + 1
                start[r, t] = start[where_r, where_t]
        for t in range(length):
            mean = total[q - 1, t] / steps[q - 1, t]
            if mean < cost[i]:
                cost[i] = mean
                begin[i] = start[q - 1, t]
                end[i] = t + 1
    return cost, begin, end
