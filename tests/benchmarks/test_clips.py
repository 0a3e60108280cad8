import numpy as np
import pytest
from clips import embed_clips, pronounce, read_parts, word_clips

from stdsearch.errors import StdSearchError


def test_parts_are_splits_or_corpora(spoken):
    assert [u.utterance for u in read_parts(spoken, ["dev"])] == ["a", "b", "c", "d"]
    assert [u.utterance for u in read_parts(spoken, ["made/train", "train"])] == ["e"]
    with pytest.raises(StdSearchError, match="no utterance of test; there are dev, made/dev, made/train, train"):
        read_parts(spoken, ["dev", "test"])


def test_clips_are_embedded_in_their_order_each_context_read_once(spoken, sure_encoder):
    clips = word_clips(read_parts(spoken, ["dev"]), spoken.parent)
    assert [clip.text for clip in clips[:4]] == ["cat", "cap", "dog", "dog"]
    mixed = clips[::2] + clips[1::2]
    vectors = embed_clips(sure_encoder, mixed)
    np.testing.assert_array_equal(vectors, sure_encoder.embed_phones(pronounce(clip.text for clip in mixed)))
    assert sure_encoder.n_read == 4


def test_a_clip_cut_out_holds_the_same_sound(spoken, sure_encoder):
    clips = word_clips(read_parts(spoken, ["dev"]), spoken.parent)
    alone = [clip.alone() for clip in clips]
    assert {(clip.begin, clip.seconds, clip.dur) for clip in alone} == {(0.0, 0.5, 0.5)}
    np.testing.assert_array_equal(embed_clips(sure_encoder, alone), embed_clips(sure_encoder, clips))
    assert sure_encoder.n_read == len(clips) + 4


def test_a_phrase_is_pronounced_word_by_word():
    assert pronounce(["cat dog", "dog"]) == [("K", "AE", "T", "D", "AO", "G"), ("D", "AO", "G")]
