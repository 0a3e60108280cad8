import json
from dataclasses import replace
from pathlib import Path

import pytest

from stdsearch.errors import StdSearchError
from train.manifest import PhoneSpan, Utterance, Word, check_speakers, read_manifest, read_words, write_manifest

CAT = Word("cat", 0.1, 0.4, (PhoneSpan("K", 0.1, 0.2), PhoneSpan("AE", 0.2, 0.3), PhoneSpan("T", 0.3, 0.4)))
UTTERANCE = Utterance(
    utterance="u1",
    split="train",
    corpus="pets",
    speaker="anna",
    audio=Path("audio/u1.wav"),
    channel=2,
    tbeg=1.5,
    dur=0.75,
    text="Cat!",
    words=(CAT,),
    attributes={"gender": "F"},
)
LINE = {
    "utterance": "u1",
    "split": "train",
    "speaker": "anna",
    "audio": "u1.wav",
    "tbeg": 0,
    "dur": 1.0,
    "text": "cat",
    "words": [["cat", 0.1, 0.4, [["K", 0.1, 0.2], ["AE", 0.2, 0.3], ["T", 0.3, 0.4]]]],
}


def write_lines(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_what_is_written_is_read(tmp_path):
    write_manifest(tmp_path / "m.jsonl", [UTTERANCE])
    assert read_manifest(tmp_path / "m.jsonl") == [UTTERANCE]


def test_a_line_made_by_hand_gets_defaults(tmp_path):
    (utterance,) = read_manifest(write_lines(tmp_path / "m.jsonl", LINE))
    assert (utterance.corpus, utterance.channel, utterance.attributes) == ("", 1, {})
    assert utterance.words == (CAT,)


def test_an_interrupted_write_leaves_the_old_manifest_and_nothing_else(tmp_path):
    write_manifest(tmp_path / "m.jsonl", [UTTERANCE])

    def interrupted():
        yield UTTERANCE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(tmp_path / "m.jsonl", interrupted())
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]
    assert read_manifest(tmp_path / "m.jsonl") == [UTTERANCE]


def test_words_are_read_from_a_manifest_and_from_bare_alignments(tmp_path):
    bare = write_lines(tmp_path / "a.jsonl", {"utterance": "u1", "words": LINE["words"]})
    assert read_words(bare) == {"u1": (CAT,)}
    assert read_words(write_lines(tmp_path / "m.jsonl", LINE)) == {"u1": (CAT,)}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"audio": None}, '"audio" is missing'),
        ({"dur": "long"}, '"dur" is missing or of the wrong kind'),
        ({"dur": float("nan")}, "name no stretch"),
        ({"tbeg": -1.0}, "name no stretch"),
        ({"channel": 0}, "name no stretch"),
        ({"words": [["cat", 0.1, 0.4, [["AX", 0.1, 0.4]]]]}, "no phone 'AX'"),
        ({"words": [["cat", 0.1, 0.4]]}, "words are not"),
        ({"words": [["cat", 0.1, 0.4, [["K", 0.2, 0.1]]]]}, "run backwards"),
        ({"words": [["cat", -0.1, 0.4, [["K", -0.1, 0.4]]]]}, "run backwards"),
        ({"words": [["cat", 0.1, 0.4, [["K", 0.1, float("nan")]]]]}, "run backwards"),
        ({"words": [["cat", 0.1, 0.4, [["K", 0.1, 0.5]]]]}, "run backwards"),
        ({"words": [["cat", 0.1, 0.4, []]]}, "run backwards"),
        ({"dur": 0.2}, "words go on after the utterance ends"),
    ],
)
def test_an_unsound_line_is_named(tmp_path, change, complaint):
    path = write_lines(tmp_path / "m.jsonl", LINE | {"utterance": "u0"}, LINE | change)
    with pytest.raises(StdSearchError) as error:
        read_manifest(path)
    assert str(error.value).startswith(f"{path}:2: ")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[1, 2]\n", "{\n", "\ufeff{}\n"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(StdSearchError, match=r"m\.jsonl"):
        read_manifest(tmp_path / "m.jsonl")
    with pytest.raises(StdSearchError, match="cannot be read"):
        read_manifest(tmp_path / "none.jsonl")


def test_an_utterance_twice_is_refused(tmp_path):
    with pytest.raises(StdSearchError, match="u1 is there twice"):
        read_manifest(write_lines(tmp_path / "m.jsonl", LINE, LINE))


def test_speakers_in_two_splits_are_refused(tmp_path):
    anna, bo = UTTERANCE, replace(UTTERANCE, utterance="u2", speaker="bo", split="dev")
    check_speakers([anna, bo, replace(anna, utterance="u3")], tmp_path / "m.jsonl")
    with pytest.raises(StdSearchError, match=r"m\.jsonl: speaker anna is in the splits dev and train \(1 such"):
        check_speakers([anna, bo, replace(anna, split="dev")], tmp_path / "m.jsonl")
