"""Pronunciation lexicons in the form of CMUdict, without stress: a user's own, and the dictionary that is built in.

A line is a word and its phones; further pronunciations of a word follow on their own lines, as `word(2)` or as `word`
again; lines that begin with ;;; or # are comments.
"""

import importlib.util
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONES

Pronunciation = tuple[str, ...]

_VARIANT = re.compile(r"\(\d+\)$")
_STRESS = re.compile(r"[012]$")


def parse_phones(names: Sequence[str]) -> Pronunciation:
    """Phones without stress, from names that may be in lower case or carry a stress digit; ValueError names a bad one.

    >>> parse_phones(["s", "T", "AA1", "R"])
    ('S', 'T', 'AA', 'R')
    """
    phones = tuple(_STRESS.sub("", name.upper()) for name in names)
    for name, phone in zip(names, phones, strict=True):
        if phone not in PHONES:
            raise ValueError(f"{name!r} is no ARPAbet phone")
    return phones


def read_lexicon(path: Path) -> dict[str, list[Pronunciation]]:
    """The pronunciations of each word, in the order of the file; words in lower case."""
    lexicon: dict[str, list[Pronunciation]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise StdSearchError(f"{path}: cannot be read ({error.strerror}); check the path of the lexicon") from error
    except UnicodeDecodeError as error:
        raise StdSearchError(f"{path}: is no UTF-8 text; save the lexicon as UTF-8") from error
    for number, line in enumerate(lines, start=1):
        word, *names = line.partition(" #")[0].split() or ["#"]
        if word.startswith(("#", ";;;")):
            continue
        if not names:
            raise StdSearchError(f"{path}:{number}: {word!r} has no phones; write them after it, as in `star S T AA R`")
        try:
            phones = parse_phones(names)
        except ValueError as error:
            raise StdSearchError(f"{path}:{number}: {error}; `stdsearch pronounce --help` lists all 39") from error
        variants = lexicon.setdefault(spelling(_VARIANT.sub("", word)), [])
        if phones not in variants:
            variants.append(phones)
    return lexicon


def spelling(word: str) -> str:
    """A word as lexicons are keyed: lower case, accents composed, the apostrophe straight."""
    return unicodedata.normalize("NFC", word).lower().replace("’", "'")


class Dictionary:
    """The CMUdict of 130 000 words that the pocketsphinx package carries, found without importing pocketsphinx."""

    def __init__(self) -> None:
        self._phones = _dictionary_lines()

    def __contains__(self, word: str) -> bool:
        return word in self._phones and not word.endswith(")")  # word(2) is no word

    def pronunciations(self, word: str) -> list[Pronunciation]:
        """All pronunciations of a lower-case word; empty if it is unknown."""
        found = []
        key = word
        while (phones := self._phones.get(key)) is not None:
            found.append(tuple(phones.split()))
            key = f"{word}({len(found) + 1})"
        return found

    def all_pronunciations(self) -> list[Pronunciation]:
        """Every pronunciation of every word, in the dictionary's order."""
        return [tuple(phones.split()) for phones in self._phones.values()]


@cache
def _dictionary_lines() -> dict[str, str]:
    """Every line, split once: word or word(2) to phones. Splitting the phones waits for the look-up: 0.1 s in all."""
    spec = importlib.util.find_spec("pocketsphinx")
    if spec is None or not spec.submodule_search_locations:
        raise StdSearchError("pocketsphinx: is not installed; run pip install pocketsphinx")
    path = Path(spec.submodule_search_locations[0]) / "model" / "en-us" / "cmudict-en-us.dict"
    return dict(line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines())
