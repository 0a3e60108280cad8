"""KWSList, NIST's list of a system's hits, term by term.

    <kwslist kwlist_filename="kwlist.xml" language="english" system_id="stdsearch">
      <detected_kwlist kwid="KW-001" search_time="0.1" oov_count="0">
        <kw file="talk" channel="1" tbeg="12.340" dur="0.410" score="0.967" decision="YES"/>
      </detected_kwlist>
    </kwslist>

STD 2006 spells it stdlist, detected_termlist, term, and adds indexing_time and index_size. Plain or gzip.
A million hits are read in seconds: they are parsed as a stream and kept as columns.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stdsearch.formats.source import open_output
from stdsearch.formats.values import BadValueError, choice, decimal, finite, moment, named, seconds, whole
from stdsearch.formats.xml import Element, XMLReader, quoted, tag
from stdsearch.types import Hit

DECISIONS = ("YES", "NO")

STD2006 = {
    "detected_termlist": "detected_kwlist",
    "term": "kw",
    "termlist_filename": "kwlist_filename",
    "termid": "kwid",
    "term_search_time": "search_time",
    "oov_term_count": "oov_count",
}
HEAD = frozenset({"kwlist_filename", "language", "system_id"})
BOUNDS = frozenset({"min_score", "max_score"})
DETECTED = Element(
    required=frozenset({"kwid", "search_time", "oov_count"}),
    children={"kw": Element(required=frozenset({"file", "channel", "tbeg", "dur", "score", "decision"}))},
)
GRAMMAR = {
    "kwslist": Element(required=HEAD, optional=BOUNDS, children={"detected_kwlist": DETECTED}),
    "stdlist": Element(
        required=HEAD,
        optional=BOUNDS | {"indexing_time", "index_size"},
        children={"detected_kwlist": DETECTED},
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """n hits as parallel columns, each of shape (n,).

    file: object array of str, NIST's file id (no directory, no extension). channel: int64. tbeg, dur: float64 seconds.
    score: float64. decision: bool, True for YES.
    """

    file: np.ndarray
    channel: np.ndarray
    tbeg: np.ndarray
    dur: np.ndarray
    score: np.ndarray
    decision: np.ndarray

    def __len__(self) -> int:
        return len(self.file)

    @classmethod
    def from_columns(
        cls,
        file: Sequence[str],
        channel: Sequence[int],
        tbeg: Sequence[float],
        dur: Sequence[float],
        score: Sequence[float],
        decision: Sequence[bool | int],
    ) -> "Hits":
        """The columns, each a sequence of length n, as arrays of the types above."""
        files = np.empty(len(file), dtype=object)
        files[:] = file
        return cls(
            files,
            np.array(channel, dtype=np.int64),
            np.array(tbeg, dtype=np.float64),
            np.array(dur, dtype=np.float64),
            np.array(score, dtype=np.float64),
            np.array(decision, dtype=np.bool_),
        )

    @classmethod
    def from_hits(cls, hits: Sequence[Hit]) -> "Hits":
        """The hits as columns, in order; file is the hit's recording as it stands."""
        return cls.from_columns(
            [hit.recording for hit in hits],
            [hit.channel for hit in hits],
            [hit.tbeg for hit in hits],
            [hit.dur for hit in hits],
            [hit.score for hit in hits],
            [hit.decision for hit in hits],
        )

    def to_hits(self) -> tuple[Hit, ...]:
        """The hits one by one, in order; recording is the file id."""
        columns = (self.file, self.channel, self.tbeg, self.dur, self.score, self.decision)
        return tuple(Hit(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


@dataclass(frozen=True, slots=True)
class DetectedTerm:
    """What the system found for one term; search_time in seconds, oov_count None where the file says NA."""

    kwid: str
    search_time: float
    oov_count: int | None
    hits: Hits


@dataclass(frozen=True, slots=True)
class KWSList:
    """A system's hits, in the file's order. min_score and max_score bound its scores, where the file says so."""

    detected: tuple[DetectedTerm, ...]
    kwlist_filename: str = ""
    language: str = ""
    system_id: str = ""
    min_score: float | None = None
    max_score: float | None = None
    indexing_time: str = ""  # STD 2006 only, as its file has it
    index_size: str = ""


class _Columns:
    """Hits being gathered for one term; each file id is kept once however many hits name it."""

    def __init__(self, kwid: str, search_time: float, oov_count: int | None):
        self.kwid, self.search_time, self.oov_count = kwid, search_time, oov_count
        self.file: list[str] = []
        self.channel = array("q")
        self.tbeg, self.dur, self.score = array("d"), array("d"), array("d")
        self.decision = array("b")

    def detected(self) -> DetectedTerm:
        hits = Hits.from_columns(self.file, self.channel, self.tbeg, self.dur, self.score, self.decision)
        return DetectedTerm(self.kwid, self.search_time, self.oov_count, hits)


def read_kwslist(path: str | Path) -> KWSList:
    """The KWSList that the file holds, in either spelling, plain or gzip.

    Raises StdSearchError if the file is unreadable, malformed or not a KWSList, a number is not finite, a duration
    negative, or two lists of hits share a kwid.
    """
    head: dict[str, str] = {}
    bounds: dict[str, float] = {}
    detected: list[DetectedTerm] = []
    kwids: set[str] = set()
    names: dict[str, str] = {}
    columns = _Columns("", 0.0, None)

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal columns
        if name == "kw":
            file = named("file", attributes["file"])
            columns.file.append(names.setdefault(file, file))
            columns.channel.append(whole("channel", attributes["channel"]))
            columns.tbeg.append(moment("tbeg", attributes["tbeg"]))
            columns.dur.append(seconds("dur", attributes["dur"]))
            columns.score.append(finite("score", attributes["score"]))
            columns.decision.append(choice("decision", attributes["decision"], DECISIONS) == "YES")
        elif name == "detected_kwlist":
            kwid, oov_count = named("kwid", attributes["kwid"]), attributes["oov_count"]
            if kwid in kwids:
                raise BadValueError(f"the kwid {kwid!r} occurs twice; gather its hits in one <detected_kwlist>")
            kwids.add(kwid)
            columns = _Columns(
                kwid,
                finite("search_time", attributes["search_time"]),
                None if oov_count == "NA" else whole("oov_count", oov_count),
            )
        else:
            head.update(attributes)
            bounds.update({key: finite(key, head[key]) for key in BOUNDS if key in head})

    def end(name: str, _: str) -> None:
        if name == "detected_kwlist":
            detected.append(columns.detected())

    advice = f"hits in another format become a KWSList by `stdsearch convert {path} hits.xml`"
    XMLReader(path, GRAMMAR, STD2006, advice=advice).read(start, end)
    return KWSList(
        tuple(detected),
        head["kwlist_filename"],
        head["language"],
        head["system_id"],
        bounds.get("min_score"),
        bounds.get("max_score"),
        head.get("indexing_time", ""),
        head.get("index_size", ""),
    )


def write_kwslist(kwslist: KWSList, path: str | Path, *, std2006: bool = False) -> None:
    """Write the KWSList as UTF-8, gzip if the name ends in .gz, in the spelling of OpenKWS or of STD 2006."""
    with open_output(path) as stream:
        stream.writelines(format_kwslist(kwslist, std2006=std2006))


def format_kwslist(kwslist: KWSList, *, std2006: bool = False) -> Iterator[str]:
    """The lines of the KWSList's file, each with its line end; numbers keep every digit and have no exponent."""
    root = "stdlist" if std2006 else "kwslist"
    spelling = {ours: theirs for theirs, ours in STD2006.items()} if std2006 else {}

    def opening(name: str, attributes: Mapping[str, str | None]) -> str:
        given = {spelling.get(key, key): value for key, value in attributes.items() if value is not None}
        return tag(spelling.get(name, name), given)

    head = {
        "kwlist_filename": kwslist.kwlist_filename,
        "indexing_time": kwslist.indexing_time if std2006 else None,
        "language": kwslist.language,
        "index_size": kwslist.index_size if std2006 else None,
        "system_id": kwslist.system_id,
        "min_score": None if kwslist.min_score is None else decimal(kwslist.min_score),
        "max_score": None if kwslist.max_score is None else decimal(kwslist.max_score),
    }
    yield f"{opening(root, head)}\n"
    kw, detected_kwlist = (spelling.get(name, name) for name in ("kw", "detected_kwlist"))
    for term in kwslist.detected:
        attributes = {
            "kwid": term.kwid,
            "search_time": decimal(term.search_time),
            "oov_count": "NA" if term.oov_count is None else str(term.oov_count),
        }
        yield f"  {opening('detected_kwlist', attributes)}\n"
        for hit in term.hits.to_hits():
            decision = "YES" if hit.decision else "NO"
            yield (
                f'    <{kw} file={quoted(hit.recording)} channel="{hit.channel}" tbeg="{decimal(hit.tbeg)}"'
                f' dur="{decimal(hit.dur)}" score="{decimal(hit.score)}" decision="{decision}"/>\n'
            )
        yield f"  </{detected_kwlist}>\n"
    yield f"</{root}>\n"
