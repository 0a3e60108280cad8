from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.metrics.discrimination import cross_modal, pair_scores, same_different


def test_worked_ranking():
    """Three clips of one word and one of another: the six pairs ranked + - + - + -."""
    words = np.array(["yes", "yes", "yes", "no"])
    # pairs in order: 01+ 02+ 03- 12+ 13- 23-
    scores = np.array([0.9, 0.7, 0.8, 0.5, 0.6, 0.4], dtype=np.float32)
    result = same_different(scores, words)
    assert result.all.n_positive == 3
    assert result.n_pairs == 6
    assert result.all.average_precision == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    # trapezoids over recall, each from the precision just before: (1 + 1)/2, (1/2 + 2/3)/2, (2/4 + 3/5)/2
    assert result.all.trapezoid == pytest.approx((1 + (1 / 2 + 2 / 3) / 2 + (1 / 2 + 3 / 5) / 2) / 3)
    assert result.all.break_even == pytest.approx(2 / 3)
    assert result.same_speaker is None


def test_speakers_share_the_precision_but_not_the_recall():
    words = np.array(["yes", "yes", "yes", "no"])
    speakers = np.array(["a", "a", "b", "b"])
    scores = np.array([0.9, 0.7, 0.8, 0.5, 0.6, 0.4], dtype=np.float32)
    result = same_different(scores, words, speakers)
    assert (result.same_speaker.n_positive, result.different_speaker.n_positive) == (1, 2)
    assert result.same_speaker.average_precision == 1.0
    assert result.different_speaker.average_precision == pytest.approx((2 / 3 + 3 / 5) / 2)


def curve_by_hand(scores: np.ndarray, positive: np.ndarray, kind: np.ndarray) -> tuple[float, float]:
    """Average precision and trapezoid from every distinct threshold, one after the other."""
    points = [(0.0, 1.0)]
    for threshold in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= threshold
        points.append(((kind & taken).sum() / kind.sum(), (positive & taken).sum() / taken.sum()))
    steps = list(pairwise(points))
    ap = sum((r - r0) * p for (r0, _), (r, p) in steps)
    trapezoid = sum((r - r0) * (p + p0) / 2 for (r0, p0), (r, p) in steps)
    return ap, trapezoid


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("XY")), min_size=2, max_size=7), st.randoms())
def test_equals_trying_every_threshold(clips, random):
    words, speakers = np.array([w for w, _ in clips]), np.array([s for _, s in clips])
    first, second = np.triu_indices(len(clips), 1)
    positive, same = words[first] == words[second], speakers[first] == speakers[second]
    if not positive.any():
        with pytest.raises(ValueError, match="no word occurs twice"):
            same_different(np.zeros(len(first), np.float32), words)
        return
    scores = np.array([random.randint(0, 6) / 8 for _ in first], dtype=np.float32)
    result = same_different(scores, words, speakers)
    kinds = (positive, positive & same, positive & ~same)
    for figures, kind in zip((result.all, result.same_speaker, result.different_speaker), kinds, strict=True):
        if not kind.any():
            assert figures is None
            continue
        ap, trapezoid = curve_by_hand(scores, positive, kind)
        assert figures.average_precision == pytest.approx(ap)
        assert figures.trapezoid == pytest.approx(trapezoid)


def test_break_even_without_ties_equals_trying_every_threshold():
    random = np.random.default_rng(3)
    words = random.integers(0, 8, 40)
    scores = random.permutation(780).astype(np.float32)
    first, second = np.triu_indices(40, 1)
    positive = words[first] == words[second]
    top = np.argsort(-scores)[: positive.sum()]
    assert same_different(scores, words).all.break_even == pytest.approx(positive[top].mean())


def test_pair_scores_are_cosines_in_the_order_of_triu():
    random = np.random.default_rng(4)
    embeddings = random.normal(size=(1500, 8)) * random.uniform(0.1, 9, size=(1500, 1))  # more rows than a block
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(1500, 1)
    np.testing.assert_allclose(pair_scores(embeddings), (unit[first] * unit[second]).sum(axis=1), atol=1e-6)


def test_cross_modal_ranks_all_pairs_of_text_and_audio():
    text, audio = np.eye(3), np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.9, 1.0, 0.0]])
    words = np.array(["a", "b", "c"])
    # cosines of the right pairs: a .995, b 1 and .743; better than the last is no wrong pair but a-audio 2 (.669) below
    perfect = cross_modal(text, words, audio, np.array(["a", "b", "b"]))
    assert (perfect.average_precision, perfect.n_positive) == (1.0, 3)
    worse = cross_modal(text, words, audio, np.array(["a", "b", "a"]))
    assert worse.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    with pytest.raises(ValueError, match="no word of the text"):
        cross_modal(text, words, audio, np.array(["x", "y", "z"]))


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="3 words make 3 pairs"):
        same_different(np.zeros(4, np.float32), np.array(["a", "a", "b"]))
