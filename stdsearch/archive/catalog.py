"""The catalog: every recording of an archive, with the user's own columns, one row each in catalog.parquet.

It is Parquet, queried through DuckDB in memory, and no DuckDB file: so it has the same bytes each time it is made,
opens in any version of DuckDB, is never locked, and cannot carry a view that reads other files.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stdsearch.archive.parts import damaged
from stdsearch.errors import StdSearchError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Recording:
    """What the catalog knows of a recording.

    path is the recording's name, unique in the archive: its path below the folder that was indexed. source is where
    the file was. duration is in seconds; bytes and sha256 are the file's. shard is the stem of its segments and frames
    files; its segments have the ids from first_segment on.
    """

    recording_id: int
    path: str
    source: str
    sha256: str
    bytes: int
    duration: float
    channels: int
    sample_rate: int
    shard: str
    first_segment: int
    n_segments: int


COLUMNS = pa.schema(
    [
        ("recording_id", pa.int32()),
        ("path", pa.string()),
        ("source", pa.string()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("duration", pa.float64()),
        ("channels", pa.int16()),
        ("sample_rate", pa.int32()),
        ("shard", pa.string()),
        ("first_segment", pa.int64()),
        ("n_segments", pa.int64()),
    ]
)


def write_catalog(path: Path, recordings: Sequence[Recording], metadata: pa.Table | None = None) -> None:
    """Write the catalog; metadata has a row for each recording, in their order, and columns of other names."""
    own = [field.name for field in fields(Recording)]
    table = pa.table({name: [getattr(recording, name) for recording in recordings] for name in own}, COLUMNS)
    if metadata is not None:
        for name, column in zip(metadata.column_names, metadata.columns, strict=True):
            table = table.append_column(name, column)
    pq.write_table(table, path, compression="zstd")


class Catalog:
    """The recordings of an archive, and the ids of those that fulfil a condition."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._table = pq.ParquetFile(
                path
            ).read()  # read_table would import pyarrow.dataset, as long as all else here
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error) from error
        if not COLUMNS.equals(pa.schema(list(self._table.schema)[: len(COLUMNS)])):
            raise damaged(path, "its columns are not a catalog's")

    @property
    def columns(self) -> list[str]:
        """The names that a condition may use."""
        return list(self._table.column_names)

    @property
    def metadata(self) -> pa.Table:
        """The user's own columns."""
        return self._table.select(self.columns[len(COLUMNS) :])

    def recordings(self) -> dict[int, Recording]:
        """Every recording by its id."""
        rows = zip(*(self._table[name].to_pylist() for name in COLUMNS.names), strict=True)
        return {row[0]: Recording(*row) for row in rows}

    def where(self, condition: str) -> np.ndarray:
        """The ids (n,) int64, ascending, of the recordings for which an SQL condition holds.

        The condition sees the catalog's columns and nothing else: no other file, no other table.
        Raises StdSearchError, naming the columns there are, if it is no such condition.
        """
        import duckdb

        if not condition.strip():
            raise self._no_condition(condition, "is empty")
        query = f"SELECT recording_id FROM recordings WHERE (\n{condition}\n) ORDER BY recording_id"
        with self.database() as connection:
            lock(connection)
            try:
                if len(connection.extract_statements(query)) != 1:
                    raise self._no_condition(condition, "more than one statement")
                found = connection.execute(query).fetchall()
            except duckdb.Error as error:
                raise self._no_condition(condition, reason_of(error)) from error
        return np.array(found, np.int64).reshape(-1)

    # quoted, for DuckDB complains of a leak at exit where an annotation holds on to its type
    def database(self) -> "duckdb.DuckDBPyConnection":
        """A new database in memory whose one table, recordings, is the catalog; `lock` it before strangers' SQL."""
        import duckdb

        connection = duckdb.connect(":memory:", config={"threads": 1, "temp_directory": ""})
        connection.register("catalog", self._table)
        connection.execute("CREATE TABLE recordings AS SELECT * FROM catalog")
        connection.unregister("catalog")
        return connection

    def _no_condition(self, condition: str, reason: str) -> StdSearchError:
        shown = " ".join(condition.split())
        return StdSearchError(f"where {shown!r}: {reason}; the columns are {', '.join(self.columns)}")


def lock(connection: "duckdb.DuckDBPyConnection") -> None:
    """From now on the database sees no file, no network and no variable of Python, and stays so."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET lock_configuration = true")


def reason_of(error: "duckdb.Error") -> str:
    """DuckDB's complaint in a line, without its guesses and the query that it repeats."""
    first_line = str(error).splitlines()[0]
    unknown = re.search(r'Referenced column "([^"]+)" (?:was )?not found', first_line)
    return f"there is no column {unknown[1]!r}" if unknown else first_line
