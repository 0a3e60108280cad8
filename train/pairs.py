"""Pairs to train verifiers on: an enrolled phrase and a stretch of speech that is it, is not, or nearly is.

As in LibriPhrase, phrases have one to four words, an easy mismatch is any other phrase of as many words, and a hard
one a phrase whose phones come near. A phrase is its phones, as they were aligned, so that homophones are one phrase.
Batch t of a seed is the same on every machine.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stdsearch.encoder import pad_phones
from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONE_INDEX, PHONES
from stdsearch.verifier import MARGIN
from stdsearch.verifier.network import STEPS
from train.confusable import SEPARATOR, closest_runs, distance, nearest
from train.frame_data import FrameData
from train.hard_negatives import draw_edits, edited_steps
from train.speech import Phones

MATCH, EASY, HARD = range(3)
TRIES = 8  # draws before something less is taken


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What a batch holds; times in seconds, shares of what is drawn."""

    pairs: int = 64
    match: float = 0.4
    easy: float = 0.2  # the rest are hard
    words: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)  # phrases of so many words
    repeated: float = 0.8  # phrases said at least twice; the others can be enrolled by text alone
    min_phones: int = 3
    max_phones: int = 24
    max_gap: float = 0.15  # a silence longer than this ends a phrase
    neighbours: int = 20  # confusable words looked at for each word
    easy_distance: float = 0.6  # an easy mismatch is that share of its phones or more away
    hard_distance: float = 0.5  # a hard one at most so much
    crossing: float = (
        0.0  # hard mismatches that are runs of phones, whatever the borders of words, as search finds them
    )
    looked_through: int = 300  # utterances, for one of those
    jitter: float = 0.06  # ± that a border may be off
    edited: float = 0.6  # matches of which a hard negative is made out of the memory bank
    edits: int = 3  # at most, of one phrase


class Place(NamedTuple):
    """Where something is said: phones [first, last) of an utterance."""

    utterance: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Trial:
    """An enrolled phrase, where its spoken example lies, if any, and what is verified."""

    phones: Phones
    example: Place | None
    query: Place
    kind: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """A batch of b trials, and e hard negatives to be made of some of them.

    query (b, T, width), example (b, U, width) with their lengths in frames (b,), of an example zero where there is
    none; phones (b, L) of the enrolled text and their number (b,); kind (b,); where each phone of the text lies in the
    query and in the example, in steps of 20 ms, (b, L, 2), zeros where it does not match; edited_row (e,) into the
    batch, edited_source (e, T') and edited_steps (e,) as in `train.hard_negatives`.
    """

    query: Tensor
    query_length: Tensor
    example: Tensor
    example_length: Tensor
    phones: Tensor
    phone_length: Tensor
    kind: Tensor
    query_spans: Tensor
    example_spans: Tensor
    edited_row: Tensor
    edited_source: Tensor
    edited_steps: Tensor


