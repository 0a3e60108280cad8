import itertools

import numpy as np
import pytest

from stdsearch.align import align_phones, aligned_means, subsequence_costs, subsequence_dtw


def best_alignment(x: np.ndarray, phones: np.ndarray) -> float:
    """The definition, every set of borders tried."""
    best = -np.inf
    for borders in itertools.combinations(range(len(x) + 1), len(phones) + 1):
        spans = itertools.pairwise(borders)
        best = max(best, sum(x[b:e, p].sum() for (b, e), p in zip(spans, phones, strict=True)))
    return best


@pytest.mark.parametrize("seed", range(20))
def test_alignment_is_the_best_of_all(seed):
    """Every stretch with every string, in any order."""
    random = np.random.default_rng(seed)
    stretches, lengths = random.integers(0, 9, 4), random.integers(1, 5, 3)
    scores = random.normal(size=(stretches.sum(), 5)).astype(np.float32)
    offsets = np.cumsum([0, *stretches])
    phones = random.integers(0, 5, (3, 4))
    pairs = random.permutation(list(itertools.product(range(4), range(3))))
    score, borders = align_phones(scores, offsets, phones, lengths, *pairs.T)
    mean, least = aligned_means(scores, offsets, phones, lengths, *pairs.T, borders)
    for i, (stretch, string) in enumerate(pairs):
        x, columns = scores[offsets[stretch] : offsets[stretch + 1]], phones[string, : lengths[string]]
        assert score[i] == pytest.approx(best_alignment(x, columns), abs=1e-4)
        if len(x) < len(columns):
            assert score[i] == -np.inf
            assert not borders[i].any()
            assert mean[i] == least[i] == 0
            continue
        own = borders[i, : len(columns) + 1]
        assert all(b < e for b, e in itertools.pairwise(own))
        assert own[-1] <= len(x)
        assert (borders[i, len(columns) :] == own[-1]).all()
        parts = [x[b:e, p] for (b, e), p in zip(itertools.pairwise(own), columns, strict=True)]
        assert sum(part.sum() for part in parts) == pytest.approx(score[i], abs=1e-4)
        assert mean[i] == pytest.approx(np.mean([part.mean() for part in parts]), abs=1e-6)
        assert least[i] == pytest.approx(np.min([part.mean() for part in parts]), abs=1e-6)


def test_alignment_finds_a_planted_word():
    scores = np.full((30, 4), -1.0, np.float32)
    scores[10:13, 2] = scores[13:19, 0] = scores[19:22, 3] = 2.0
    one = np.array([0])
    score, borders = align_phones(scores, np.array([0, 30]), np.array([[2, 0, 3]]), np.array([3]), one, one)
    assert score[0] == 24.0
    assert borders.tolist() == [[10, 13, 19, 22]]


def means_by_end(distance: np.ndarray) -> list[float]:
    """For each end the mean of the path of the least sum, found by recursion over all paths."""
    q, n = distance.shape

    def paths(r: int, t: int):
        if r == 0:
            yield [(r, t)]
            return
        for step_r, step_t in ((1, 0), (1, 1), (0, 1)):
            if t >= step_t and (r >= step_r):
                for path in paths(r - step_r, t - step_t):
                    yield [*path, (r, t)]

    least = [min((sum(distance[p] for p in path), len(path)) for path in paths(q - 1, end)) for end in range(n)]
    return [total / steps for total, steps in least]


@pytest.mark.parametrize("seed", range(10))
def test_dtw_is_the_best_of_all_paths(seed):
    random = np.random.default_rng(seed)
    unit = lambda x: (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)  # noqa: E731
    query, frames = unit(random.normal(size=(3, 4))), unit(random.normal(size=(9, 4)))
    offsets = np.array([0, 4, 4, 9])
    cost, begin, end = subsequence_dtw(query, frames, offsets)
    every_cost, every_begin = subsequence_costs(query, frames, offsets)
    for i in (0, 2):
        stretch = slice(offsets[i], offsets[i + 1])
        means = means_by_end(1 - query @ frames[stretch].T)
        assert every_cost[stretch] == pytest.approx(means, abs=1e-5)
        assert cost[i] == pytest.approx(min(means), abs=1e-5)
        assert end[i] == 1 + np.argmin(every_cost[stretch])
        assert begin[i] == every_begin[stretch][end[i] - 1] < end[i]
    assert cost[1] == np.inf


def test_dtw_finds_a_planted_example():
    random = np.random.default_rng(0)
    frames = random.normal(size=(40, 16)).astype(np.float32)
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    cost, begin, end = subsequence_dtw(frames[12:20].copy(), frames, np.array([0, 40]))
    assert cost[0] == pytest.approx(0, abs=1e-5)
    assert (begin[0], end[0]) == (12, 20)
