"""The words of the field as types: terms go in, hits come out.

Times are in seconds from the start of the recording, as floats; channels count from 1, as in NIST's files;
a higher score is better everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
