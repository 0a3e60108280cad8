from pathlib import Path

import pytest
from clips import read_parts, word_clips
from samediff import evaluate, read_list

from stdsearch.errors import StdSearchError

HEADER = ",word,speaker_id,filename,start,end\n"


def tree(folder: Path) -> Path:
    """LibriSpeech, as far as one chapter goes."""
    chapter = folder / "LibriSpeech" / "dev-clean" / "84" / "121123"
    chapter.mkdir(parents=True)
    for name in ("84-121123-0000.flac", "84-121123.trans.txt"):
        (chapter / name).write_text("")
    return folder / "LibriSpeech"


def test_a_list_names_words_of_utterances(tmp_path):
    path = tmp_path / "dev-clean.csv"
    path.write_text(f"{HEADER}0,about,84,84-121123-0000,4.32,4.85\n", encoding="utf-8")
    (clip,) = read_list(path, tree(tmp_path))
    assert (clip.text, clip.speaker, clip.begin, clip.end) == ("about", "84", 4.32, 4.85)
    assert clip.audio == tmp_path / "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac"


@pytest.mark.parametrize("row", ["0,about,84,84-121123-0001,4.32,4.85", "0,about,84,84-121123-0000,4.32,", "0,about"])
def test_rows_that_name_no_stretch_are_told(tmp_path, row):
    path = tmp_path / "dev-clean.csv"
    path.write_text(f"{HEADER}{row}\n", encoding="utf-8")
    with pytest.raises(StdSearchError, match=r"dev-clean.csv:2: no word of an utterance below .*LibriSpeech"):
        read_list(path, tree(tmp_path))


def test_figures_over_pairs_of_one_speaker_and_of_two(spoken, sure_encoder):
    clips = word_clips(read_parts(spoken, ["dev"]), spoken.parent)
    result = evaluate(sure_encoder, clips)
    # cat, cap and dog by two speakers, thunder twice by one
    assert (result["tokens"], result["types"], result["pairs"]) == (9, 5, 36)
    assert [result[name] for name in ("n_sw", "n_swsp", "n_swdp")] == [4, 1, 3]
    assert {value for name, value in result.items() if name.startswith(("ap_", "prb_"))} == {1.0}
    with pytest.raises(StdSearchError, match="no word of the list comes twice"):
        evaluate(sure_encoder, clips[:3])
