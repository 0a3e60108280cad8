"""The catalog: every recording of an archive, with the user's own columns, one row each in catalog.parquet.

It is Parquet, queried through DuckDB in memory, and no DuckDB file: so it has the same bytes each time it is made,
opens in any version of DuckDB, is never locked, and cannot carry a view that reads other files.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stdsearch.archive.manifest import Counts, NextIds
from stdsearch.archive.parts import damaged
from stdsearch.errors import CONTROLS, StdSearchError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Recording:
    """What the catalog knows of a recording.

    path is the recording's name, unique in the archive: its path below the folder that was indexed. source is where
    the file was. duration is in seconds; bytes, sha256 and mtime_ns are the file's. shard is the stem of its segments
    and frames files; its segments have the ids from first_segment on. mtime_ns, in nanoseconds since 1970, is None
    where it does not tell one state of the file from the next.
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
    mtime_ns: int | None = None


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
        ("mtime_ns", pa.int64()),
    ]
)
OPTIONAL = "mtime_ns"  # a recording may lack it

SLACK = 1e-3  # seconds: what sums of durations may differ by
_ODD = rf"^$|(^|/)\.\.(/|$)|{CONTROLS}"


def write_catalog(path: Path, recordings: Sequence[Recording], metadata: pa.Table | None = None) -> None:
    """Write the catalog; metadata has a row for each recording, in their order, and columns of other names."""
    own = [field.name for field in fields(Recording)]
    table = pa.table({name: [getattr(recording, name) for recording in recordings] for name in own}, COLUMNS)
    if metadata is not None:
        for name, column in zip(metadata.column_names, metadata.columns, strict=True):
            table = table.append_column(name, column)
    pq.write_table(table, path.absolute(), compression="zstd")  # else a colon in it would look like a URI's


