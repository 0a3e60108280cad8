"""Segments on disk: slices of a recording channel, each with one embedding.

segments/SHARD.parquet is the truth: segment_id int64, recording_id int32, channel int16, tbeg float64 and dur float32
in seconds, embedding as `dim` int8 codes in a fixed-size binary. `archive.spans` says again what the small columns do.

An embedding has length 1, so its direction is all there is to store: codes are its values, scaled so that the largest
is 127 and rounded, and the embedding is codes / |codes|. A cosine is off by some 0.001.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stdsearch.archive.maps import MappedFile
from stdsearch.archive.parts import damaged

ROW_GROUP = 8192  # rows: 1 MB of embeddings of 128 dimensions
_LARGEST = 127  # of the codes of an embedding
PAGE_HEADER = 30  # bytes: the longest header of a page without statistics; two headers have more than 32

PLACE = np.dtype([("recording_id", "<i4"), ("channel", "<i2"), ("tbeg", "<f8"), ("dur", "<f4")])
# a row group: where in the file of its shard, whose number is one of the archive's, the codes of its segments begin
GROUP = np.dtype([("first_segment", "<i8"), ("offset", "<i8"), ("n_segments", "<i4"), ("shard", "<i4")])


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """Where segments lie, as columns of one length n: channel counts from 1, tbeg and dur are in seconds."""

    recording_id: np.ndarray
    channel: np.ndarray
    tbeg: np.ndarray
    dur: np.ndarray

    def __len__(self) -> int:
        return len(self.recording_id)


def to_codes(embeddings: np.ndarray) -> np.ndarray:
    """Codes (n, dim) int8 of embeddings (n, dim); of `from_codes` these same codes. What is no number has codes of 0.

    >>> to_codes(np.array([[0.6, -0.8], [np.nan, 1.0]]))
    array([[  95, -127],
           [   0,    0]], dtype=int8)
    """
    values = np.asarray(embeddings, np.float32)
    largest = np.abs(values).max(axis=1, keepdims=True)
    sound = np.isfinite(largest) & (largest > 0)
    return np.rint(_LARGEST * np.where(sound, values, 0) / np.where(sound, largest, 1)).astype(np.int8)


def from_codes(codes: np.ndarray) -> np.ndarray:
    """Embeddings (n, dim) float32, L2-normalised, of codes (n, dim); codes of 0 stay 0."""
    values = codes.astype(np.float32)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1)
    return values


class SegmentWriter:
    """Writes one shard's segments, numbered from first_id, in row groups of ROW_GROUP whatever the calls' sizes."""

    def __init__(self, path: Path, dim: int, *, first_id: int) -> None:
        self.next_id = first_id
        self._schema = _schema(dim)
        small = [name for name in self._schema.names if name != "embedding"]
        self._writer = pq.ParquetWriter(
            path.absolute(),  # else a colon in it would look like a URI's
            self._schema,
            compression={**dict.fromkeys(small, "zstd"), "embedding": "none"},
            use_dictionary=small,
            write_statistics=small,
            data_page_size=1 << 30,  # a row group is one page, from which `SegmentReader` takes rows as they lie
        )
        self._held: list[pa.RecordBatch] = []
        self._n_held = 0

    def __enter__(self) -> "SegmentWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write(self._n_held)
        self._writer.close()

    def write(self, segments: SegmentTable, codes: np.ndarray) -> None:
        """Append segments with the codes (n, dim) int8 of their embeddings."""
        n = len(segments)
        columns = [
            pa.array(np.arange(self.next_id, self.next_id + n)),
            pa.array(segments.recording_id, pa.int32()),
            pa.array(segments.channel, pa.int16()),
            pa.array(segments.tbeg, pa.float64()),
            pa.array(np.asarray(segments.dur, np.float32)),
            _as_binary(codes),
        ]
        self._held.append(pa.record_batch(columns, schema=self._schema))
        self.next_id += n
        self._n_held += n
        if self._n_held >= ROW_GROUP:
            self._write(self._n_held - self._n_held % ROW_GROUP)

    def _write(self, n: int) -> None:
        table = pa.Table.from_batches(self._held, self._schema)
        self._writer.write_table(table.slice(0, n), row_group_size=ROW_GROUP)
        self._held = table.slice(n).to_batches()
        self._n_held -= n


class SegmentReader:
    """Reads one shard's segments; raises StdSearchError if the file is no such Parquet file.

    scattered: as in `maps.MappedFile`.
    """

    def __init__(self, path: Path, dim: int, *, scattered: bool = False) -> None:
        self.path = path
        self._dim = dim
        try:
            self._mapped = MappedFile(path, scattered=scattered)
            self._file = pq.ParquetFile(pa.BufferReader(self._mapped.bytes))
            self._bytes = np.frombuffer(self._mapped.bytes, np.uint8)
            schema = self._file.schema_arrow
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(path, error) from error
        if not schema.equals(_schema(dim)):
            raise damaged(path, f"its columns are not those of segments with embeddings of {dim} int8")
        self._embedding = schema.get_field_index("embedding")  # the number of the column
        facts = self._file.metadata
        self._n_rows = int(facts.num_rows)
        groups = [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]
        whole, rest = divmod(len(self), ROW_GROUP)
        if any(groups) and groups != [ROW_GROUP] * whole + [rest] * bool(rest):
            raise damaged(path, "its rows are not grouped as those of segments are")
        if len(self) * dim > len(self._bytes):  # embeddings are stored as they are
            raise damaged(path, f"it is too short for {len(self)} segments")

    def __len__(self) -> int:
        return self._n_rows

    @cached_property
    def first_id(self) -> int:
        """The id of the first segment, the least; the others' follow it."""
        if not len(self):
            return 0
        statistics = self._file.metadata.row_group(0).column(0).statistics
        if statistics is None or not statistics.has_min_max:
            raise damaged(self.path, "it does not tell the least id of its segments")
        return int(statistics.min)

    def ids(self) -> np.ndarray:
        """The ids (n,) int64, which follow each other from first_id on."""
        return np.asarray(self._read(["segment_id"])["segment_id"].to_numpy())

    def places(self) -> np.ndarray:
        """The small columns as a (n,) array of dtype PLACE."""
        table = self._read(list(PLACE.names or ()))
        places = np.empty(len(self), PLACE)
        for name in table.column_names:
            places[name] = table[name].to_numpy()
        return places

    def embeddings(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All ids (n,) int64 in order with their embeddings (n, dim) float32, up to ROW_GROUP of them at a time."""
        self._mapped.read_through()
        first = self.first_id
        for codes in self.codes:
            yield np.arange(first, first + len(codes)), from_codes(codes)
            first += len(codes)

    def codes_at(self, rows: np.ndarray) -> np.ndarray:
        """Codes (n, dim) int8 of some rows of the shard."""
        taken, groups = np.empty((len(rows), self._dim), np.int8), rows // ROW_GROUP
        for group in np.unique(groups):
            here = groups == group
            taken[here] = self.codes[group][rows[here] % ROW_GROUP]
        return taken

    @cached_property
    def codes(self) -> list[np.ndarray]:
        """The codes (n, dim) int8 of each row group, in the memory map."""
        return [
            self._bytes[begin : begin + n * self._dim].view(np.int8).reshape(n, self._dim)
            for begin, n in zip(self.groups["offset"].tolist(), self.groups["n_segments"].tolist(), strict=True)
        ]

    @cached_property
    def groups(self) -> np.ndarray:
        """Where the codes of the row groups lie: (n,) of dtype GROUP, shard left at 0."""
        n_groups = self._file.num_row_groups if len(self) else 0
        groups = np.zeros(n_groups, GROUP)
        groups["first_segment"] = self.first_id + ROW_GROUP * np.arange(n_groups)
        for group in range(n_groups):
            groups["n_segments"][group] = n = min(ROW_GROUP, len(self) - group * ROW_GROUP)
            groups["offset"][group] = self._begin_of(group, n)
        return groups

    def _begin_of(self, group: int, n_rows: int) -> int:
        """Where in the file a row group's codes begin; raises StdSearchError unless they are one page."""
        column = self._file.metadata.row_group(group).column(self._embedding)
        n_bytes, end = n_rows * self._dim, column.data_page_offset + column.total_compressed_size
        is_plain = column.compression == "UNCOMPRESSED" and not column.has_dictionary_page
        is_plain = is_plain and column.num_values == n_rows
        is_there = 0 < column.data_page_offset <= end - n_bytes and end <= len(self._bytes)
        if not (is_plain and is_there and 0 < column.total_compressed_size - n_bytes <= PAGE_HEADER):
            raise damaged(self.path, "its embeddings are not one page for each row group, without compression")
        return int(end - n_bytes)

    def _read(self, columns: list[str]) -> pa.Table:
        try:
            return self._file.read(columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self.path, error) from error


def _schema(dim: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("segment_id", pa.int64(), nullable=False),
            pa.field("recording_id", pa.int32(), nullable=False),
            pa.field("channel", pa.int16(), nullable=False),
            pa.field("tbeg", pa.float64(), nullable=False),
            pa.field("dur", pa.float32(), nullable=False),
            pa.field("embedding", pa.binary(dim), nullable=False, metadata={"dtype": "int8"}),
        ]
    )


def _as_binary(codes: np.ndarray) -> pa.Array:
    n, dim = codes.shape
    if codes.dtype != np.int8:
        raise ValueError(f"codes are {codes.dtype}, not int8")
    return pa.Array.from_buffers(pa.binary(dim), n, [None, pa.py_buffer(np.ascontiguousarray(codes))])
