"""Questions in SQL over an archive, asked of DuckDB: two views, read only.

recordings has the catalog's columns, the user's own among them; segments has segment_id, recording_id, channel, tbeg
and dur of every segment, without those of removed recordings. Segments are read from the Parquet files when needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset

from stdsearch.archive.catalog import lock, reason_of
from stdsearch.archive.parts import damaged
from stdsearch.archive.reader import ArchiveReader
from stdsearch.errors import StdSearchError

SEGMENTS = pa.schema(
    [
        ("segment_id", pa.int64()),
        ("recording_id", pa.int32()),
        ("channel", pa.int16()),
        ("tbeg", pa.float64()),
        ("dur", pa.float32()),
    ]
)
ROWS_AT_ONCE = 4096
ANSWERING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)  # PIVOT is MULTI


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question gives: names of columns, and rows, which can be gone through once."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def select(archive: ArchiveReader, statement: str) -> Answer:
    """The answer to one SELECT over recordings and segments; it sees no other table, no file, no network.

    Raises StdSearchError, in one line, for what is no such statement.
    """
    connection = _database(archive)
    try:
        statements = connection.extract_statements(statement)
        if len(statements) != 1:
            raise _refused(statement, "more than one statement" if statements else "is empty")
        if statements[0].type not in ANSWERING:
            raise _refused(statement, "is no SELECT, and an archive is changed by other commands only")
        connection.execute(statements[0])
        columns = tuple(name for name, *_ in connection.description or ())
    except duckdb.Error as error:
        connection.close()
        raise _refused(statement, _why(error)) from error
    except StdSearchError:
        connection.close()
        raise
    return Answer(columns, _rows(archive, connection, statement))


def _database(archive: ArchiveReader) -> "duckdb.DuckDBPyConnection":
    connection = archive.database()
    shards = [str((archive.path / part.name).absolute()) for part in archive.manifest.parts["segments"]]
    try:
        stored = pyarrow.dataset.dataset(shards, SEGMENTS, format="parquet") if shards else SEGMENTS.empty_table()
    except (pa.ArrowException, OSError) as error:
        raise damaged(Path(shards[0]).parent, error) from error
    known = [number for (number,) in connection.execute("SELECT recording_id FROM recordings").fetchall()]
    is_known = pyarrow.dataset.field("recording_id").isin(pa.array(known, pa.int32()))
    connection.register("segments", stored.filter(is_known))
    lock(connection)
    return connection


def _rows(archive: ArchiveReader, connection: "duckdb.DuckDBPyConnection", statement: str) -> Iterator[tuple[Any, ...]]:
    """The rows as they come; until the last, the archive is held, whose files a writer could remove else."""
    with connection:
        try:
            while rows := connection.fetchmany(ROWS_AT_ONCE):
                yield from rows
        except duckdb.Error as error:
            raise _refused(statement, _why(error)) from error


def _why(error: duckdb.Error) -> str:
    reason = reason_of(error)
    missing = ("there is no column", "Catalog Error", "Binder Error")
    if not reason.startswith(missing):
        return reason
    return f'{reason}; the views are recordings and segments, and "DESCRIBE segments" tells the columns of one'


def _refused(statement: str, reason: str) -> StdSearchError:
    shown = " ".join(statement.split())
    return StdSearchError(f"sql {shown!r}: {reason}")
