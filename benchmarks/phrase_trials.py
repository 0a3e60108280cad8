"""Trials of phrases as in LibriPhrase: whether a clip says the phrase that was enrolled.

Source: Shin et al., "Learning audio-text agreement for open-vocabulary keyword spotting", Interspeech 2022, and its
script (github.com/gusrud1103/LibriPhrase). A phrase is one to four words in a row without a pause, half a second to two
seconds long. An episode is a phrase of one speaker: three of its clips are anchors, each paired with the phrase said by
three other speakers (positive), with the three phrases nearest in phones (hard negatives) and with three others (easy
negatives), all of as many words.

Where the choice differs from the script: the distance is Levenshtein's over phones, the script's is over the letters of
their names and hinders insertions; speakers always differ, in the official set 0.4 % of the rows share one; an easy
negative is never among the hard ones; phrases that sound alike are no negatives.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from clips import Clip, Phones

from stdsearch.phones import PHONE_INDEX
from train.manifest import Utterance, Word


class Kind(StrEnum):
    """What the two clips of a row are to each other, as the official CSV calls it."""

    POSITIVE = "diffspk_positive"
    EASY = "diffspk_easyneg"
    HARD = "diffspk_hardneg"


@dataclass(frozen=True, slots=True)
class Row:
    """Two clips, by their places in a list, and whether they say the same."""

    anchor: int
    comparison: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class PhraseSettings:
    """The official choice; seconds are the sum of the words'."""

    max_words: int = 4
    min_seconds: float = 0.5
    max_seconds: float = 2.0
    max_gap: float = 0.001  # between words: the aligner writes a longer pause down
    anchors: int = 3
    positives: int = 3
    negatives: int = 3  # of each kind
    own_clips: int = 6  # that the speaker of an episode must have of the phrase
    other_speakers: int = 3  # who must say it too


OFFICIAL = PhraseSettings()
SMALL = PhraseSettings(own_clips=1, other_speakers=1)  # for corpora where nobody repeats a phrase six times


def phrase_clips(utterances: Iterable[Utterance], folder: Path, settings: PhraseSettings) -> list[Clip]:
    """A clip for each phrase in utterances whose manifest lies in a folder."""
    return [
        Clip(
            " ".join(word.text for word in words), u.speaker, folder / u.audio, words[0].tbeg, words[-1].tend,
            u.channel, u.tbeg, u.dur,
        )
        for u in utterances
        for words in _phrases(u.words, settings)
    ]  # fmt: skip


def _phrases(words: Sequence[Word], settings: PhraseSettings) -> Iterator[Sequence[Word]]:
    for n_words in range(1, settings.max_words + 1):
        for first in range(len(words) - n_words + 1):
            run = words[first : first + n_words]
            seconds = round(sum(word.tend - word.tbeg for word in run), 3)
            unbroken = all(right.tbeg - left.tend <= settings.max_gap for left, right in pairwise(run))
            if unbroken and settings.min_seconds <= seconds <= settings.max_seconds:
                yield run


def choose_rows(
    clips: Sequence[Clip], phones: Mapping[str, Phones], settings: PhraseSettings, *, seed: int = 0
) -> list[Row]:
    """The rows of all episodes, those of one word first; phones has the pronunciation of every clip's text.

    An episode that has fewer partners of a kind than wanted takes those there are.
    """
    random, rows = np.random.default_rng(seed), []
    for n_words in range(1, settings.max_words + 1):
        places = [place for place, clip in enumerate(clips) if len(clip.text.split()) == n_words]
        rows += list(_rows(clips, places, phones, settings, random))
    return rows