class Catalog:
    """The recordings of an archive, and the ids of those that fulfil a condition.

    Raises StdSearchError if the file is no catalog of so many recordings and ids.
    """

    def __init__(self, path: Path, counts: Counts, next_ids: NextIds) -> None:
        self.path = path
        try:
            if not path.is_file():  # a pipe, which may never end
                raise ValueError("it is no file")
            with pq.ParquetFile(path) as file:
                n_rows = file.metadata.num_rows
                # each row has checksum and name of its own, so that many rows need many bytes
                if n_rows != counts.recordings or n_rows > path.stat().st_size:
                    raise ValueError(f"it has {n_rows} recordings, not {counts.recordings}")
                schema = file.schema_arrow
                if not COLUMNS.equals(pa.schema(list(schema)[: len(COLUMNS)])):
                    raise ValueError("its columns are not a catalog's")
                names = schema.names
                if len({name.lower() for name in names}) < len(names) or odd_names(pa.array(names)):
                    raise ValueError("its columns have names that cannot be")
                self._table = file.read()
            self._table.validate(full=True)
            if complaint := _complaint(self._table, counts, next_ids):
                raise ValueError(complaint)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(path, error) from error

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

    @cached_property
    def ids(self) -> np.ndarray:
        """The ids (n,) int64 of all recordings, ascending."""
        return np.sort(self._table["recording_id"].to_numpy()).astype(np.int64)

    def durations(self, ids: np.ndarray) -> np.ndarray:
        """How many seconds recordings (n,) of the catalog last, (n,) float64."""
        return np.asarray(self._table["duration"].to_numpy()[self._rows(ids)])

    def paths(self, ids: np.ndarray) -> list[str]:
        """The paths (n,) of recordings (n,) of the catalog."""
        return list(self._table["path"].take(self._rows(ids)).to_pylist())

    def segments(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first segment (n,) of recordings (n,) of the catalog, and how many (n,) it has."""
        rows = self._rows(ids)
        first, n_segments = (self._table[name].to_numpy()[rows] for name in ("first_segment", "n_segments"))
        return first, n_segments

    def _rows(self, ids: np.ndarray) -> np.ndarray:
        """Where recordings (n,) of the catalog stand in its table; KeyError for one that it does not have."""
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        if (strange := self.ids[place] != ids).any():
            raise KeyError(int(np.asarray(ids)[strange][0]))
        return np.asarray(self._order[place])

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self._table["recording_id"].to_numpy(), kind="stable")

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
                found = [value for (value,) in connection.execute(query).fetchall()]
            except duckdb.Error as error:
                raise self._no_condition(condition, reason_of(error)) from error
        if not set(found) <= set(self.ids.tolist()):  # brackets that end the question and begin another
            raise self._no_condition(condition, "is more than a condition")
        return np.array(found, np.int64)

    def values(self, paths: Sequence[str], columns: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """What columns (n,) hold, (n,), of recordings by their paths.

        Raises StdSearchError, naming the columns there are, for one that there is not.
        """
        import duckdb

        names = ", ".join('"{}"'.format(name.replace('"', '""')) for name in ("path", *columns))
        with self.database() as connection:
            try:
                rows = connection.execute(
                    f"SELECT {names} FROM recordings WHERE path IN (SELECT unnest(?::VARCHAR[]))", [list(paths)]
                ).fetchall()
            except duckdb.Error as error:
                raise StdSearchError(f"{reason_of(error)}; the columns are {', '.join(self.columns)}") from error
        return {path: tuple(values) for path, *values in rows}

    # quoted, for DuckDB complains of a leak at exit where an annotation holds on to its type
    def database(self) -> "duckdb.DuckDBPyConnection":
        """A new database in memory whose one table, recordings, is the catalog; `lock` it before strangers' SQL."""
        import duckdb

        connection = duckdb.connect(":memory:", config={"threads": 1, "temp_directory": ""})
        try:
            connection.register("catalog", self._table)
            connection.execute("CREATE TABLE recordings AS SELECT * FROM catalog")
            connection.unregister("catalog")
        except duckdb.Error as error:  # a column of a type that DuckDB does not know
            connection.close()
            raise damaged(self.path, reason_of(error)) from error
        return connection

    def _no_condition(self, condition: str, reason: str) -> StdSearchError:
        shown = " ".join(condition.split())
        return StdSearchError(f"where {shown!r}: {reason}; the columns are {', '.join(self.columns)}")


def _complaint(table: pa.Table, counts: Counts, next_ids: NextIds) -> str | None:
    """What contradicts itself, or the counts, in a table with a catalog's columns; None if nothing does."""
    if any(table[name].null_count for name in COLUMNS.names if name != OPTIONAL):
        return "it lacks values"
    ids, channels, first, n_segments, seconds = (
        table[name].to_numpy() for name in ("recording_id", "channels", "first_segment", "n_segments", "duration")
    )
    if not ((ids >= 0) & (ids < next_ids.recording)).all():
        return f"it has recordings with ids beyond {next_ids.recording}"
    if len(np.unique(ids)) < len(ids):
        return "it has two recordings of one id"
    if not ((first >= 0) & (n_segments >= 0) & (first <= next_ids.segment - n_segments)).all():
        return f"it has segments with ids beyond {next_ids.segment}"
    if not ((channels >= 1) & (seconds >= 0)).all():  # which nan is not
        return "it has recordings without channels or duration"
    if channels.sum(dtype=np.int64) != counts.channels:
        return f"its recordings have {channels.sum(dtype=np.int64)} channels, not {counts.channels}"
    held = np.flatnonzero(n_segments)
    held = held[np.argsort(first[held], kind="stable")]
    if (first[held][1:] < (first + n_segments)[held][:-1]).any():
        return "segments belong to two recordings"
    if (total := int(n_segments.sum())) != counts.segments:  # no more than there are ids
        return f"its recordings have {total} segments, not {counts.segments}"
    if not abs((lasting := float(seconds.sum())) - counts.seconds) <= SLACK:
        return f"its recordings last {lasting} s, not {counts.seconds} s"
    if len(pc.unique(table["path"])) < len(table):
        return "it has two recordings of one path"
    if odd_names(table["path"]) or odd_names(table["source"]):
        return "it has recordings with names that no file below a folder has"
    return None


def odd_names(names: pa.Array | pa.ChunkedArray) -> list[str]:
    """Those names of strings that are empty, reach out of their folder, or have control characters."""
    return list(names.filter(pc.match_substring_regex(names, _ODD)).to_pylist())


def lock(connection: "duckdb.DuckDBPyConnection") -> None:
    """From now on the database sees no file, no network and no variable of Python, and stays so."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET lock_configuration = true")


def reason_of(error: "duckdb.Error") -> str:
    """DuckDB's complaint in a line, without its guesses and the query that it repeats."""
    first_line = str(error).splitlines()[0]
    unknown = re.search(r'Referenced column "(.+?)" (?:was )?not found', first_line)
    return f"there is no column {unknown[1]!r}" if unknown else first_line
