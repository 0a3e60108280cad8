import pytest
from clips import Clip, read_parts, word_clips
from jmcl_words import evaluate, jmcl_clips


def test_words_of_three_characters_and_half_a_second_to_two():
    spans = [("cat", 0.5), ("at", 0.9), ("dog", 0.49), ("thunder", 2.0), ("thunder", 2.1)]
    clips = [Clip(text, "s", None, 1.0, 1.0 + seconds) for text, seconds in spans]
    assert [clip.text for clip in jmcl_clips(clips)] == ["cat", "thunder"]


def test_words_in_the_vocabulary_apart_from_others(spoken, sure_encoder):
    clips = word_clips(read_parts(spoken, ["dev"]), spoken.parent)
    result = evaluate(sure_encoder, clips, {"cat", "dog"})
    assert result["IV"] | {"tokens": 4, "types": 2, "speakers": 2, "same_word_pairs": 2} == result["IV"]
    assert result["OOV"] | {"tokens": 5, "types": 3, "speakers": 3, "same_word_pairs": 2} == result["OOV"]
    assert (result["IV"]["acoustic_ap"], result["IV"]["crossmodal_ap"]) == (1.0, 1.0)
    assert (result["OOV"]["acoustic_ap_same_speaker"], result["IV"]["acoustic_ap_same_speaker"]) == (1.0, None)

    sure_encoder.place[("D", "AO", "G")] = sure_encoder.place[("K", "AE", "T")]
    # the text of dog is that of cat: two right and two wrong pairs at cosine 1, then the clips of dog with the rest
    assert evaluate(sure_encoder, clips, {"cat", "dog"})["IV"]["crossmodal_ap"] == pytest.approx(
        (2 * 2 / 4 + 2 * 4 / 8) / 4
    )


def test_a_set_without_words_is_left_out_and_one_without_repeats_has_no_acoustic_figure(spoken, sure_encoder):
    clips = word_clips(read_parts(spoken, ["train"]), spoken.parent)
    result = evaluate(sure_encoder, clips, {"cat", "dog"})
    assert result.keys() == {"IV"}
    assert (result["IV"]["acoustic_ap"], result["IV"]["same_word_pairs"], result["IV"]["crossmodal_ap"]) == (
        None,
        0,
        1.0,
    )
