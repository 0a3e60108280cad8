"""A table of utterances: TSV or CSV with a header, or JSON lines.

Columns: audio and text; utterance, split, corpus, speaker, channel, tbeg and dur (or duration) if there are any.
All others are kept as attributes.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from stdsearch.errors import StdSearchError
from train.prepare.source import SourceUtterance, checked, number, text_lines

REQUIRED = ("audio", "text")
COLUMNS = (*REQUIRED, "utterance", "split", "corpus", "speaker", "channel", "tbeg", "dur", "duration")
_DIALECTS = {".tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE}, ".csv": {"delimiter": ","}}
_JSON_LINES = (".jsonl", ".ndjson", ".json")


def read_table(
    path: Path, *, audio_root: Path | None = None, columns: Mapping[str, str] | None = None
) -> list[SourceUtterance]:
    """The utterances of a table. Relative audio paths start from audio_root, by default the table's folder.

    columns renames the table's columns, {ours: theirs}. An utterance without a name is called by its audio's file
    name; without a speaker, each audio file counts as a speaker of its own.
    """
    theirs = {column: column for column in COLUMNS} | dict(columns or {})
    unseen, found = set((columns or {}).values()), set[str]()
    utterances = []
    for place, row in _rows(path):
        unseen -= row.keys()
        found |= row.keys()
        missing = [theirs[column] for column in REQUIRED if theirs[column] not in row]
        if missing:
            raise StdSearchError(
                f"{place}: has no column {' or '.join(missing)}, only {', '.join(row)}; name it with --column"
            )
        given = {column: row[name].strip() for column, name in theirs.items() if row.get(name)}
        audio = Path(given.get("audio") or "")
        if audio == Path():
            raise StdSearchError(f"{place}: names no audio; fill in the column {theirs['audio']}")
        channel = given.get("channel") or "1"
        if not channel.isdecimal():
            raise StdSearchError(f"{place}: channel {channel!r} is no whole number; count channels from 1")
        dur = given.get("dur") or given.get("duration")
        utterances.append(
            SourceUtterance(
                utterance=given.get("utterance") or audio.stem,
                split=given.get("split", ""),
                corpus=given.get("corpus", ""),
                speaker=given.get("speaker") or audio.as_posix(),
                audio=(audio_root or path.parent) / audio,
                channel=int(channel),
                tbeg=number(given.get("tbeg") or "0", place, theirs["tbeg"]),
                dur=number(dur, place, theirs["dur"]) if dur else None,
                text=given.get("text", ""),
                place=place,
                attributes={name: value for name, value in row.items() if name not in theirs.values()},
            )
        )
    if utterances and unseen:
        raise StdSearchError(f"{path}: has no column {min(unseen)}, only {', '.join(sorted(found))}; correct --column")
    return checked(path, utterances)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table as {column: text}, each behind its place file:line."""
    if path.suffix in _JSON_LINES:
        yield from _json_rows(path)
    elif path.suffix in _DIALECTS:
        yield from _delimited_rows(path)
    else:
        suffixes = ", ".join([*_DIALECTS, *_JSON_LINES])
        raise StdSearchError(f"{path}: what kind of table this is cannot be told; name it {suffixes}")


def _delimited_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    places: list[str] = []

    def lines() -> Iterator[str]:
        for place, line in text_lines(path):
            places.append(place)
            yield line + "\n"

    rows = csv.reader(lines(), strict=True, **_DIALECTS[path.suffix])  # type: ignore[arg-type]
    try:
        header = next(rows, [])
        if len(set(header)) < len(header):
            raise StdSearchError(f"{path}:1: two columns have one name; rename one")
        for row in rows:
            if len(row) != len(header):
                raise StdSearchError(f"{places[-1]}: {len(row)} fields under {len(header)} columns; correct the row")
            yield places[-1], dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise StdSearchError(f"{places[-1]}: no row of a table ({error}); correct it") from error


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for place, line in text_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise StdSearchError(f"{place}: no JSON ({error}); give an object a line") from error
        if not isinstance(row, dict):
            raise StdSearchError(f"{place}: no JSON object; give an object a line")
        yield place, {name: "" if value is None else str(value) for name, value in row.items()}
