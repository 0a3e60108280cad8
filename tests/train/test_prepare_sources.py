import csv
import json
import os
from pathlib import Path

import pytest

from stdsearch.errors import StdSearchError
from train.prepare.kaldi import read_kaldi
from train.prepare.librispeech import read_librispeech
from train.prepare.source import SourceUtterance
from train.prepare.splits import assign_splits
from train.prepare.table import read_table

ROWS = [
    {"utterance": "u1", "speaker": "anna", "audio": "a.wav", "text": 'the "big" cat', "dur": "1.5", "gender": "F"},
    {"utterance": "u2", "speaker": "bo", "audio": "b.wav", "text": "a dog", "dur": "", "gender": "M"},
]


def write_files(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def tsv(rows: list[dict[str, str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in [list(rows[0]), *(list(row.values()) for row in rows)])


# Tables


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_a_table_reads_the_same_in_every_format(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    if suffix == ".tsv":
        path.write_text("\ufeff" + tsv(ROWS), encoding="utf-8")
    elif suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ROWS[0])
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    first, second = read_table(path)
    assert (first.utterance, first.speaker, first.text, first.dur) == ("u1", "anna", 'the "big" cat', 1.5)
    assert first.audio == tmp_path / "a.wav"
    assert (first.split, first.channel, first.tbeg, first.attributes) == ("", 1, 0.0, {"gender": "F"})
    assert second.dur is None
    assert second.place == f"{path}:{2 if suffix == '.jsonl' else 3}"


def test_columns_are_renamed_and_defaults_filled_in(tmp_path):
    path = write_files(tmp_path, {"t.tsv": "path\tsentence\nfar/x.mp3\thello\n"}) / "t.tsv"
    (utterance,) = read_table(path, audio_root=Path("/clips"), columns={"audio": "path", "text": "sentence"})
    assert utterance.audio == Path("/clips/far/x.mp3")
    assert (utterance.utterance, utterance.speaker, utterance.text) == ("x", "far/x.mp3", "hello")
    assert utterance.attributes == {}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("t.tsv", "", "holds no utterance"),
        ("t.tsv", "audio\ttext\n", "holds no utterance"),
        ("t.tsv", "path\tsentence\na.wav\thi\n", "t.tsv:2: has no column audio or text, only path, sentence"),
        ("t.tsv", "audio\ttext\na.wav\n", "t.tsv:2: 1 fields under 2 columns"),
        ("t.tsv", "audio\taudio\na.wav\tb.wav\n", "t.tsv:1: two columns have one name"),
        ("t.tsv", "audio\ttext\n\thi\n", "t.tsv:2: names no audio"),
        ("t.tsv", "audio\ttext\tdur\na.wav\thi\tnan\n", "t.tsv:2: channel 1, 0 s + nan s is no stretch"),
        ("t.tsv", "audio\ttext\tduration\na.wav\thi\t-3\n", "t.tsv:2: channel 1, 0 s + -3.0 s is no stretch"),
        ("t.tsv", "audio\ttext\ttbeg\na.wav\thi\tsoon\n", "t.tsv:2: tbeg 'soon' is no number"),
        ("t.tsv", "audio\ttext\tchannel\na.wav\thi\t0\n", "t.tsv:2: channel 0"),
        ("t.tsv", "audio\ttext\tchannel\na.wav\thi\tleft\n", "t.tsv:2: channel 'left' is no whole number"),
        ("t.tsv", "audio\ttext\na.wav\thi\nb/a.wav\tho\n", "t.tsv:3: utterance a is also at"),
        ("t.csv", 'audio,text\na.wav,"hi\n', "t.csv:2: no row of a table"),
        ("t.jsonl", "{\n", "t.jsonl:1: no JSON"),
        ("t.jsonl", "[]\n", "t.jsonl:1: no JSON object"),
        ("t.xlsx", "audio", "t.xlsx: what kind of table this is cannot be told"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path, name, content, complaint):
    path = write_files(tmp_path, {name: content}) / name
    with pytest.raises(StdSearchError) as error:
        read_table(path)
    assert complaint in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", "audio\ttext\tclient\na.wav\thi\tx\n"),
        ("t.jsonl", '{"audio": "a.wav", "text": "hi", "client": "x"}\n'),
    ],
)
def test_a_column_that_is_not_there_is_told_though_it_need_not_be(tmp_path, name, content):
    """Else each file would count as a speaker of its own, and speakers be held out only in part."""
    path = write_files(tmp_path, {name: content}) / name
    with pytest.raises(StdSearchError, match=r"has no column clinet, only audio, client, text; correct --column"):
        read_table(path, columns={"speaker": "clinet"})
    assert [u.speaker for u in read_table(path, columns={"speaker": "client"})] == ["x"]


def test_audio_whose_name_is_no_text_is_told(tmp_path):
    path = write_files(tmp_path, {"t.tsv": "audio\ttext\na.wav\thi\n"}) / "t.tsv"
    with pytest.raises(StdSearchError, match="has a name that is not UTF-8; rename it"):
        read_table(path, audio_root=Path(os.fsdecode(b"caf\xe9")))


def test_a_table_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(StdSearchError, match="cannot be read"):
        read_table(tmp_path / "none.tsv")
    (tmp_path / "latin1.tsv").write_bytes("audio\ttext\na.wav\tcafé\n".encode("latin-1"))
    with pytest.raises(StdSearchError, match="no UTF-8 text"):
        read_table(tmp_path / "latin1.tsv")


# LibriSpeech trees


@pytest.fixture
def librispeech(tmp_path):
    return write_files(
        tmp_path / "LibriSpeech",
        {
            "train-clean-100/19/198/19-198.trans.txt": "19-198-0000 NORTHANGER ABBEY\n19-198-0001 THIS LITTLE WORK\n",
            "train-clean-100/19/198/19-198-0000.flac": "",
            "train-clean-100/19/198/19-198-0001.mp3": "",
            "dev-other/84/121/84-121-0000.flac": "",
            "dev-other/84/121/84-121-0000.lab": "GO",
            "dev-other/84/121/84-121.trans.txt": "84-121-0000 GO\n84-121-0001\n",
        },
    )


def test_a_librispeech_tree(librispeech):
    found = {u.utterance: u for u in read_librispeech(librispeech)}
    assert list(found) == ["84-121-0000", "84-121-0001", "19-198-0000", "19-198-0001"]
    assert [u.split for u in found.values()] == ["dev", "dev", "train", "train"]
    assert [u.speaker for u in found.values()] == ["84", "84", "19", "19"]
    assert found["19-198-0001"].audio.name == "19-198-0001.mp3"
    assert found["84-121-0001"].audio.name == "84-121-0001.flac"  # missing: dropped later, with this name
    assert (found["19-198-0001"].text, found["84-121-0001"].text) == ("THIS LITTLE WORK", "")
    assert found["84-121-0000"].corpus == "librispeech/dev-other"


def test_a_part_of_a_librispeech_tree_knows_its_split(librispeech):
    assert {u.split for u in read_librispeech(librispeech / "train-clean-100" / "19")} == {"train"}


def test_a_folder_that_is_no_librispeech_tree_is_refused(tmp_path):
    with pytest.raises(StdSearchError, match="holds no utterance"):
        read_librispeech(tmp_path)
    with pytest.raises(StdSearchError, match="no such folder"):
        read_librispeech(tmp_path / "none")


# Kaldi data directories

KALDI = {
    "wav.scp": "call audio/call.wav\nsolo audio/solo.wav\n",
    "segments": "u1 call 1.5 2.25\nu2 call 3 -1\n",
    "text": "u1 hello there\nu2 bye\nsolo\n",
    "utt2spk": "u1 anna\nu2 bo\nsolo cy\n",
    "reco2file_and_channel": "call call B\n",
}


def test_a_kaldi_directory(tmp_path):
    u1, u2, solo = read_kaldi(write_files(tmp_path, KALDI), audio_root=Path("/data"))
    assert (u1.utterance, u1.speaker, u1.text, u1.tbeg, u1.dur) == ("u1", "anna", "hello there", 1.5, 0.75)
    assert (u1.audio, u1.channel) == (Path("/data/audio/call.wav"), 2)
    assert (u2.tbeg, u2.dur) == (3.0, None)
    assert (solo.tbeg, solo.dur, solo.channel, solo.text) == (0.0, None, 1, "")
    assert u2.place == f"{tmp_path / 'text'}:2"


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("wav.scp", "call sph2pipe -p call.sph |\n", "wav.scp:1: call is a command"),
        ("wav.scp", "call call.wav\n", "text:3: solo has no audio"),
        ("wav.scp", "call a.wav\ncall b.wav\n", "wav.scp:2: call is also at"),
        ("utt2spk", "u1 anna\n", "text:2: u2 has no speaker"),
        ("segments", "u1 call 2 1\n", "segments:1: the segment ends before it begins"),
        ("segments", "u1 call 2\n", "segments:1: a segment is"),
        ("segments", "u1 call 2 nan\n", "segments:1: the segment ends before it begins"),
        ("segments", "u1 call -2 1\nu2 call 0 1\n", "-2 s + 3.0 s is no stretch"),
        ("reco2file_and_channel", "call call C\n", "reco2file_and_channel:1: channel 'C' is unknown"),
        ("reco2file_and_channel", "call\tcall\tD\n", "reco2file_and_channel:1: channel 'D' is unknown"),
        ("reco2file_and_channel", "call\n", "reco2file_and_channel:1: channel '' is unknown"),
        ("utt2spk", "u1\nu2 bo\nsolo cleo\n", "text:1: u1 has no speaker"),
        ("text", "", "holds no utterance"),
    ],
)
def test_a_bad_kaldi_directory_is_refused_in_one_line(tmp_path, name, content, complaint):
    with pytest.raises(StdSearchError) as error:
        read_kaldi(write_files(tmp_path, KALDI | {name: content}))
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_a_kaldi_directory_without_its_files_is_refused(tmp_path):
    with pytest.raises(StdSearchError, match=r"wav\.scp: cannot be read"):
        read_kaldi(tmp_path)


