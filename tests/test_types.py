from pathlib import Path

import pytest

from stdsearch.cli.text import clock
from stdsearch.errors import StdSearchError
from stdsearch.types import Spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("a.wav", Spoken(Path("a.wav"))),
        ("a.wav@1.5-2", Spoken(Path("a.wav"), 1.5, 2.0)),
        ("a.wav@.5-2@2", Spoken(Path("a.wav"), 0.5, 2.0, 2)),
        ("a.wav@2", Spoken(Path("a.wav"), channel=2)),
        ("a.wav@0:45.80-0:46.25", Spoken(Path("a.wav"), 45.8, 46.25)),
        ("a.wav@59:59.5-1:00:00.5@1", Spoken(Path("a.wav"), 3599.5, 3600.5, 1)),
        ("a-1:2.wav@1-2", Spoken(Path("a-1:2.wav"), 1.0, 2.0)),
    ],
)
def test_what_an_example_says(text: str, spoken: Spoken) -> None:
    assert Spoken.parse(text) == spoken


@pytest.mark.parametrize("seconds", [0.0, 45.8, 75.55, 3725.0, 360000.01])
def test_times_are_read_as_they_are_shown(seconds: float) -> None:
    assert Spoken.parse(f"a.wav@{clock(seconds)}-{clock(seconds + 1)}") == Spoken(Path("a.wav"), seconds, seconds + 1)


@pytest.mark.parametrize("name", ["me@home.wav", "a.wav@1-2", "a.wav@2"])
def test_a_file_whose_own_name_holds_an_at(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert Spoken.parse(str(tmp_path / name)) == Spoken(tmp_path / name)
    assert Spoken.parse(f"{tmp_path / name}@3-4@1") == Spoken(tmp_path / name, 3.0, 4.0, 1)


@pytest.mark.parametrize(
    "text", ["a.wav@", "a.wav@later", "a.wav@1-2-3", "a.wav@-1-2", "a.wav@2@1-2", "a.wav@1:2:3:4-5", "@1-2"]
)
def test_what_is_no_example_is_told(text: str) -> None:
    with pytest.raises(StdSearchError, match="after FILE go @TBEG-TEND and @CHANNEL, as in"):
        Spoken.parse(text)
