import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONES
from stdsearch.pronounce import Pronouncer
from stdsearch.pronounce.g2p import LetterToSound
from stdsearch.pronounce.lexicon import Dictionary
from stdsearch.pronounce.morphology import compound, derive
from stdsearch.pronounce.normalise import normalise

# What g2p_en 2.1.0 itself predicts (G2p.predict, stress removed).
PREDICTED_BY_G2P_EN = {
    "activationist": "AE K T IH V EY SH AH N IH S T",
    "blockchain": "B L AA K HH EY N",
    "kubernetes": "K AH B ER N AH T S",
    "xylophonically": "Z AY L AH F AH N S AY K AH N",
    "zxqwv": "Z K AA V K S",
    "o'zorb": "OW Z AO R B",
    "a": "AA",
    "pneumonoultramicroscopicsilicovolcanoconiosis": "N IY M OW JH AE N K OW S EH R AH L AH N EY S IY OW",
    "brexit": "B R EH K S IH T",
    "covid": "K OW V IH D",
    "tchaikovskian": "CH EY K AH V IH K S K AH N",
    "queueing": "K W EY IH NG",
}


@pytest.fixture(scope="module")
def pronouncer() -> Pronouncer:
    return Pronouncer()


def first(pronouncer: Pronouncer, text: str) -> str:
    return " ".join(pronouncer.pronounce(text)[0])


def said(pronouncer: Pronouncer, text: str) -> str:
    """The words of the likeliest reading."""
    return " ".join(word for slot in normalise(text, pronouncer.in_dictionary) for word in slot[0])


@pytest.mark.parametrize(("word", "phones"), PREDICTED_BY_G2P_EN.items())
def test_greedy_search_equals_g2p_en(word: str, phones: str) -> None:
    assert LetterToSound().predict(word, width=1) == [tuple(phones.split())]


def test_beam_finds_what_greedy_search_misses() -> None:
    blockchains = LetterToSound().predict("blockchain")
    assert ("B", "L", "AA", "K", "CH", "EY", "N") in blockchains
    assert len(set(blockchains)) == len(blockchains)


def test_dictionary_keeps_all_pronunciations_and_uses_no_other_phones(pronouncer: Pronouncer) -> None:
    assert pronouncer.pronounce("Read") == [("R", "EH", "D"), ("R", "IY", "D")]
    assert pronouncer.in_dictionary("Read")
    assert not pronouncer.in_dictionary("read(2)")
    assert not pronouncer.in_dictionary("kubernetes")
    dictionary = Dictionary()
    words = ["either", "tomato", "a", "zebra", "don't", "x-ray"]
    assert {phone for word in words for said in dictionary.pronunciations(word) for phone in said} <= set(PHONES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1985", "nineteen eighty five"),
        ("in 2005", "in two thousand five"),
        ("1,250,000", "one million two hundred fifty thousand"),
        ("007", "zero zero seven"),
        ("the 21st century", "the twenty first century"),
        ("112th", "one hundred twelfth"),
        ("3.5", "three point five"),
        ("the 1980s", "the nineteen eighties"),
        ("'80s", "eighties"),
        ("$3.50", "three dollars fifty cents"),
        ("£1", "one pound"),
        ("$5 million", "five million dollars"),
        ("50%", "fifty percent"),
        ("-5 °C", "minus five degrees c"),
        ("3:30", "three thirty"),
        ("5:00", "five o'clock"),
        ("R&D", "r and d"),
        ("C++", "c plus plus"),
        ("Dr. Smith", "doctor smith"),
        ("Elm Dr.", "elm drive"),
        ("St. John", "saint john"),
        ("High St.", "high street"),
        ("Prof. Brown", "professor brown"),
        ("the gov", "the gov"),
        ("F.B.I.", "f. b. i."),
        ("J. Smith", "j. smith"),
        ("NASA", "nasa"),
        ("MPs", "m. p.'s"),
        ("XKCD", "x. k. c. d."),
        ("ZORBA THE GREEK", "zorba the greek"),
        ("xkcd5", "x. k. c. d. five"),
        ("café — naïve…", "cafe naive"),
        ("hello™ world", "hello world"),
        ("Ærø", "aero"),
        ("'hello'", "hello"),
        ("’tis", "'tis"),
        ("rock ’n’ roll", "rock 'n roll"),
        ("x-ray", "x-ray"),
        ("co-operate", "cooperate"),
        ("man-at-arms", "man at arms"),
        ("and/or (maybe)", "and or maybe"),
    ],
)
def test_text_is_read_as_it_is_said(pronouncer: Pronouncer, text: str, words: str) -> None:
    assert said(pronouncer, text) == words


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("don't", "D OW N T"),
        ("dogs'", "D AO G Z"),
        ("kubernetes's", "K AH B ER N AH T S IH Z"),
        ("F.B.I.", "EH F B IY AY"),
        ("bookcases", "B UH K K EY S IH Z"),
        ("unsinkable", "AH N S IH NG K AH B AH L"),
        ("tortoiseshell", "T AO R T AH S SH EH L"),
    ],
)
def test_words_are_pronounced(pronouncer: Pronouncer, text: str, phones: str) -> None:
    assert first(pronouncer, text) == phones