# Splits


def source(utterance: str, speaker: str, split: str = "") -> SourceUtterance:
    return SourceUtterance(utterance, split, "", speaker, Path("a.wav"), 1, 0.0, None, "hi", "t.tsv:1")


def test_speakers_are_held_out_whole_and_whatever_their_order():
    sources = [source(f"u{n}", f"speaker{n % 10}") for n in range(40)]
    split = {u.utterance: u.split for u in assign_splits(sources, hold_out={"dev": 0.2, "test": 0.01})}
    of_speaker = {u.speaker: split[u.utterance] for u in sources}
    assert sorted(of_speaker.values()) == ["dev"] * 2 + ["test"] + ["train"] * 7
    assert all(split[u.utterance] == of_speaker[u.speaker] for u in sources)
    backwards = assign_splits(reversed(sources), hold_out={"dev": 0.2, "test": 0.01})
    assert {u.utterance: u.split for u in backwards} == split


def test_a_split_that_is_given_stays():
    assert [u.split for u in assign_splits([source("u1", "anna", "test"), source("u2", "bo")], default="dev")] == [
        "test",
        "dev",
    ]


def test_holding_out_everyone_is_refused():
    with pytest.raises(StdSearchError, match="too few to hold out"):
        assign_splits([source("u1", "anna")], hold_out={"dev": 0.1})
    with pytest.raises(StdSearchError, match="every utterance has a split already"):
        assign_splits([source("u1", "anna", "test")], hold_out={"dev": 0.1})
