"""Hits as tables and JSON: CSV, Parquet, and the JSON of the query command, a document or a term a line.

The tables have a row for every hit and the columns kwid, term, recording, channel, tbeg, dur, score, decision.
JSON keeps everything; the tables lose terms without hits and the time each search took. What else is known of a
recording can be written beside its hits, in CSV and JSON; readers pass it over.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from stdsearch.errors import StdSearchError
from stdsearch.formats.source import open_bytes, open_lines
from stdsearch.formats.values import (
    LARGEST_WHOLE,
    LATEST,
    BadValueError,
    choice,
    decimal,
    finite,
    moment,
    named,
    plain,
    seconds,
    whole,
)
from stdsearch.types import Hit, TermHits

COLUMNS = ("kwid", "term", "recording", "channel", "tbeg", "dur", "score", "decision")
CSV_HEAD = ",".join(COLUMNS)
CSV_SPECIAL = re.compile(r'[",\r\n]')
NO_SPACE = re.compile(r"\S")


@dataclass(frozen=True, slots=True)
class Facts:
    """What else is known of recordings: names of facts (n,), and each recording's values (n,) in their order."""

    names: tuple[str, ...]
    of: Mapping[str, tuple[Any, ...]]

    def of_hit(self, hit: Hit) -> tuple[Any, ...]:
        """The values (n,) of the recording that a hit lies in."""
        return self.of[hit.recording] if self.names else ()


NO_FACTS = Facts((), {})


def write_csv(results: Sequence[TermHits], stream: TextIO, facts: Facts = NO_FACTS) -> None:
    """Write one row a hit below a row of names; facts are the last columns."""
    stream.write(",".join([CSV_HEAD, *map(_csv_field, facts.names)]) + "\n")
    for result in results:
        for hit in result.hits:
            fields = ("" if value is None else _csv_field(str(value)) for value in facts.of_hit(hit))
            stream.write(",".join([csv_row(result.kwid, result.term, hit), *fields]) + "\n")


def csv_row(kwid: str, term: str, hit: Hit) -> str:
    """The hit as a row of a CSV; the decision is YES or NO, numbers keep every digit.

    >>> csv_row("KW-1", "so, so", Hit("a.wav", 1, 0.5, 0.25, 0.75, True))
    'KW-1,"so, so",a.wav,1,0.500,0.250,0.750,YES'
    """
    numbers = f"{hit.channel},{decimal(hit.tbeg)},{decimal(hit.dur)},{decimal(hit.score)}"
    decision = "YES" if hit.decision else "NO"
    return f"{_csv_field(kwid)},{_csv_field(term)},{_csv_field(hit.recording)},{numbers},{decision}"


def _csv_field(text: str) -> str:
    """The text in quotes where it must be; Python's own writer leaves a lone carriage return bare."""
    return '"{}"'.format(text.replace('"', '""')) if CSV_SPECIAL.search(text) else text


def read_csv(path: str | Path) -> list[TermHits]:
    """The hits of a CSV file with the columns above, in any order; other columns are passed over.

    Raises StdSearchError if the file is unreadable, a column is missing or a value unsound.
    """
    with open_lines(path) as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise BadValueError(f"lacks the column {', '.join(missing)}; the first line must name the columns")
            return gather(_csv_row(row) for row in reader)
        except (csv.Error, BadValueError) as error:
            raise StdSearchError(f"{path}:{max(reader.reader.line_num, 1)}: {error}") from error


def _csv_row(row: dict[str, Any]) -> tuple[str, str, Hit]:
    if None in row or None in row.values():
        raise BadValueError("the row has more or fewer fields than the first line names")
    hit = Hit(
        named("recording", row["recording"]),
        whole("channel", row["channel"]),
        moment("tbeg", row["tbeg"]),
        seconds("dur", row["dur"]),
        finite("score", row["score"]),
        choice("decision", row["decision"], ("YES", "NO")) == "YES",
    )
    return named("kwid", row["kwid"]), row["term"], hit


def gather(rows: Iterable[tuple[str, str, Hit]]) -> list[TermHits]:
    """The rows (kwid, term, hit) as one TermHits a kwid, in order of appearance, best hits first."""
    terms: dict[str, str] = {}
    hits: dict[str, list[Hit]] = {}
    for kwid, term, hit in rows:
        _check_one_term(kwid, terms.setdefault(kwid, term), term)
        hits.setdefault(kwid, []).append(hit)
    return [TermHits(kwid, term, best_first(hits[kwid])) for kwid, term in terms.items()]


def _check_one_term(kwid: str, one: str, other: str) -> None:
    if one != other:
        raise BadValueError(f"the kwid {kwid!r} stands for two terms, {one!r} and {other!r}")