def test_an_acronym_that_is_also_a_word_is_both(pronouncer: Pronouncer) -> None:
    assert pronouncer.pronounce("IT") == [("IH", "T"), ("AY", "T", "IY")]
    assert pronouncer.pronounce("it") == [("IH", "T")]
    assert len(pronouncer.pronounce("SAY IT")) == 1


def test_phrase_has_every_combination_best_first_up_to_the_limit(pronouncer: Pronouncer) -> None:
    assert [" ".join(said) for said in pronouncer.pronounce("read either")] == [
        "R EH D IY DH ER",
        "R IY D IY DH ER",
        "R EH D AY DH ER",
        "R IY D AY DH ER",
    ]
    assert pronouncer.pronounce("read either", limit=2) == pronouncer.pronounce("read either")[:2]
    assert len(pronouncer.pronounce("read either tomato route record 1985 105")) == 8


def test_phones_are_taken_as_they_are(pronouncer: Pronouncer) -> None:
    assert pronouncer.pronounce(" /s T AA1 R/ ") == [("S", "T", "AA", "R")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the term is empty"),
        ("  \n", "the term is empty"),
        ("?!…", "holds no word"),
        ("star 漢字", "'漢' cannot be pronounced"),
        ("😀", "'😀' cannot be pronounced"),
        ("½", "'½' cannot be pronounced"),
        ("/S T QQ/", "'QQ' is no ARPAbet phone"),
        ("/SIL/", "'SIL' is no ARPAbet phone"),
        ("//", "holds no phone"),
        ("/S T AA R", "phones go between two slashes"),
        ("S T AA R/ ", "phones go between two slashes"),
        ("/", "phones go between two slashes"),
    ],
)
def test_what_cannot_be_pronounced_is_refused_by_name(pronouncer: Pronouncer, text: str, complaint: str) -> None:
    with pytest.raises(StdSearchError, match=complaint) as caught:
        pronouncer.pronounce(text)
    assert "\n" not in str(caught.value)


LEXICON = """;;; a user's words
# and another comment
Zorba Z AO1 R B AH0   # the Greek
zorba(2) Z OW R B AH
read R EH D
漢字 K AA N JH IY
4x4 F AO R B AY F AO R
zorba Z AO R B AA
st EH S T IY
"""


