"""Alignment kernels for rescoring: phone strings, or a spoken example, against stretches of recordings.

All stretches of a batch of queries are laid end to end and told apart by offsets, so that one call aligns them all.
Other threads run meanwhile: terms go side by side, a core each.
"""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def align_phones(
    frame_scores: np.ndarray,
    offsets: np.ndarray,
    phones: np.ndarray,
    lengths: np.ndarray,
    stretch: np.ndarray,
    string: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Best places of phone strings in stretches, for n pairs of a stretch and a string.

    frame_scores: (F, P) score of each symbol at each frame, positive where it is likelier than chance; offsets:
    (m + 1,) where each stretch begins in F, and F; phones: (s, L) columns of frame_scores, of which the first
    lengths (s,) count; stretch, string: (n,) which of either.

    Returns (score (n,), borders (n, L + 1)): the alignment takes each phone in turn for at least one frame, begins and
    ends anywhere, and has the greatest sum of frame scores; borders count frames from the start of the stretch, phone l
    is [borders[l], borders[l + 1]), and those beyond a string's length repeat its end. A stretch that has fewer frames
    than the string has phones has score -inf, and borders 0.

    Equals, for each pair with stretch X of T frames and string p of K phones:
    max over 0 <= b_0 < b_1 < ... < b_K <= T of Σ_k Σ_{t in [b_k, b_{k+1})} X[t, p[k]].
    """
    n_pairs = len(stretch)
    score = np.full(n_pairs, -np.inf, np.float32)
    borders = np.zeros((n_pairs, phones.shape[1] + 1), np.int64)
    for i in range(n_pairs):
        x = frame_scores[offsets[stretch[i]] : offsets[stretch[i] + 1]]
        columns = phones[string[i], : lengths[string[i]]]
        length, n = len(x), len(columns)
        if length < n:
            continue
        best = np.full((length, n), -np.inf, np.float32)
        entered = np.zeros((length, n), np.bool_)  # whether the best path comes to phone k at frame t from phone k - 1
        for t in range(length):
            here = x[t, columns[0]]
            if t > 0 and best[t - 1, 0] > 0:
                best[t, 0] = best[t - 1, 0] + here
            else:
                best[t, 0] = here
                entered[t, 0] = True
            for k in range(1, min(n, t + 1)):
                stay, come = best[t - 1, k], best[t - 1, k - 1]
                if come >= stay:
                    best[t, k] = come + x[t, columns[k]]
                    entered[t, k] = True
                else:
                    best[t, k] = stay + x[t, columns[k]]
        end = 0
        for t in range(length):
            if best[t, n - 1] > score[i]:
                score[i] = best[t, n - 1]
                end = t
        if score[i] == -np.inf:  # scores that are no numbers: there is no path to go back
            continue
        borders[i, n:] = end + 1
        t = end
        for k in range(n - 1, -1, -1):
            while not entered[t, k]:
                t -= 1
            borders[i, k] = t
            t -= 1
    return score, borders


@numba.njit(cache=True, nogil=True)
def aligned_means(
    frame_scores: np.ndarray,
    offsets: np.ndarray,
    phones: np.ndarray,
    lengths: np.ndarray,
    stretch: np.ndarray,
    string: np.ndarray,
    borders: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """How well aligned phones fit: the mean over a string's phones, and the least, of each phone's mean frame score.

    Arguments as those of align_phones and, borders, as it returns them; both results are (n,), zero where there is no
    alignment. Equals, for stretch X and string p of K phones: the mean and the least over k of
    X[borders[k]:borders[k + 1], p[k]].mean().
    """
    mean, least = np.zeros(len(stretch)), np.zeros(len(stretch))
    for i in range(len(stretch)):
        start, n = offsets[stretch[i]], lengths[string[i]]
        if borders[i, n] == 0:
            continue
        total, lowest = 0.0, np.inf
        for k in range(n):
            of_phone = 0.0
            for t in range(borders[i, k], borders[i, k + 1]):
                of_phone += frame_scores[start + t, phones[string[i], k]]
            of_phone /= borders[i, k + 1] - borders[i, k]
            total += of_phone
            lowest = min(lowest, of_phone)
        mean[i], least[i] = total / n, lowest
    return mean, least


@numba.njit(cache=True, nogil=True)
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
    for i in range(m):
        if offsets[i] < offsets[i + 1]:
            mean, start = _subsequence_paths(query, frames[offsets[i] : offsets[i + 1]])
            last = np.argmin(mean)
            cost[i], begin[i], end[i] = mean[last], start[last], last + 1
    return cost, begin, end


@numba.njit(cache=True, nogil=True)
def subsequence_costs(query: np.ndarray, frames: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a match of a spoken example costs that ends at each frame of many stretches; arguments as above.

    Returns (cost (F,), begin (F,)): the path passes the whole query in order, begins anywhere in the stretch and ends
    at the frame, by steps (1, 0), (0, 1), (1, 1). Of all such paths that of the least sum of 1 - cosine is found; cost
    is its mean. begin counts frames from the start of the stretch.
    """
    cost = np.empty(len(frames), np.float32)
    begin = np.empty(len(frames), np.int64)
    for i in range(len(offsets) - 1):
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
