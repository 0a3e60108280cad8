"""The words of the field as types: terms go in, hits come out.

Times are in seconds from the start of the recording, as floats; channels count from 1, as in NIST's files;
a higher score is better everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stdsearch.errors import StdSearchError


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

    >>> Spoken.parse("interview.wav@12.5-13.1")
    Spoken(path=PosixPath('interview.wav'), tbeg=12.5, tend=13.1)
    >>> Spoken.parse("word.wav").tbeg is None
    True
    """

    path: Path
    tbeg: float | None = None
    tend: float | None = None

    def __post_init__(self) -> None:
        if self.tbeg is self.tend is None:
            return
        if self.tbeg is None or self.tend is None or not 0 <= self.tbeg < self.tend < float("inf"):
            raise StdSearchError(
                f"{self.path}@{self.tbeg}-{self.tend}: a span begins at 0 s or later and ends after it begins"
            )

    @classmethod
    def parse(cls, text: str) -> "Spoken":
        """What FILE[@TBEG-TEND] says; a file whose own name holds an @ is taken as it is."""
        file, at, span = text.rpartition("@")
        if not at or Path(text).exists():
            return cls(Path(text))
        try:
            tbeg, tend = (float(value) for value in span.split("-"))
        except ValueError:
            raise StdSearchError(f"{text}: after the @ goes TBEG-TEND in seconds, as in word.wav@1.5-2.1") from None
        return cls(Path(file), tbeg, tend)


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