def _rows(
    clips: Sequence[Clip],
    places: Sequence[int],
    phones: Mapping[str, Phones],
    settings: PhraseSettings,
    random: np.random.Generator,
) -> Iterator[Row]:
    said: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place in places:
        said[clips[place].text, clips[place].speaker].append(place)
    keys = sorted(said)
    speakers: dict[str, list[str]] = defaultdict(list)
    for text, speaker in keys:
        speakers[text].append(speaker)
    texts = [list(speakers)[i] for i in random.permutation(len(speakers))]  # so that chance decides among equally near
    row_of = {text: i for i, text in enumerate(texts)}
    measure = EditDistances([phones[text] for text in texts])
    distances = lru_cache(maxsize=1)(lambda text: measure(phones[text]))

    def one_of(text: str, speaker: str) -> int:
        return int(random.choice(said[text, speaker]))

    for text, speaker in keys:
        own, others = said[text, speaker], [other for other in speakers[text] if other != speaker]
        if len(own) < settings.own_clips or len(others) < settings.other_speakers:
            continue
        distance = distances(text)
        by_distance = (texts[i] for i in np.argsort(distance, kind="stable") if distance[i] > 0)
        elsewhere = (near for near in by_distance if set(speakers[near]) - {speaker})
        hard = list(islice(elsewhere, settings.negatives))
        positives = [one_of(text, str(other)) for other in random.permutation(others)[: settings.positives]]
        for anchor in random.permutation(own)[: settings.anchors].tolist():
            yield from (Row(anchor, positive, Kind.POSITIVE) for positive in positives)
            shuffled = (keys[i] for i in random.permutation(len(keys)))
            easy = (
                one_of(*key)
                for key in shuffled
                if key[1] != speaker and key[0] not in hard and distance[row_of[key[0]]] > 0
            )
            yield from (Row(anchor, negative, Kind.EASY) for negative in islice(easy, settings.negatives))
            for near in hard:
                other = str(random.choice([name for name in speakers[near] if name != speaker]))
                yield Row(anchor, one_of(near, other), Kind.HARD)


class EditDistances:
    """Levenshtein distances, in phones, from one pronunciation to each of many, all at once."""

    def __init__(self, others: Sequence[Phones]) -> None:
        self.lengths = np.array([len(phones) for phones in others], dtype=np.int64)
        self.others = np.full((int(self.lengths.max(initial=0)), len(others)), -1, dtype=np.int16)
        for i, phones in enumerate(others):
            self.others[: len(phones), i] = [PHONE_INDEX[phone] for phone in phones]

    def __call__(self, phones: Phones) -> np.ndarray:
        """The distances (n,)."""
        place = np.arange(len(self.others) + 1, dtype=np.int16)[:, None]
        row = np.broadcast_to(place, (len(place), self.others.shape[1]))  # from no phone to the others' first ones
        for done, phone in enumerate(phones, 1):
            best = np.full_like(row, done)
            np.minimum(row[:-1] + (self.others != PHONE_INDEX[phone]), row[1:] + 1, out=best[1:])
            row = np.minimum.accumulate(best - place) + place  # insertions: each costs 1 a place
        return row[self.lengths, np.arange(row.shape[1])].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Trials:
    """Trials, each (n,): the clip that is heard, the clip that enrolled by its text or sound, whether they match."""

    query: np.ndarray
    enrolled: np.ndarray
    target: np.ndarray

    @classmethod
    def of(cls, trials: Iterable[tuple[int, int, bool]]) -> "Trials":
        """Trials from (query, enrolled, target)."""
        query, enrolled, target = zip(*trials, strict=True)
        return cls(np.array(query), np.array(enrolled), np.array(target))


def expand_four(rows: Iterable[Row], negative: Kind) -> Trials:
    """Four trials a negative row, for enrolment by text: each clip against its own text and against the other's.

    The protocol of PhonMatchNet (2308.16511): positive rows are not used.
    """
    return Trials.of(
        (query, enrolled, query == enrolled)
        for row in rows
        if row.kind is negative
        for query in (row.anchor, row.comparison)
        for enrolled in (row.anchor, row.comparison)
    )


def expand_two(rows: Iterable[Row], negative: Kind) -> Trials:
    """Two trials a row, positive or of the negative kind, for any enrolment: each clip enrols, the other is heard.

    The protocol of MM-KWS (github.com/aizhiqi-work/MM-KWS).
    """
    return Trials.of(
        trial
        for row in rows
        if row.kind in (negative, Kind.POSITIVE)
        for trial in (
            (row.comparison, row.anchor, row.kind is Kind.POSITIVE),
            (row.anchor, row.comparison, row.kind is Kind.POSITIVE),
        )
    )
