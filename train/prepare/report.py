"""What preparation kept and what it dropped, and why."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from train.manifest import Utterance
from train.prepare.utterance import Reason


@dataclass(frozen=True, slots=True)
class Kept:
    """What a split of the manifest holds."""

    utterances: int
    speakers: int
    words: int
    hours: float


@dataclass(frozen=True, slots=True)
class DroppedUtterance:
    """An utterance that is not in the manifest; place is the file:line of its source."""

    utterance: str
    reason: Reason
    detail: str
    place: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a preparation, kept by split.

    guessed counts the words in no dictionary or lexicon: their pronunciation follows from their spelling.
    """

    kept: Mapping[str, Kept]
    dropped: Sequence[DroppedUtterance]
    guessed: Mapping[str, int]

    def reasons(self) -> list[tuple[Reason, int, str]]:
        """Each reason for which utterances were dropped, how many, and the first one's detail; most frequent first."""
        counts = Counter(dropped.reason for dropped in self.dropped)
        first = {dropped.reason: dropped.detail for dropped in reversed(self.dropped)}
        return [(reason, count, first[reason]) for reason, count in counts.most_common()]

    def write(self, path: Path) -> None:
        """Write the report as a JSON object."""
        reasons = {reason: count for reason, count, _ in self.reasons()}
        path.write_text(json.dumps({"reasons": reasons} | asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")


class Tally:
    """Counts utterances as they pass, and the words that are in no dictionary."""

    def __init__(self, in_dictionary: Callable[[str], bool]) -> None:
        self.guessed: Counter[str] = Counter()
        self._in_dictionary = in_dictionary
        self._rows: dict[str, list[tuple[str, int, float]]] = {}  # split: speaker, words, seconds

    def count(self, utterances: Iterable[Utterance]) -> Iterator[Utterance]:
        """The same utterances, counted."""
        for utterance in utterances:
            words = [word.text for word in utterance.words]
            self.guessed.update(word for word in words if not self._in_dictionary(word))
            self._rows.setdefault(utterance.split, []).append((utterance.speaker, len(words), utterance.dur))
            yield utterance

    def kept(self) -> dict[str, Kept]:
        """What has passed, by split."""
        return {
            split: Kept(
                utterances=len(rows),
                speakers=len({speaker for speaker, _, _ in rows}),
                words=sum(n_words for _, n_words, _ in rows),
                hours=round(sum(seconds for _, _, seconds in rows) / 3600, 3),
            )
            for split, rows in self._rows.items()
        }
