from pathlib import Path

import pytest

from stdsearch.errors import StdSearchError
from stdsearch.formats.examples import read_examples
from stdsearch.types import Spoken

HEAD = "kwid\taudio\ttbeg\tdur\tterm\n"


def test_rows_of_a_kwid_are_examples_of_one_term(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    table = tmp_path / "examples.tsv"
    table.write_text(f"{HEAD}KW-2\ta.wav\t1.5\t0.25\tstar\nKW-1\ta.wav\t0\t1\teve\nKW-2\ta.wav\t2\t0.5\tstar\n")
    path = tmp_path / "a.wav"
    assert read_examples(table) == {
        "KW-2": (Spoken(path, 1.5, 1.75), Spoken(path, 2.0, 2.5)),
        "KW-1": (Spoken(path, 0.0, 1.0),),
    }


def test_columns_stand_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    table = tmp_path / "examples.tsv"
    table.write_text("dur\tspeaker\tkwid\ttbeg\taudio\n1\ts\tKW-1\t2\ta.wav\n", encoding="utf-8-sig", newline="\r\n")
    assert read_examples(table) == {"KW-1": (Spoken(tmp_path / "a.wav", 2.0, 3.0),)}


def test_a_channel_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    table = tmp_path / "examples.tsv"
    table.write_text("kwid\taudio\tchannel\ttbeg\tdur\nK\ta.wav\t2\t0\t1\nK\ta.wav\t\t0\t1\n")
    assert [example.channel for example in read_examples(table)["K"]] == [2, None]


def test_audio_is_sought_beside_the_table_and_upwards(tmp_path: Path) -> None:
    (tmp_path / "task" / "dev").mkdir(parents=True)
    (tmp_path / "audio").mkdir()
    above, beside = tmp_path / "audio" / "a.wav", tmp_path / "task" / "dev" / "b.wav"
    above.touch()
    beside.touch()
    table = tmp_path / "task" / "dev" / "examples.tsv"
    table.write_text(f"{HEAD}K\taudio/a.wav\t0\t1\t\nK\tb.wav\t0\t1\t\nK\t{above}\t0\t1\t\n")
    assert [example.path for example in read_examples(table)["K"]] == [above, beside, above]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", ": holds no example"),
        (HEAD, ": holds no example"),
        ("kwid\taudio\nK\ta.wav\n", ":2: wants kwid, audio, tbeg and dur"),
        ("kwid,audio,tbeg,dur\nK,a.wav,0,1\n", ":2: wants kwid, audio, tbeg and dur"),
        (f"{HEAD}K\ta.wav\t0\t1\tx\nK\ta.wav\n", ":3: wants kwid, audio, tbeg and dur"),
        (f"{HEAD}K\ta.wav\tsoon\t1\tx\n", ":2: tbeg 'soon' is not a finite number"),
        (f"{HEAD}\ta.wav\t0\t1\tx\n", ":2: kwid '' is empty"),
        ("audio\ttbeg\tdur\tkwid\na.wav\t0\t1\n", ":2: kwid '' is empty"),
        (f"{HEAD}K\ta.wav\t-1\t1\tx\n", ":2: tbeg -1.0 and dur 1.0 are no span"),
        (f"{HEAD}K\ta.wav\t0\t0\tx\n", ":2: tbeg 0.0 and dur 0.0 are no span"),
        (f"{HEAD}K\ta.wav\tnan\t1\tx\n", ":2: tbeg 'nan' is not a finite number"),
        (f"{HEAD}K\ta.wav\t0\tinf\tx\n", ":2: dur 'inf' is not a finite number"),
        (f"{HEAD}K\tnowhere.wav\t0\t1\tx\n", ":2: nowhere.wav is neither beside the table nor"),
        ("kwid\taudio\ttbeg\tdur\tchannel\nK\ta.wav\t0\t1\tleft\n", ":2: channel 'left' is not a whole number"),
        ("x" * 200_000, ": is no table"),
    ],
)
def test_a_table_that_is_none_is_told(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "a.wav").touch()
    table = tmp_path / "examples.tsv"
    table.write_text(content)
    with pytest.raises(StdSearchError) as told:
        read_examples(table)
    assert str(told.value).startswith(f"{table}{complaint}")
    assert "\n" not in str(told.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="cannot be read"):
        read_examples(tmp_path / "nowhere.tsv")
    (tmp_path / "sound.tsv").write_bytes(b"RIFF\xff\xfe\x00\x80")
    with pytest.raises(StdSearchError, match=r"sound\.tsv:1: not UTF-8 text"):
        read_examples(tmp_path / "sound.tsv")
