"""Pronunciations of words and phrases, from the first source that knows them.

A word is looked up in the user's lexicon, then in the dictionary; an unknown one is derived by rule from known ones,
or else predicted by the network of g2p_en.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.pronounce.g2p import LetterToSound
from stdsearch.pronounce.lexicon import Dictionary, Pronunciation, parse_phones, read_lexicon, spelling
from stdsearch.pronounce.morphology import compound, derive, with_s
from stdsearch.pronounce.normalise import Slot, normalise

_PHONES = re.compile(r"/(.*)/", re.DOTALL)


class Pronouncer:
    """Pronounces English text; lexicon is a user's own file of words and phones, which comes before the dictionary.

    What it needs is read when it is first needed: the dictionary in 0.1 s, the predictor in 0.02 s.
    """

    def __init__(self, lexicon: Path | str | None = None) -> None:
        self._lexicon = {} if lexicon is None else read_lexicon(Path(lexicon))

    def pronounce(self, text: str, *, limit: int = 8) -> list[Pronunciation]:
        """All pronunciations of a word, of a phrase, or of phones between slashes; best first, at most limit.

        A phrase has every combination of its words' pronunciations, in the order of the sum of their ranks.
        Raises StdSearchError if the text is empty or holds a character that cannot be said.

        >>> Pronouncer().pronounce("read 2")
        [('R', 'EH', 'D', 'T', 'UW'), ('R', 'IY', 'D', 'T', 'UW')]
        >>> Pronouncer().pronounce("/S T AA1 R/")
        [('S', 'T', 'AA', 'R')]
        """
        if not text.strip():
            raise StdSearchError("the term is empty; give a word, a phrase, or phones, as in /S T AA R/")
        if given := _PHONES.fullmatch(text.strip()):
            return [_given_phones(text, given[1])]
        if "/" in (text.strip()[0], text.strip()[-1]):
            raise StdSearchError(f"{in_a_line(text)}: phones go between two slashes, as in /S T AA R/")
        slots = normalise(text, self.in_dictionary, lambda word: spelling(word) in self._lexicon)
        if not slots:
            raise StdSearchError(
                f"{in_a_line(text)}: holds no word; give a word, a phrase, or phones, as in /S T AA R/"
            )
        return _combine((self._slot(slot, limit) for slot in slots), limit)

    def in_dictionary(self, word: str) -> bool:
        """Whether the user's lexicon or the dictionary has a word, in any case."""
        word = spelling(word)
        return word in self._lexicon or word in self._dictionary

    def _slot(self, slot: Slot, limit: int) -> list[Pronunciation]:
        """Pronunciations of every reading of a slot: all of the first reading, then all of the second."""
        readings = (_combine(map(self._word, reading), limit) for reading in slot)
        return list(dict.fromkeys(pronunciation for reading in readings for pronunciation in reading))

    def _word(self, word: str) -> list[Pronunciation]:
        if found := self._known(word):
            return found
        if word.endswith("'s"):
            return [with_s(pronunciation) for pronunciation in self._word(word[:-2])]
        return derive(word, self._known) or [*compound(word, self._known), *self._letter_to_sound.predict(word)]

    def _known(self, word: str) -> list[Pronunciation]:
        return self._lexicon.get(word) or self._dictionary.pronunciations(word)

    @cached_property
    def _dictionary(self) -> Dictionary:
        return Dictionary()

    @cached_property
    def _letter_to_sound(self) -> LetterToSound:
        return LetterToSound()


def _combine(parts: Iterable[list[Pronunciation]], limit: int) -> list[Pronunciation]:
    """The limit best concatenations of one pronunciation of each part; the smaller the sum of ranks, the better."""
    best: dict[Pronunciation, int] = {(): 0}
    for part in parts:
        longer: dict[Pronunciation, int] = {}
        for rank, after in enumerate(part):
            for before, cost in best.items():
                longer[before + after] = min(cost + rank, longer.get(before + after, cost + rank))
        best = dict(sorted(longer.items(), key=lambda item: item[1])[:limit])
    return list(best)


def _given_phones(text: str, phones: str) -> Pronunciation:
    try:
        given = parse_phones(phones.split())
    except ValueError as error:
        raise StdSearchError(f"{in_a_line(text)}: {error}; `stdsearch pronounce --help` lists all 39") from error
    if not given:
        raise StdSearchError(f"{in_a_line(text)}: holds no phone; write them between the slashes, as in /S T AA R/")
    return given