def test_users_lexicon_comes_before_the_dictionary(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text(LEXICON, encoding="utf-8")
    pronouncer = Pronouncer(tmp_path / "lexicon.txt")
    assert [" ".join(said) for said in pronouncer.pronounce("ZORBA's")] == [
        "Z AO R B AH Z",
        "Z OW R B AH Z",
        "Z AO R B AA Z",
    ]
    assert pronouncer.pronounce("read") == [("R", "EH", "D")]
    assert first(pronouncer, "the 漢字!") == "DH AH K AA N JH IY"
    assert first(pronouncer, "a 4x4") == "AH F AO R B AY F AO R"
    assert pronouncer.in_dictionary("zorba")
    assert [" ".join(said) for said in pronouncer.pronounce("St")][:2] == ["EH S T IY", "S EY N T"]


@pytest.mark.parametrize("text", ["WNC", "NGH", "nk", "WNC's", "radio WNC", "qnp"])
def test_every_word_has_a_sound(pronouncer: Pronouncer, text: str) -> None:
    """Of some letters the end is the likeliest to come first."""
    alone = pronouncer.pronounce("radio") if " " in text else [()]
    said = pronouncer.pronounce(text)
    assert said
    assert not set(said) & set(alone)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"star S T AA R\nzorba Z AO R B QQ\n", ":2: 'QQ' is no ARPAbet phone"),
        (b"star\n", ":1: 'star' has no phones"),
        (b"\xff\xfe\x00", "is no UTF-8 text"),
        (None, "cannot be read"),
    ],
)
def test_broken_lexicon_is_refused_by_file_and_line(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "lexicon.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StdSearchError, match=complaint) as caught:
        Pronouncer(path)
    assert str(caught.value).startswith(str(path))


TOY = {
    word: [tuple(phones.split())]
    for word, phones in {
        "run": "R AH N", "move": "M UW V", "carry": "K EH R IY", "box": "B AA K S", "happy": "HH AE P IY",
        "final": "F AY N AH L", "black": "B L AE K", "board": "B AO R D", "want": "W AA N T", "fuss": "F AH S",
    }.items()
}  # fmt: skip


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("running", "R AH N IH NG"),
        ("moving", "M UW V IH NG"),
        ("moved", "M UW V D"),
        ("carried", "K EH R IY D"),
        ("carries", "K EH R IY Z"),
        ("boxes", "B AA K S IH Z"),
        ("boxed", "B AA K S T"),
        ("wanted", "W AA N T IH D"),
        ("fussing", "F AH S IH NG"),
        ("finally", "F AY N AH L IY"),
        ("happiness", "HH AE P IY N AH S"),
        ("unhappily", "AH N HH AE P IY L IY"),
        ("zorba", ""),
        ("bus", ""),
    ],
)
def test_inflected_words_are_derived_by_rule(word: str, phones: str) -> None:
    expected = [tuple(phones.split())] if phones else []
    assert derive(word, lambda known: TOY.get(known, [])) == expected


def test_compounds_are_split_into_known_words() -> None:
    assert compound("blackboard", lambda word: TOY.get(word, [])) == [tuple(["B", "L", "AE", "K", "B", "AO", "R", "D"])]
    assert compound("blackbird", lambda word: TOY.get(word, [])) == []


@given(st.text(alphabet=st.characters(max_codepoint=0x24F), max_size=20))
@settings(max_examples=50)
def test_any_text_is_pronounced_in_known_phones_or_refused(text: str) -> None:
    try:
        pronunciations = Pronouncer().pronounce(text)
    except StdSearchError:
        return
    assert 1 <= len(pronunciations) == len(set(pronunciations)) <= 8
    assert all(said and set(said) <= set(PHONES) for said in pronunciations)


def test_neither_nltk_nor_anything_heavy_is_imported() -> None:
    script = (
        "import sys; from stdsearch.pronounce import Pronouncer; Pronouncer().pronounce('kubernetes zebra');"
        "print({'nltk', 'g2p_en', 'inflect', 'pocketsphinx', 'torch', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize("form", ["{}", "{}th", "${}", "{}s", "1.{}", "{}.5", "0{}"])
def test_digits_beyond_all_numbers_are_said_one_by_one(form: str) -> None:
    for n in (16, 5000):
        (phones, *_) = Pronouncer().pronounce(form.format("7" * n))
        assert " ".join(phones).count("S EH V AH N") == n


@pytest.mark.parametrize("text", ["/S\nQQ/", "/\n/", "sun\n\x1b[2J日", "!\n?"])
def test_what_cannot_be_said_is_told_in_a_line(text: str) -> None:
    with pytest.raises(StdSearchError) as told:
        Pronouncer().pronounce(text)
    assert str(told.value).isprintable()
