import pytest

from stdsearch.formats.kwlist import KWList
from stdsearch.formats.normalize import CharacterSplit, comparable
from stdsearch.formats.rttm import RTTMRow
from stdsearch.types import Term


def test_case():
    assert comparable("Émile ÉCOLE", "lowercase") == "émile école"
    assert comparable("Émile ÉCOLE", "") == "Émile ÉCOLE"


@pytest.mark.parametrize(
    ("text", "plain", "ascii_whole", "no_hyphens", "both"),
    [
        ("ab", "a b", "ab", "a b", "ab"),
        ("对症下", "对 症 下", "对 症 下", "对 症 下", "对 症 下"),
        ("abc对症c", "a b c 对 症 c", "abc 对 症 c", "a b c 对 症 c", "abc 对 症 c"),
        ("-a-b-", "- a - b -", "-a-b-", "a b", "a b"),
        ("对-症", "对 - 症", "对 - 症", "对 症", "对 症"),
        (" 对  ok go ", "对 o k g o", "对 ok go", "对 o k g o", "对 ok go"),
        ("--", "- -", "--", "", ""),
        ("", "", "", "", ""),
    ],
)
def test_splitting(text, plain, ascii_whole, no_hyphens, both):
    assert CharacterSplit().text(text) == plain
    assert CharacterSplit(whole_ascii_words=True).text(text) == ascii_whole
    assert CharacterSplit(delete_hyphens=True).text(text) == no_hyphens
    assert CharacterSplit(whole_ascii_words=True, delete_hyphens=True).text(text) == both


def test_kwlist():
    kwlist = KWList((Term("1", "对症", {"a": "b"}), Term("2", "ok")), "ecf.xml")
    assert CharacterSplit(whole_ascii_words=True).kwlist(kwlist) == KWList(
        (Term("1", "对 症", {"a": "b"}), Term("2", "ok")), "ecf.xml"
    )


def test_a_token_shares_its_time_out_among_its_characters():
    rows = [
        RTTMRow("SPEAKER", "f", 1, 0.0, 9.0, "<NA>", "<NA>", "Ann", None),
        RTTMRow("LEXEME", "f", 1, 1.0, 1.0, "对症下", "lex", "Ann", 0.5),
        RTTMRow("LEXEME", "f", 1, 2.0004, 0.7, "ok", "lex", "Ann", 0.5),
        RTTMRow("LEXEME", "f", 1, 3.0, 0.7, "-", "lex", "Ann", 0.5),
    ]
    split = CharacterSplit(whole_ascii_words=True, delete_hyphens=True).transcript(rows)
    assert split[0] == rows[0]
    assert [(row.ortho, row.tbeg, row.dur) for row in split[1:4]] == [
        ("对", 1.0, 0.333),
        ("症", 1.333, 0.333),
        ("下", 1.666, 0.333),
    ]
    assert split[4:] == [rows[2]]  # one token keeps its times, unrounded; the hyphen is gone
