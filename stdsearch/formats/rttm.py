"""RTTM, NIST's rich transcription time marks: who said which word when, one object a line.

    LEXEME talk 1 12.340 0.410 visit lex Jane_Doe <NA>

Nine columns parted by white space: type, file, channel, tbeg, dur, orthography, subtype, speaker name, confidence.
A tenth, which later editions of the format add (signal look-ahead time), is passed over. <NA> stands for a value
that there is none of; from ";;" on a line is comment. White space cannot occur in a value.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from stdsearch.errors import StdSearchError
from stdsearch.formats.source import open_lines, open_output
from stdsearch.formats.values import BadValueError, decimal, finite, moment, seconds, whole

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
        for number, line in enumerate(lines, start=1):
            columns = line.partition(";;")[0].split()
            if not columns:
                continue
            try:
                rows.append(_row(columns))
            except BadValueError as error:
                hint = "; no name may hold a space, write _ for it" if len(columns) > 9 else ""
                raise StdSearchError(f"{path}:{number}: {error}{hint}") from error
    return rows


def _row(columns: list[str]) -> RTTMRow:
    if len(columns) not in (9, 10):
        raise BadValueError(f"an RTTM line has 9 columns, this one has {len(columns)}")
    kind, file, channel, tbeg, dur, ortho, stype, name, conf = columns[:9]
    return RTTMRow(
        kind.upper(),
        file,
        whole("channel", channel),
        None if tbeg == NOT_AVAILABLE else moment("tbeg", tbeg),
        None if dur == NOT_AVAILABLE else seconds("dur", dur),
        ortho,
        stype,
        name,
        None if conf == NOT_AVAILABLE else finite("conf", conf),
    )


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