class Phrases:
    """All phrases of a split, by their phones and by their number of words, and the words that sound alike."""

    def __init__(self, data: FrameData, settings: PairSettings) -> None:
        self.data, self.settings = data, settings
        self.share = np.array(settings.words) / sum(settings.words)
        self.places: dict[Phones, list[Place]] = defaultdict(list)
        for u in range(len(data.utterances)):
            for place in self._runs(u):
                self.places[self.phones(place)].append(place)
        if len(self.places) < 2:
            raise StdSearchError(
                f"{len(self.places)} phrases of {settings.min_phones} to {settings.max_phones} phones in "
                f"{len(data.utterances)} utterances, too few to tell apart; prepare more speech of that split"
            )
        # phrases of each number of words, and those of them that two speakers or at least two utterances have
        self.all: list[list[Phones]] = [[] for _ in settings.words]
        self.repeated: list[list[Phones]] = [[] for _ in settings.words]
        for phones, places in self.places.items():
            n = min(len(self.words(place)) for place in places) - 1
            self.all[n].append(phones)
            if len({place.utterance for place in places}) > 1:
                self.repeated[n].append(phones)
        spelt: dict[Phones, set[str]] = defaultdict(set)
        for u, utterance in enumerate(data.utterances):
            for word, *at in zip(utterance.words, data.borders[u], data.borders[u][1:], strict=False):
                spelt[self.phones(Place(u, *at))].add(word.text)
        words = sorted(spelt)
        index, found = nearest(words, settings.neighbours)
        # other pronunciations of a word are that word
        self.confusable: dict[Phones, list[tuple[Phones, int]]] = {
            word: [
                (words[j], int(d))
                for j, d in zip(index[i], found[i], strict=True)
                if j >= 0 and spelt[word].isdisjoint(spelt[words[j]])
            ]
            for i, word in enumerate(words)
        }

    def _runs(self, utterance: int) -> list[Place]:
        s, words = self.settings, self.data.utterances[utterance].words
        runs = []
        for first in range(len(words)):
            for last in range(first + 1, min(first + len(s.words), len(words)) + 1):
                if last > first + 1 and words[last - 1].tbeg - words[last - 2].tend > s.max_gap:
                    break
                at = self.data.borders[utterance]
                if s.min_phones <= at[last] - at[first] <= s.max_phones:
                    runs.append(Place(utterance, int(at[first]), int(at[last])))
        return runs

    def phones(self, place: Place) -> Phones:
        """What is said there."""
        return tuple(PHONES[label - 1] for label in self.data.phones[place.utterance][place.first : place.last])

    def words(self, place: Place) -> list[Phones]:
        """What is said there, word by word, parts of words too."""
        at = self.data.borders[place.utterance]
        inner = at[(at > place.first) & (at < place.last)].tolist()
        borders = itertools.pairwise([place.first, *inner, place.last])
        return [self.phones(Place(place.utterance, *border)) for border in borders]

    def anchor(self, random: np.random.Generator, *, repeated: bool) -> Phones:
        """A phrase, each of as many words as likely as another; of those said twice where there are any."""
        n_words = int(random.choice(len(self.settings.words), p=self.share))
        for n in (n_words, *range(len(self.settings.words))):
            listed = (self.repeated if repeated else self.all)[n]
            if listed:
                return listed[int(random.integers(len(listed)))]
        return self.anchor(random, repeated=False)  # nothing is said twice

    def match(self, random: np.random.Generator, *, repeated: bool) -> Trial:
        """A phrase and another place where it is said, by another speaker if that is found soon."""
        phones = self.anchor(random, repeated=repeated)
        query = self._place(phones, random)
        return Trial(phones, self._other(query, phones, random), query, MATCH)

    def easy(self, random: np.random.Generator, *, repeated: bool) -> Trial:
        """A phrase against another of as many words, which sounds nothing like it if that is found soon."""
        phones = self.anchor(random, repeated=repeated)
        example = self._place(phones, random)
        others = self.all[len(self.words(example)) - 1]
        other = phones
        for _ in range(TRIES):
            candidate = others[int(random.integers(len(others)))]
            if candidate != phones:
                other = candidate
                if distance(phones, other) >= self.settings.easy_distance * max(len(phones), len(other)):
                    break
        if other == phones:
            other = next(candidate for candidate in self.places if candidate != phones)
        return Trial(phones, example, self._place(other, random), EASY)

    def hard(self, random: np.random.Generator, *, spoken: bool) -> Trial:
        """A phrase against one that differs in a confusable word, enrolled by text alone if it is said nowhere.

        spoken: it must be said somewhere. Falls back to an easy mismatch where nothing is confusable.
        """
        s, found = self.settings, None
        if s.crossing and random.random() < s.crossing and (trial := self.crossing(random, spoken=spoken)):
            return trial
        for _ in range(TRIES * (4 if spoken else 1)):
            query = self._place(self.anchor(random, repeated=False), random)
            words = self.words(query)
            lengths = np.array([len(word) for word in words])
            which = int(random.choice(len(words), p=lengths / lengths.sum()))
            near = self.confusable[words[which]]
            if not near:
                continue
            closeness = np.exp(-np.array([d for _, d in near], float))
            other, far = near[int(random.choice(len(near), p=closeness / closeness.sum()))]
            phones = tuple(itertools.chain(*words[:which], other, *words[which + 1 :]))
            if far > s.hard_distance * max(lengths.sum(), len(phones)) or not s.min_phones <= len(phones):
                continue
            if phones == self.phones(query):
                continue
            if phones in self.places:
                return Trial(phones, self._place(phones, random), query, HARD)
            found = found or Trial(phones, None, query, HARD)
        if found is None or spoken:
            return self.easy(random, repeated=True)
        return found

    def crossing(self, random: np.random.Generator, *, spoken: bool) -> Trial | None:
        """A phrase against a run of phones in running speech that comes near it, if one does; spoken: as in `hard`.

        Runs that share phones with the phrase itself, said there, are no mismatches, nor are its words said otherwise.
        """
        s, data = self.settings, self.data
        phones = self.anchor(random, repeated=spoken)
        example = self._place(phones, random)
        n = len(data.utterances)
        chosen = (int(random.integers(n)) + np.arange(min(n, s.looked_through))) % n
        labels = np.concatenate([np.append(data.phones[u], SEPARATOR) for u in chosen])
        wanted = np.array([PHONE_INDEX[phone] for phone in phones])
        first, cost = closest_runs(wanted, labels)
        said = np.flatnonzero(cost == 0)
        taken = np.zeros(len(labels) + 1, int)
        np.add.at(taken, said + 1 - len(phones), 1)
        np.add.at(taken, said + 1, -1)
        taken = np.cumsum(np.append(0, np.cumsum(taken) > 0))  # phones of the phrase itself up to each place
        last = np.arange(len(labels)) + 1
        near = (cost <= s.hard_distance * len(phones)) & (taken[last] == taken[first]) & (last - first >= s.min_phones)
        ends = np.flatnonzero(near)
        if not len(ends):
            return None
        closeness = np.exp(-cost[ends].astype(float))
        end = int(random.choice(ends, p=closeness / closeness.sum()))
        before = np.cumsum([0, *(len(data.phones[u]) + 1 for u in chosen)])
        which = int(np.searchsorted(before, end, side="right")) - 1
        query = Place(int(chosen[which]), int(first[end] - before[which]), int(end + 1 - before[which]))
        heard = self._text(query)
        if any(self._text(place) in heard for place in self.places[phones]):
            return None
        return Trial(phones, example, query, HARD)

    def _text(self, place: Place) -> str:
        """The words that have phones there, each between blanks."""
        at, words = self.data.borders[place.utterance], self.data.utterances[place.utterance].words
        first, last = np.searchsorted(at, place.first, side="right") - 1, np.searchsorted(at, place.last)
        return f" {' '.join(word.text for word in words[first:last])} "

    def _place(self, phones: Phones, random: np.random.Generator) -> Place:
        places = self.places[phones]
        return places[int(random.integers(len(places)))]

    def _other(self, query: Place, phones: Phones, random: np.random.Generator) -> Place | None:
        utterances, found = self.data.utterances, None
        for _ in range(TRIES):
            place = self._place(phones, random)
            if place.utterance != query.utterance:
                if utterances[place.utterance].speaker != utterances[query.utterance].speaker:
                    return place
                found = place
        return found


