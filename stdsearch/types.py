"""The words of the field as types: terms go in, hits come out.

Times are in seconds from the start of the recording, as floats; channels count from 1, as in NIST's files;
a higher score is better everywhere.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stdsearch.errors import StdSearchError

_TIME = r"((?:(?:\d+:)?\d+:)?\d*\.?\d+)"
_EXAMPLE = re.compile(rf"(.+?)(?:@{_TIME}-{_TIME})?(?:@(\d{{1,9}}))?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Term:
    """What is searched for; NIST's STD 2006 says term, OpenKWS says keyword.

    text is empty for a term known only from spoken examples. attributes are the KWList's kwinfo
    (for instance {"vocabulary": "OOV"}).
    """

    kwid: str
    text: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A spoken example: a recording or, with tbeg and tend in seconds, a span of it; StdSearchError if that is none.

    channel is None for the loudest there.

    >>> Spoken.parse("interview.wav@12.5-1:03.25@2")
    Spoken(path=PosixPath('interview.wav'), tbeg=12.5, tend=63.25, channel=2)
    >>> Spoken.parse("word.wav")
    Spoken(path=PosixPath('word.wav'), tbeg=None, tend=None, channel=None)
    """

    path: Path
    tbeg: float | None = None
    tend: float | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        if self.tbeg is self.tend is None:
            return
        if self.tbeg is None or self.tend is None or not 0 <= self.tbeg < self.tend < float("inf"):
            raise StdSearchError(
                f"{self.path}@{self.tbeg}-{self.tend}: a span begins at 0 s or later and ends after it begins"
            )

    @classmethod
    def parse(cls, text: str) -> "Spoken":
        """What FILE[@TBEG-TEND][@CHANNEL] says, with times in seconds or as [h:]mm:ss.

        A file whose own name holds an @ is taken as it is.
        """
        parsed = _EXAMPLE.fullmatch(text)
        if parsed is None or os.path.exists(text):
            return cls(Path(text))
        file, tbeg, tend, channel = parsed.groups()
        if "@" in file and not os.path.exists(file):
            raise StdSearchError(f"{text}: after FILE go @TBEG-TEND and @CHANNEL, as in talk.wav@1.5-2.1 or talk.wav@2")
        return cls(
            Path(file),
            None if tbeg is None else _seconds(tbeg),
            None if tend is None else _seconds(tend),
            None if channel is None else int(channel),
        )


def _seconds(time: str) -> float:
    """The seconds that [[h:]mm:]ss says.

    >>> _seconds("75.5"), _seconds("1:15.5"), _seconds("1:02:05.00")
    (75.5, 75.5, 3725.0)
    """
    seconds = 0.0
    for part in time.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where the system claims that a term is said."""

    recording: str
    channel: int
    tbeg: float
    dur: float
    score: float
    decision: bool


@dataclass(frozen=True, slots=True)
class TermHits:
    """All hits of one term, best first."""

    kwid: str
    term: str
    hits: tuple[Hit, ...]
    search_seconds: float = 0.0
