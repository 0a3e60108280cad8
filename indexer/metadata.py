"""The user's own columns for the catalog, from a table with a row for each recording."""

import glob
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from indexer.sources import Source
from stdsearch.archive import ArchiveReader
from stdsearch.archive.catalog import COLUMNS, odd_names
from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.formats.names import numbers_by_name

KEYS = ("recording", "path", "file")

_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The user's columns, with a row for each recording, empty where there is none; and the keys of rows left over."""

    columns: pa.Table
    unmatched: tuple[str, ...]


def read_metadata(path: Path, recordings: Sequence[str]) -> Metadata:
    """The columns of a CSV, TSV, Parquet, JSON or JSON lines file, matched to recordings by their names.

    A row names its recording in a column `recording`, `path` or `file`: the path below the indexed folder or the base
    name, with or without extension. Types are inferred by DuckDB.
    Raises StdSearchError if the file cannot be read, has no such column, names no recording, one twice or by a base
    name that several have, or has a column of a name that the catalog has already or cannot have.
    """
    table, key = _read(path)
    own = table.drop_columns([key])
    taken = [name for name in own.column_names if name.lower() in COLUMNS.names]
    if taken:
        raise StdSearchError(f"{path}: the catalog has a column {taken[0]!r} of its own; rename it")

    if odd := odd_names(pa.array(own.column_names, pa.string())):
        raise StdSearchError(f"{path}: has a column {odd[0]!r}, which no condition could name; rename it")
    for field in own.schema:
        try:
            pq.write_table(pa.schema([field]).empty_table(), io.BytesIO())
        except pa.ArrowException as error:
            raise StdSearchError(
                f"{path}: has a column {field.name!r} of a kind that cannot be kept ({field.type}); make it text"
            ) from error

    numbers = numbers_by_name(recordings)
    row_of: dict[int, int] = {}
    unmatched = []
    for row, value in enumerate("" if value is None else str(value) for value in table[key].to_pylist()):
        matches = numbers(value)
        if len(matches) > 1:
            raise StdSearchError(f"{path}: {value!r} is the name of {len(matches)} recordings; give their paths")
        if not matches:
            unmatched.append(value)
        elif row_of.setdefault(matches[0], row) != row:
            raise StdSearchError(f"{path}: has two rows for {recordings[matches[0]]!r}; keep one")
    if unmatched and not row_of:
        raise StdSearchError(f"{path}: no row names a recording, the first names {unmatched[0]!r}; give their paths")
    rows = pa.array([row_of.get(number) for number in range(len(recordings))], pa.int64())
    return Metadata(own.take(rows), tuple(unmatched))


def columns_for(
    recordings: Sequence[str],
    sources: Sequence[Source],
    metadata: Metadata | None,
    archive: ArchiveReader | None = None,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> pa.Table:
    """The columns, a row for each recording: of metadata, which has a row for each source, or else of an archive.

    renamed: what the archive's recordings are called now, where that is something else.
    """
    columns, row_of = pa.table({}), dict[str, int]()
    if metadata is not None:
        columns = metadata.columns
        row_of = {source.path: row for row, source in enumerate(sources)}
    elif archive is not None:
        columns = archive.metadata
        before = {recording.path: row for row, recording in enumerate(archive.recordings.values())}
        row_of = {path: row for path, row in before.items() if path not in renamed}
        row_of |= {now: before[path] for path, now in renamed.items()}
    if not columns.column_names:
        return columns
    return columns.take(pa.array([row_of.get(recording) for recording in recordings], pa.int64()))


def _read(path: Path) -> tuple[pa.Table, str]:
    """The table, and its column that tells the recordings, which stays text: `007` is no number there."""
    if not path.is_file():
        raise StdSearchError(f"{path}: no such file; check the path")
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise StdSearchError(f"{path}: metadata is read from {', '.join(_SUFFIXES)}; convert it to one of them")
    file = glob.escape(str(path))  # DuckDB would read every file that a pattern means
    with duckdb.connect(":memory:") as connection:
        try:
            if suffix == ".parquet":
                relation = connection.read_parquet(file, binary_as_string=True)  # old writers do not say which is text
            elif suffix in (".csv", ".tsv"):
                key = _key(path, connection.read_csv(file).columns)
                relation = connection.read_csv(file, dtype={key: "VARCHAR"}, sample_size=-1)
            else:
                found = connection.read_json(file, sample_size=-1)
                types = {name: str(kind) for name, kind in zip(found.columns, found.types, strict=True)}
                relation = connection.read_json(file, columns=types | {_key(path, found.columns): "VARCHAR"})
            return _in_utc(relation.to_arrow_table()), _key(path, relation.columns)
        except duckdb.Error as error:
            reason = str(error).partition("\n\n")[0]  # what follows is settings and guesses
            advice = "save it as UTF-8" if "utf-8" in reason.lower() else "mend it"
            raise StdSearchError(f"{path}: is no table that DuckDB reads ({in_a_line(reason)}); {advice}") from error


def _in_utc(table: pa.Table) -> pa.Table:
    """The table with moments in UTC, whatever the machine's time zone, so that archives of several can be merged."""
    fields = [
        field.with_type(pa.timestamp(field.type.unit, "UTC"))
        if pa.types.is_timestamp(field.type) and field.type.tz
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _key(path: Path, columns: Sequence[str]) -> str:
    by_name = {name.lower(): name for name in columns}
    key = next((by_name[name] for name in KEYS if name in by_name), None)
    if key is None:
        found = f"its columns are {', '.join(columns)}"
        if len(columns) == 1:
            found = f"its one column is {columns[0]!r}; a table whose rows differ in their number of fields looks so"
        raise StdSearchError(
            f"{path}: has no column {', '.join(KEYS[:-1])} or {KEYS[-1]} to tell the recordings; {found}"
        )
    return key
