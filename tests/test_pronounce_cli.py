import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stdsearch.cli.pronounce import EXAMPLES, pronounce
from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONES
from stdsearch.pronounce import Pronouncer


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(pronounce, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_pipe_gets_a_term_and_phones_a_line() -> None:
    assert printed("read", "Z\tebra", "/s T AA1 R/") == (
        "read\t/R EH D/\nread\t/R IY D/\nZ\\tebra\t/Z IY EH B R AH/\n/s T AA1 R/\t/S T AA R/\n"
    )


def test_a_screen_gets_each_term_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    pronounce.main(["star", "read"], standalone_mode=False)
    assert capsys.readouterr().out == "star  /S T AA R/\nread  /R EH D/\n      /R IY D/\n"


def test_a_lexicon_comes_first(tmp_path: Path) -> None:
    (tmp_path / "own.dict").write_text("zorba Z AO R B AH\nzorba Z OW R B AH\n")
    said = json.loads(printed("zorba", "--lexicon", str(tmp_path / "own.dict"), "--json"))
    assert said == {"zorba": ["/Z AO R B AH/", "/Z OW R B AH/"]}


def test_what_is_printed_is_a_term_and_is_said_alike() -> None:
    (phones,) = json.loads(printed("star", "--json"))["star"]
    assert json.loads(printed(phones, "--json")) == {phones: [phones]}


def test_help_lists_every_phone_by_a_word_that_has_it() -> None:
    assert tuple(EXAMPLES) == PHONES
    text = printed("--help")
    for phone, word in EXAMPLES.items():
        assert f"{phone:2} {word}" in text
        assert phone in Pronouncer().pronounce(word)[0]


def test_what_is_no_phone_leads_to_the_list() -> None:
    result = CliRunner().invoke(pronounce, ["/S T QQ/"])
    assert isinstance(result.exception, StdSearchError)
    assert str(result.exception).endswith("'QQ' is no ARPAbet phone; `stdsearch pronounce --help` lists all 39")
