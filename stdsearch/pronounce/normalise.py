"""Text as it is said: numbers, amounts, abbreviations, acronyms and accents turned into words of a lexicon.

A text becomes slots, one after the other in speech; a slot lists its readings, the likeliest first; a reading is a
tuple of words in lower case. A letter that is said by its name is the word `x.`, as in CMUdict.
"""

import re
import unicodedata
from collections.abc import Callable

from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.pronounce import numbers
from stdsearch.pronounce.lexicon import spelling
from stdsearch.pronounce.numbers import Reading

Slot = list[Reading]
InDictionary = Callable[[str], bool]

_SILENT = '\t\r\n ,;:!?"()[]{}<>/\\|_*~^`´¿¡…–—“”„«»•©®™'
_REPLACED = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "‐": "-", "‑": "-", "−": "-", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l"}
    | {"đ": "d", "ð": "th", "þ": "th", "ı": "i", "Æ": "Ae", "Œ": "Oe", "Ø": "O", "Ł": "L", "Đ": "D", "Þ": "Th"}
)
_SYMBOLS = {
    "&": "and",
    "+": "plus",
    "-": "minus",
    ".": "dot",
    "%": "percent",
    "@": "at",
    "=": "equals",
    "°": "degrees",
    "#": "number",
    "$": "dollar",
    "£": "pound",
    "€": "euro",
}
_ALWAYS_EXPANDED = {"dr": ("doctor", "drive"), "st": ("saint", "street"), "vs": ("versus",)}
_EXPANDED = {  # before a point, or where the dictionary does not have the word
    "approx": "approximately", "aug": "august", "ave": "avenue", "bros": "brothers", "capt": "captain",
    "co": "company", "col": "colonel", "corp": "corporation", "dec": "december", "dept": "department",
    "esq": "esquire", "feb": "february", "fr": "father", "gen": "general", "gov": "governor", "hon": "honorable",
    "inc": "incorporated", "jan": "january", "lt": "lieutenant", "ltd": "limited", "mt": "mount", "nov": "november",
    "oct": "october", "prof": "professor", "rd": "road", "rep": "representative", "rev": "reverend", "sen": "senator",
    "sept": "september",
}  # fmt: skip
_WHOLE = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_TOKEN = re.compile(
    rf"""
      (?P<sign>[$£€])\ ?(?P<amount>{_WHOLE})(?:\.(?P<part>\d+))?(?:\ (?P<scale>thousand|million|billion|trillion)\b)?
    | (?P<hours>\d{{1,2}}):(?P<minutes>[0-5]\d)\b
    | (?P<rank>{_WHOLE})(?:st|nd|rd|th)\b
    | '?(?P<decade>{_WHOLE})'?s\b
    | (?P<whole>{_WHOLE})?\.(?P<fraction>\d+)
    | (?P<number>{_WHOLE})
    | (?P<initials>[a-z](?:\.[a-z])+\b)\.?(?P<possessive>'?s\b)?
    | (?P<word>'?[a-z]+(?:'[a-z]+)*'?)(?P<point>\.(?![a-z]))?
    | (?P<symbol>[&+%@=°\#$£€]|(?<!\S)-(?=[\d.])|(?<=[a-z])\.(?=[a-z]))
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CAPITALS = re.compile(r"([A-Z]{2,5})('?s)?")
_CONSONANTS = re.compile(r"([b-df-hj-np-tv-xz]{2,5})('s)?")
_PLAIN_WORD = re.compile(r"[a-z']|[a-z']{2,}\.?")


def normalise(text: str, in_dictionary: InDictionary, in_lexicon: InDictionary = lambda word: False) -> list[Slot]:
    """The slots of a text; empty if it holds nothing that is said.

    A word with other signs than letters that in_dictionary knows as it stands (`x-ray`, `4x4`, one in another script)
    is left as it is; one that in_lexicon, the user's, knows is first of all itself, and no abbreviation. Raises
    StdSearchError naming a character that cannot be said.

    >>> normalise("Dr. Café's 21st", {"cafe's"}.__contains__)
    [[('doctor',), ('drive',)], [("cafe's",)], [('twenty', 'first')]]
    >>> normalise("the NASA X", {"nasa", "the", "x"}.__contains__)
    [[('the',)], [('nasa',)], [('x',)]]
    """
    is_shouted = text.isupper() and len(text.split()) > 1
    slots: list[Slot] = []
    between: list[str] = []
    for chunk in text.split():
        whole = _known_whole(chunk, in_dictionary)
        if whole is None:
            between.append(chunk)
        else:
            slots += [*_slots(" ".join(between), in_dictionary, in_lexicon, is_shouted), [(whole,)]]
            between = []
    return slots + _slots(" ".join(between), in_dictionary, in_lexicon, is_shouted)


def _known_whole(chunk: str, in_dictionary: InDictionary) -> str | None:
    """A chunk of text as a word of the dictionary, if it is more than letters; a hyphen may be left out."""
    bare = spelling(chunk).strip(_SILENT)
    for word in (bare, bare.strip(".'"), bare.strip(".'").replace("-", "")):
        if word and not _PLAIN_WORD.fullmatch(bare) and in_dictionary(word):
            return word
    return None


def _slots(text: str, in_dictionary: InDictionary, in_lexicon: InDictionary, is_shouted: bool) -> list[Slot]:
    tokens = list(_TOKEN.finditer(_latin(text)))
    slots = []
    for index, token in enumerate(tokens):
        if token["word"]:
            ends_text = 0 < index == len(tokens) - 1
            slot = _word(token["word"], bool(token["point"]), ends_text, in_dictionary, is_shouted)
            own = _without_quotes(token["word"].lower(), in_dictionary)
            slots.append([(own,), *(other for other in slot if other != (own,))] if in_lexicon(own) else slot)
        elif token["initials"]:
            slots.append([spelt(token["initials"].replace(".", ""), with_s=bool(token["possessive"]))])
        elif token["symbol"]:
            slots.append([(_SYMBOLS[token["symbol"]],)])
        else:
            slots.append(_number(token))
    return slots


def _latin(text: str) -> str:
    """Text in ASCII letters, digits, the signs that are said or belong to numbers and words, and silent ones."""
    pieces = []
    for character in text:
        decomposed = unicodedata.normalize("NFKD", character.translate(_REPLACED))
        plain = "".join(sign for sign in decomposed if unicodedata.category(sign) not in {"Mn", "Cf"})
        if character not in _SILENT and not all(_is_readable(sign) for sign in plain):
            raise StdSearchError(
                f"{in_a_line(text)}: {character!r} cannot be pronounced; write it in Latin letters, add the word to a "
                "lexicon, or give its phones, as in /S T AA R/"
            )
        is_letters = character in _SILENT and len(plain) > 1  # TM
        pieces.append(" " if is_letters else plain)
    return "".join(pieces)


def _is_readable(sign: str) -> bool:
    return (sign.isascii() and sign.isalnum()) or sign in " '" or sign in _SYMBOLS


def _number(token: re.Match[str]) -> Slot:
    group = {name: (digits or "").replace(",", "") for name, digits in token.groupdict().items()}
    if group["sign"]:
        return numbers.money(group["sign"], group["amount"], group["part"], group["scale"].lower())
    if group["hours"]:
        return numbers.clock(group["hours"], group["minutes"])
    if group["rank"]:
        return [numbers.ordinal(group["rank"])]
    if group["decade"]:
        return numbers.decade(group["decade"])
    if group["fraction"]:
        return numbers.decimal(group["whole"], group["fraction"])
    return numbers.whole_number(group["number"])


def _word(raw: str, before_point: bool, ends_text: bool, in_dictionary: InDictionary, is_shouted: bool) -> Slot:
    """Readings of a word of letters and apostrophes, its case as written."""
    word = _without_quotes(raw.lower(), in_dictionary)
    is_known = in_dictionary(word)
    if word in _ALWAYS_EXPANDED:
        readings: Slot = [(expanded,) for expanded in _ALWAYS_EXPANDED[word]]
        return readings[::-1] if ends_text else readings  # St. John, but High St.
    if word in _EXPANDED and (before_point or not is_known):
        return [(_EXPANDED[word],), *([(word,)] if is_known else [])]
    acronym = _CAPITALS.fullmatch(raw) if not is_shouted else None
    if acronym is None and not is_known:
        acronym = _CONSONANTS.fullmatch(word)
    if acronym is None:
        return [(word,)]
    name, ending = acronym.groups()
    spelt_out = spelt(name, with_s=bool(ending))
    if is_known or (ending == "'s" and in_dictionary(name.lower())):
        return [(word,), spelt_out] if len(name) <= 3 else [(word,)]
    return [spelt_out, (word,)]


def _without_quotes(word: str, in_dictionary: InDictionary) -> str:
    """A word whose outer apostrophes are its own ('tis), or else are taken for quotation marks; dogs' is dogs."""
    forms = (word, word.removesuffix("'"), word.removeprefix("'"), word.strip("'"))
    return next((form for form in forms if in_dictionary(form)), word.strip("'"))


def spelt(word: str, *, with_s: bool = False) -> Reading:
    """The letters of a word, said by their names; with the s of a plural or possessive on the last.

    >>> spelt("FBI"), spelt("mp", with_s=True)
    (('f.', 'b.', 'i.'), ('m.', "p.'s"))
    """
    letters = [f"{letter}." for letter in word.lower()]
    return (*letters[:-1], letters[-1] + "'s") if with_s else tuple(letters)
