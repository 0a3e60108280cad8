import numpy as np
import pytest
from clips import read_parts, word_clips
from word_pairs import draw_negatives, evaluate


def test_negatives_are_distinct_and_never_the_own_word():
    own = np.array([0, 2, 2, 1])
    clip, other = draw_negatives(own, 3, 8, seed=0)
    assert set(zip(clip.tolist(), other.tolist(), strict=True)) == {
        (c, t) for c in range(4) for t in range(3) if t != own[c]
    }
    assert not np.array_equal(draw_negatives(own, 30, 50, seed=0), draw_negatives(own, 30, 50, seed=1))


def test_a_perfect_encoder_and_one_that_hears_two_words_as_one(spoken, sure_encoder):
    clips = word_clips(read_parts(spoken, ["dev"]), spoken.parent)
    result = evaluate(sure_encoder, clips, seeds=(0, 7))
    assert result == {"positives": 9, "negatives": 9 * 4, "types": 5, "ap": 1.0, "ap_by_seed": {"0": 1.0, "7": 1.0}}

    sure_encoder.place[("K", "AE", "P")] = sure_encoder.place[("K", "AE", "T")]
    # cap's text is now cat's: 7 right pairs and 2 wrong ones (cat's clips) at cosine 1, cap's 2 clips with the rest
    assert evaluate(sure_encoder, clips)["ap"] == pytest.approx((7 * 7 / 9 + 2 * 9 / 45) / 9, abs=1e-4)
