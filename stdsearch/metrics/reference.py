"""Where each term is truly said: its occurrences in an RTTM, by the rules of NIST's F4DE 3.5.0.

- Only LEXEME rows count; a fragment (frag) or filled pause (fp) starts no occurrence and is stepped over within one.
- A term's first word is compared as the KWList's compareNormalize says (lowercase, or as written); its further words
  are always compared without regard to case, and are the next ones of the same recording, channel and speaker.
- Between two rows there may be at most `word_gap` seconds. Ends of rows are rounded to 0.1 ms, and so are gaps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stdsearch.formats.normalize import comparable
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics.coverage import Coverage

NOT_SPOKEN = ("frag", "fp")


@dataclass(frozen=True, slots=True)
class Words:
    """The LEXEME rows of the covered channels as columns of shape (n,), sorted by voice and begin.

    A voice is one speaker in one channel, numbered; channel numbers are the Coverage's. written and lowered number the
    words as they stand and in lower case. follower is the row of the next word of the same voice within the word gap,
    -1 if there is none.
    """

    voices: dict[tuple[int, str], int]
    voice: np.ndarray
    channel: np.ndarray
    tbeg: np.ndarray
    tend: np.ndarray
    spoken: np.ndarray
    written: np.ndarray
    lowered: np.ndarray
    follower: np.ndarray
    vocabulary: dict[str, int]


def spoken_words(rows: Iterable[RTTMRow], coverage: Coverage, *, word_gap: float) -> Words:
    """The words of the RTTM in the channels that the ECF covers, linked to the words that follow them."""
    voices: dict[tuple[int, str], int] = {}
    vocabulary: dict[str, int] = {}
    table = [
        (
            voices.setdefault((channel, row.name), len(voices)),
            channel,
            row.tbeg,
            row.dur,
            row.stype not in NOT_SPOKEN,
            vocabulary.setdefault(row.ortho, len(vocabulary)),
            vocabulary.setdefault(row.ortho.lower(), len(vocabulary)),
        )
        for row in rows
        if row.type == "LEXEME"
        and (channel := coverage.channels.get((row.file, row.channel), -1)) >= 0
        and row.tbeg is not None
        and row.dur is not None
    ]
    columns = [np.array(column) for column in zip(*table, strict=True)] or [np.empty(0, np.int64)] * 7
    order = np.lexsort((columns[2], columns[0]))
    voice, channel_number, tbeg, dur, spoken, written, lowered = (column[order] for column in columns)
    tend = np.round(tbeg + dur, 4)
    spoken = spoken.astype(np.bool_)
    return Words(
        voices=voices,
        voice=voice,
        channel=channel_number,
        tbeg=tbeg,
        tend=tend,
        spoken=spoken,
        written=written,
        lowered=lowered,
        follower=_followers(voice, tbeg, tend, spoken, word_gap),
        vocabulary=vocabulary,
    )


def _followers(
    voice: np.ndarray, tbeg: np.ndarray, tend: np.ndarray, spoken: np.ndarray, word_gap: float
) -> np.ndarray:
    """The row of the spoken word that follows each row, stepping over rows that are not spoken words."""
    near = np.zeros(len(voice), dtype=np.bool_)
    near[:-1] = (voice[1:] == voice[:-1]) & (np.round(tbeg[1:] - tend[:-1], 4) <= word_gap)
    step = np.where(near, np.arange(1, len(voice) + 1), -1)
    follower = step.copy()
    while len(unspoken := np.flatnonzero((follower >= 0) & ~spoken[follower])):
        follower[unspoken] = step[follower[unspoken]]
    return follower


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Where the terms are said: term numbers, and the rows of their first and last words, each of shape (n,)."""

    term: np.ndarray
    first: np.ndarray
    last: np.ndarray


def find_occurrences(words: Words, texts: Sequence[str], *, compare_normalize: str) -> Occurrences:
    """Every occurrence of every text (words parted by white space), in the order of the texts.

    compare_normalize is the KWList's.
    """
    spelling = words.lowered if compare_normalize == "lowercase" else words.written
    spelling = np.where(words.spoken, spelling, -1)
    by_spelling = np.argsort(spelling, kind="stable")
    first_of = np.searchsorted(spelling[by_spelling], np.arange(len(words.vocabulary) + 1))
    nowhere = np.empty(0, dtype=np.int64)

    terms, firsts, lasts = [nowhere], [nowhere], [nowhere]
    for term, text in enumerate(texts):
        word, *further = comparable(text, compare_normalize).split() or [""]
        number = words.vocabulary.get(word)
        first = last = nowhere if number is None else by_spelling[first_of[number] : first_of[number + 1]]
        for word in further:
            following = words.follower[last]
            said = (following >= 0) & (words.lowered[following] == words.vocabulary.get(word.lower(), -1))
            first, last = first[said], following[said]
        terms.append(np.full(len(first), term))
        firsts.append(first)
        lasts.append(last)
    return Occurrences(np.concatenate(terms), np.concatenate(firsts), np.concatenate(lasts))
