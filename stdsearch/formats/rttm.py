"""RTTM, NIST's rich transcription time marks: who said which word when, one object a line.

    LEXEME talk 1 12.340 0.410 visit lex Jane_Doe <NA>

Nine columns parted by white space: type, file, channel, tbeg, dur, orthography, subtype, speaker name, confidence.
<NA> stands for a value that there is none of; from ";;" on a line is comment. White space cannot occur in a value.
"""

from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from stdsearch.errors import StdSearchError
from stdsearch.formats.source import open_lines, open_output
from stdsearch.formats.xml import decimal

NOT_AVAILABLE = "<NA>"


class RTTMRow(NamedTuple):
    """One object: a named tuple, since files hold 10⁵ of them. Times in seconds.

    The type is in capitals. tbeg, dur and conf are None where the file says <NA>; texts keep it as it is.
    """

    type: str
    file: str
    channel: int
    tbeg: float | None
    dur: float | None
    ortho: str
    stype: str
    name: str
    conf: float | None


def read_rttm(path: str | Path) -> list[RTTMRow]:
    """Every row of the file, of every type, in the file's order.

    Raises StdSearchError if the file is unreadable, or a line is not nine columns with sound numbers.
    """
    rows = []
    with open_lines(path) as lines:
        for number, line in lines:
            columns = line.partition(";;")[0].split()
            if not columns:
                continue
            try:
                rows.append(_row(columns))
            except ValueError as error:
                raise StdSearchError(f"{path}:{number}: {error}") from error
    return rows


def _row(columns: list[str]) -> RTTMRow:
    if len(columns) != 9:
        raise ValueError(f"an RTTM line has 9 columns, this one has {len(columns)}")
    kind, file, channel, tbeg, dur, ortho, stype, name, conf = columns
    if not (channel.isascii() and channel.isdigit()):
        raise ValueError(f"channel {channel!r} is not a whole number")
    seconds = _number("dur", dur)
    if seconds is not None and seconds < 0:
        raise ValueError(f"dur {dur!r} is negative")
    return RTTMRow(
        kind.upper(), file, int(channel), _number("tbeg", tbeg), seconds, ortho, stype, name, _number("conf", conf)
    )


def _number(name: str, text: str) -> float | None:
    if text == NOT_AVAILABLE:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or "_" in text:
        raise ValueError(f"{name} {text!r} is neither a finite number nor {NOT_AVAILABLE}")
    return value


def write_rttm(rows: Iterable[RTTMRow], path: str | Path) -> None:
    """Write the rows, one a line, as UTF-8.

    Raises ValueError if a value is empty, holds white space, or starts a comment (";;").
    """
    with open_output(path) as stream:
        for row in rows:
            stream.write(format_row(row) + "\n")


def format_row(row: RTTMRow) -> str:
    """The row as one RTTM line.

    >>> format_row(RTTMRow("LEXEME", "talk", 1, 12.34, 0.41, "visit", "lex", "Jane_Doe", None))
    'LEXEME talk 1 12.340 0.410 visit lex Jane_Doe <NA>'
    """
    columns = [
        NOT_AVAILABLE if value is None else decimal(value) if isinstance(value, float) else str(value) for value in row
    ]
    line = " ".join(columns)
    if line.split() != columns or ";;" in line:
        raise ValueError(f"RTTM has no way to write an empty value, white space or ';;': {row}")
    return line