class PairBatches:
    """Draws batch number t for a seed."""

    def __init__(self, phrases: Phrases, seed: int) -> None:
        self.phrases, self.seed = phrases, seed

    def __call__(self, step: int) -> Pairs:
        """The batch of a step."""
        s, random = self.phrases.settings, np.random.default_rng((self.seed, step))
        trials = []
        for share in (np.arange(s.pairs) + 0.5) / s.pairs:
            repeated = bool(random.random() < s.repeated)
            if share < s.match:
                trials.append(self.phrases.match(random, repeated=repeated))
            elif share < s.match + s.easy:
                trials.append(self.phrases.easy(random, repeated=repeated))
            else:
                trials.append(self.phrases.hard(random, spoken=repeated))
        return collate(trials, self.phrases, random)


def collate(trials: Sequence[Trial], phrases: Phrases, random: np.random.Generator | None = None) -> Pairs:
    """The trials as a batch; without `random` borders are exact, frames clean, and no negatives are made."""
    s, data = phrases.settings, phrases.data
    phones, phone_length = map(torch.from_numpy, pad_phones([trial.phones for trial in trials]))
    empty = np.empty((0, data.width), np.float16)
    queries, examples = [], []
    query_spans, example_spans = (np.zeros((*phones.shape, 2), np.float32) for _ in range(2))
    edited = []
    for row, trial in enumerate(trials):
        frames, spans = _cut(data, trial.query, MARGIN, s.jitter, random)
        queries.append(frames)
        heard, heard_spans = _cut(data, trial.example, 0.0, s.jitter, random) if trial.example else (empty, None)
        examples.append(heard)
        if trial.kind == MATCH:
            query_spans[row, : len(spans)] = spans
            if heard_spans is not None:
                example_spans[row, : len(spans)] = heard_spans
            if random is not None and random.random() < s.edited:
                labels = [PHONE_INDEX[phone] for phone in trial.phones]
                edits = draw_edits(labels, int(random.integers(1, s.edits + 1)), random)
                edited.append((row, edited_steps(spans.round().astype(int), STEPS * len(frames), edits)))
    sources, edited_lengths = _pad([source[:, None] for _, source in edited], np.int64)
    query, query_length = _pad(queries, np.float32)
    example, example_length = _pad(examples, np.float32)
    return Pairs(
        query,
        query_length,
        example,
        example_length,
        phones,
        phone_length,
        torch.tensor([trial.kind for trial in trials]),
        torch.from_numpy(query_spans),
        torch.from_numpy(example_spans),
        torch.tensor([row for row, _ in edited], dtype=torch.long),
        sources.squeeze(-1),
        edited_lengths,
    )


def _cut(
    data: FrameData, place: Place, margin: float, jitter: float, random: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, width) of a phrase with its margin, and where its phones (L, 2) lie in them, in steps of 20 ms."""
    times = data.times[place.utterance][place.first : place.last]
    version = 0
    off = np.zeros(2)
    if random is not None:
        version, off = int(random.integers(data.versions)), random.uniform(-jitter, jitter, 2)
    frames = data.frames(place.utterance, version)
    first = max(0, round((times[0, 0] - margin + off[0]) / data.frame_seconds))
    last = max(first + 1, round((times[-1, 1] + margin + off[1]) / data.frame_seconds))
    first = min(first, len(frames) - 1)
    frames = frames[first:last]
    spans = (times / data.frame_seconds - first) * STEPS
    return frames, spans.clip(0, STEPS * len(frames))


def _pad(rows: Sequence[np.ndarray], dtype: type) -> tuple[Tensor, Tensor]:
    """Rows (n_i, width) as one tensor (b, n, width), zeros beyond their lengths (b,)."""
    lengths = np.array([len(row) for row in rows], np.int64)
    width = rows[0].shape[1] if len(rows) else 1
    padded = np.zeros((len(rows), max(1, lengths.max(initial=0)), width), dtype)
    for to, row in zip(padded, rows, strict=True):
        to[: len(row)] = row
    return torch.from_numpy(padded), torch.from_numpy(lengths)
