"""An utterance as its source describes it, before anything was found in its audio."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stdsearch.errors import StdSearchError, is_utf8


@dataclass(frozen=True, slots=True)
class SourceUtterance:
    """A stretch of a recording with its transcript; split is "" where the source names none.

    dur is None for a stretch that goes on to the end of the audio. place is the file:line that says all this.
    """

    utterance: str
    split: str
    corpus: str
    speaker: str
    audio: Path
    channel: int
    tbeg: float
    dur: float | None
    text: str
    place: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 <= self.tbeg < math.inf and (self.dur is None or 0 < self.dur < math.inf) and self.channel >= 1):
            stretch = f"channel {self.channel}, {self.tbeg:g} s + {self.dur} s"
            raise StdSearchError(f"{self.place}: {stretch} is no stretch of a recording; correct it")


def checked(source: Path, utterances: Iterable[SourceUtterance]) -> list[SourceUtterance]:
    """The utterances as a list; StdSearchError if there is none, two of a name, or audio whose name is no text."""
    places: dict[str, str] = {}
    found = list(utterances)
    if not found:
        raise StdSearchError(f"{source}: holds no utterance; check that this is the right path and format")
    for utterance in found:
        if not is_utf8(utterance.audio):
            raise StdSearchError(f"{str(utterance.audio)!a}: has a name that is not UTF-8; rename it")
        first = places.setdefault(utterance.utterance, utterance.place)
        if first is not utterance.place:
            raise StdSearchError(
                f"{utterance.place}: utterance {utterance.utterance} is also at {first}; give each its own name"
            )
    return found


def read_text(path: Path) -> str:
    """A UTF-8 text, its lines ended by newlines; StdSearchError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StdSearchError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise StdSearchError(f"{path}: no UTF-8 text; convert it to UTF-8") from error


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a UTF-8 text that are not blank, without their ends, each behind its place file:line."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line


def number(text: str, place: str, name: str) -> float:
    """A number written as text; `place` and `name` say in the StdSearchError what it should have been."""
    try:
        return float(text)
    except ValueError as error:
        raise StdSearchError(f"{place}: {name} {text!r} is no number; correct it") from error