def best_first(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    """The hits by falling score; equal scores keep their order."""
    return tuple(sorted(hits, key=lambda hit: -hit.score))


def write_parquet(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write one row a hit to the stream's buffer; the decision is a boolean."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = (pa.string(), pa.string(), pa.string(), pa.int32(), pa.float64(), pa.float64(), pa.float64(), pa.bool_())
    rows = [
        (result.kwid, result.term, hit.recording, hit.channel, hit.tbeg, hit.dur, hit.score, hit.decision)
        for result in results
        for hit in result.hits
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    table = pa.table({name: pa.array(column, kind) for name, column, kind in zip(COLUMNS, columns, types, strict=True)})
    pq.write_table(table, stream.buffer, compression="zstd")


def read_parquet(path: str | Path) -> list[TermHits]:
    """The hits of a Parquet file with the columns above; other columns are passed over.

    Raises StdSearchError if the file is unreadable, a column is missing or a value unsound.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_bytes(path) as stream:
        try:
            file = pq.ParquetFile(pa.BufferReader(stream.read()))  # a pipe cannot be read from its end
            if missing := [name for name in COLUMNS if name not in file.schema_arrow.names]:
                raise StdSearchError(f"{path}: lacks the column {', '.join(missing)}")
            if odd := [name for name in COLUMNS if pa.types.is_temporal(file.schema_arrow.field(name).type)]:
                raise StdSearchError(f"{path}: its column {odd[0]} is of dates; times are seconds from the beginning")
            rows = file.read(columns=list(COLUMNS)).to_pylist()
        except (pa.ArrowException, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise StdSearchError(f"{path}: not a sound Parquet file ({reason})") from error
    try:
        return gather((named("kwid", _typed(row, "kwid", str)), _typed(row, "term", str), _hit(row)) for row in rows)
    except BadValueError as error:
        raise StdSearchError(f"{path}: {error}") from error


def _hit(row: object) -> Hit:
    """The hit that a mapping of typed values (from JSON or Parquet) describes."""
    hit = Hit(
        named("recording", _typed(row, "recording", str)),
        _typed(row, "channel", int),
        _typed(row, "tbeg", float),
        _typed(row, "dur", float),
        _typed(row, "score", float),
        _typed(row, "decision", bool),
    )
    if not 0 <= hit.channel <= LARGEST_WHOLE or not 0 <= hit.dur <= LATEST or abs(hit.tbeg) > LATEST:
        raise BadValueError(f"channel, tbeg or dur is negative or too large in {repr(row)[:80]}")
    return hit


def _typed(row: object, name: str, kind: type) -> Any:
    """The value of that name, if it is of that kind; a whole number counts as float, but True never as a number."""
    value = row.get(name) if isinstance(row, dict) else None
    if kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return finite(name, str(value))
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise BadValueError(f"{name} is missing or not of type {kind.__name__} in {repr(row)[:80]}")


def write_json(results: Sequence[TermHits], stream: TextIO, facts: Facts = NO_FACTS) -> None:
    """Write a list of terms with their hits, one term a line; facts are each hit's `metadata`."""
    for index, result in enumerate(results):
        stream.write((",\n" if index else "[\n") + _json(result, facts))
    stream.write("\n]\n" if results else "[]\n")


def write_jsonl(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write one JSON document a line, each a term with its hits."""
    stream.writelines(f"{_json(result)}\n" for result in results)


def _json(result: TermHits, facts: Facts = NO_FACTS) -> str:
    hits = []
    for hit in result.hits:
        fields = {name: getattr(hit, name) for name in COLUMNS[2:]} | {"decision": "YES" if hit.decision else "NO"}
        if facts.names:
            fields["metadata"] = dict(zip(facts.names, map(plain, facts.of_hit(hit)), strict=True))
        hits.append(fields)
    document = {"kwid": result.kwid, "term": result.term, "search_seconds": result.search_seconds, "hits": hits}
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def read_json(path: str | Path) -> list[TermHits]:
    """The terms and hits of a file of one or more lists as `write_json` writes, in its order, one TermHits a kwid.

    Raises StdSearchError if the file is unreadable, not JSON, or not of that form.
    """
    with open_lines(path) as lines:
        try:
            documents = list(_values("".join(lines)))
        except (ValueError, RecursionError) as error:  # of a number of thousands of digits too
            raise StdSearchError(f"{path}: not sound JSON ({error})") from error
    if not all(isinstance(document, list) for document in documents):
        raise StdSearchError(f"{path}: holds no JSON list of terms; write one with `stdsearch query --format json`")
    try:
        return _one_a_kwid(map(_term_hits, chain.from_iterable(documents)))
    except BadValueError as error:
        raise StdSearchError(f"{path}: {error}") from error


def _values(text: str) -> Iterator[Any]:
    """The JSON values that stand one behind the other. Raises ValueError if there is none, or anything else."""
    decoder, begins = json.JSONDecoder(), NO_SPACE.search(text)
    if begins is None:
        raise ValueError("the file is empty")
    while begins:
        value, end = decoder.raw_decode(text, begins.start())
        yield value
        begins = NO_SPACE.search(text, end)


def read_jsonl(path: str | Path) -> list[TermHits]:
    """The terms and hits of a file written by `write_jsonl`, in its order; hits of one kwid come together.

    Raises StdSearchError if the file is unreadable, or a line is not JSON or not of that form.
    """
    results = []
    with open_lines(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                results.append(_term_hits(json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise StdSearchError(f"{path}:{number}: {error}") from error
    try:
        return _one_a_kwid(results)
    except BadValueError as error:
        raise StdSearchError(f"{path}: {error}") from error


def _one_a_kwid(results: Iterable[TermHits]) -> list[TermHits]:
    """The same with the hits of one kwid together, as of several archives whose files were put one behind the other."""
    gathered: dict[str, TermHits] = {}
    for result in results:
        if before := gathered.get(result.kwid):
            _check_one_term(result.kwid, before.term, result.term)
            hits = best_first((*before.hits, *result.hits))
            result = replace(before, hits=hits, search_seconds=before.search_seconds + result.search_seconds)
        gathered[result.kwid] = result
    return list(gathered.values())


def _json_hit(row: object) -> Hit:
    """The hit of a JSON object, whose decision is YES or NO."""
    decision = choice("decision", _typed(row, "decision", str), ("YES", "NO"))
    assert isinstance(row, dict)
    return _hit(row | {"decision": decision == "YES"})


def _term_hits(document: object) -> TermHits:
    kwid, term = named("kwid", _typed(document, "kwid", str)), _typed(document, "term", str)
    hits = _typed(document, "hits", list)
    return TermHits(kwid, term, best_first(map(_json_hit, hits)), _typed(document, "search_seconds", float))
