"""Hits as NIST's time marks: RTTM, and CTM as sclite reads it.

Both are columns parted by white space, so the words of a term are joined by "_", as is white space in a file id.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from stdsearch.errors import StdSearchError
from stdsearch.formats.rttm import NOT_AVAILABLE, RTTMRow, format_row
from stdsearch.formats.values import decimal
from stdsearch.types import Hit, TermHits

SEPARATOR = re.compile(r"\s+|;;")  # ";;" starts a comment


def write_rttm_hits(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write a LEXEME a hit, in order of file, channel and time; the name is the kwid, the confidence the score."""
    for result, hit in _in_order(results):
        row = RTTMRow(
            "LEXEME",
            _token(hit.recording),
            hit.channel,
            hit.tbeg,
            hit.dur,
            _token(result.term or result.kwid),
            "lex",
            _token(result.kwid),
            hit.score,
        )
        stream.write(f"{format_row(row)}\n")


def write_ctm(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write file, channel, tbeg, dur, term and score a hit, in order of file, channel and time."""
    for result, hit in _in_order(results):
        times = f"{decimal(hit.tbeg)} {decimal(hit.dur)}"
        word = _token(result.term or result.kwid)
        stream.write(f"{_token(hit.recording)} {hit.channel} {times} {word} {decimal(hit.score)}\n")


def _in_order(results: Sequence[TermHits]) -> Iterator[tuple[TermHits, Hit]]:
    owners: dict[str, str] = {}
    for name in sorted({hit.recording for result in results for hit in result.hits}):
        token = _token(name)
        if owners.setdefault(token, name) != name:
            raise StdSearchError(
                f"{owners[token]!r} and {name!r}: would both be called {token!r}; rename one, or write csv or json"
            )
    pairs = ((result, hit) for result in results for hit in result.hits)
    return iter(sorted(pairs, key=lambda pair: (pair[1].recording, pair[1].channel, pair[1].tbeg, pair[0].kwid)))


def _token(text: str) -> str:
    return SEPARATOR.sub("_", text) or NOT_AVAILABLE
