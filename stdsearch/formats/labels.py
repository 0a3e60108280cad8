"""Hits as labels on one recording, and Audacity's label track.

A label reads "TERM SCORE", the score with 3 decimals, with " NO" behind it where the decision was no.
The annotation tiers and the subtitles are made of the same labels.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from stdsearch.errors import StdSearchError
from stdsearch.formats.source import open_lines
from stdsearch.formats.tables import gather
from stdsearch.formats.values import BadValueError, moment
from stdsearch.types import Hit, TermHits

SHORTEST = 0.001  # seconds: no label is shorter, since the programs cannot show an empty stretch
LABEL = re.compile(r"(?P<term>.*\S) (?P<score>-?\d+\.\d{3})(?P<no> NO)?")


@dataclass(frozen=True, slots=True)
class Label:
    """A stretch of a recording's channel and what is written on it; whole milliseconds, tbeg >= 0, tend > tbeg."""

    channel: int
    tbeg: float
    tend: float
    text: str


def labels(results: Sequence[TermHits]) -> list[Label]:
    """The hits as labels, in order of time."""
    found = []
    for result in results:
        term = " ".join((result.term or result.kwid).split())
        for hit in result.hits:
            tbeg = max(round(hit.tbeg, 3), 0.0)
            tend = max(round(hit.tbeg + hit.dur, 3), round(tbeg + SHORTEST, 3))
            found.append(Label(hit.channel, tbeg, tend, f"{term} {hit.score:.3f}{'' if hit.decision else ' NO'}"))
    return sorted(found, key=lambda label: (label.tbeg, label.tend, label.channel))


def write_audacity(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write a label track: tbeg, tend and text, parted by tabs."""
    stream.writelines(f"{label.tbeg:.6f}\t{label.tend:.6f}\t{label.text}\n" for label in labels(results))


def read_audacity(path: str | Path, recording: str) -> list[TermHits]:
    """The hits of a label track of that recording, channel 1: the way back after checking hits by ear.

    A label that does not read "TERM SCORE" is a person's own: its text is the term, its score 1, its decision yes.
    The term is the kwid too. Raises StdSearchError if the file is unreadable or a line is no label.
    """
    rows = []
    with open_lines(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("\\"):  # a backslash: the label's band of frequencies
                continue
            try:
                term, hit = _audacity_label(line.rstrip("\r\n").split("\t"), recording)
            except BadValueError as error:
                raise StdSearchError(f"{path}:{number}: {error}") from error
            rows.append((term, term, hit))
    return gather(rows)


def _audacity_label(columns: list[str], recording: str) -> tuple[str, Hit]:
    if len(columns) != 3 or not columns[2].strip():
        raise BadValueError("a label is its beginning, end and text, parted by tabs")
    tbeg, tend, text = moment("beginning", columns[0]), moment("end", columns[1]), columns[2].strip()
    if tend < tbeg:
        raise BadValueError(f"the label ends ({tend}) before it begins ({tbeg})")
    dur = round(tend - tbeg, 6)
    if match := LABEL.fullmatch(text):
        return match["term"], Hit(recording, 1, tbeg, dur, float(match["score"]), match["no"] is None)
    return text, Hit(recording, 1, tbeg, dur, 1.0, True)
