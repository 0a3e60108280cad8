"""Segments on disk: slices of a recording channel, each with one embedding.

segments/SHARD.parquet is the truth: segment_id int64, recording_id int32, channel int16, tbeg float64 and dur float32
in seconds, embedding as `dim` float16 in a fixed-size binary. spans.npy holds the small columns of all shards again,
row = segment_id, so that a look-up is one read from a memory map; it can be made again from the Parquet files.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stdsearch.archive.parts import damaged

ROW_GROUP = 8192  # rows: 2 MB of embeddings of 128 dimensions
PAGE_HEADER = 30  # bytes: the longest header of a page without statistics; two headers have more than 32

_START = 10  # bytes before the text of a .npy header: a mark, the version, and the text's length in two bytes

SPAN = np.dtype([("recording_id", "<i4"), ("channel", "<i2"), ("tbeg", "<f8"), ("dur", "<f4")])


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """Where segments lie, as columns of one length n: channel counts from 1, tbeg and dur are in seconds."""

    recording_id: np.ndarray
    channel: np.ndarray
    tbeg: np.ndarray
    dur: np.ndarray

    def __len__(self) -> int:
        return len(self.recording_id)


class SegmentWriter:
    """Writes one shard's segments, numbered from first_id, in row groups of ROW_GROUP whatever the calls' sizes."""

    def __init__(self, path: Path, dim: int, *, first_id: int) -> None:
        self.next_id = first_id
        self._schema = _schema(dim)
        small = [name for name in self._schema.names if name != "embedding"]
        self._writer = pq.ParquetWriter(
            path,
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

    def write(self, segments: SegmentTable, embeddings: np.ndarray) -> None:
        """Append segments with their embeddings (n, dim)."""
        n = len(segments)
        columns = [
            pa.array(np.arange(self.next_id, self.next_id + n)),
            pa.array(segments.recording_id, pa.int32()),
            pa.array(segments.channel, pa.int16()),
            pa.array(segments.tbeg, pa.float64()),
            pa.array(np.asarray(segments.dur, np.float32)),
            _as_binary(embeddings),
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
    """Reads one shard's segments; raises StdSearchError if the file is no such Parquet file."""

    def __init__(self, path: Path, dim: int) -> None:
        self.path = path
        self._dim = dim
        try:
            with pa.memory_map(str(path)) as source:  # the map outlives the file: there may be thousands of shards
                self._bytes = source.read_buffer()
                self._file = pq.ParquetFile(pa.BufferReader(self._bytes))
            schema = self._file.schema_arrow
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(path, error) from error
        if not schema.equals(_schema(dim)):
            raise damaged(path, f"its columns are not those of segments with embeddings of {dim} float16")
        facts = self._file.metadata
        self._n_rows = int(facts.num_rows)
        groups = [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]
        whole, rest = divmod(len(self), ROW_GROUP)
        if any(groups) and groups != [ROW_GROUP] * whole + [rest] * bool(rest):
            raise damaged(path, "its rows are not grouped as those of segments are")
        if len(self) * 2 * dim > self._bytes.size:  # embeddings are stored as they are
            raise damaged(path, f"it is too short for {len(self)} segments")

    def __len__(self) -> int:
        return self._n_rows

    @cached_property
    def first_id(self) -> int:
        """The id of the first segment; the others' follow it."""
        return int(self._read(0, ["segment_id"])["segment_id"][0].as_py()) if len(self) else 0

    def ids(self) -> np.ndarray:
        """The ids (n,) int64, which follow each other from first_id on."""
        return np.asarray(self._read(None, ["segment_id"])["segment_id"].to_numpy())

    def spans(self) -> np.ndarray:
        """The small columns as a (n,) array of dtype SPAN."""
        table = self._read(None, list(SPAN.names or ()))
        spans = np.empty(len(self), SPAN)
        for name in table.column_names:
            spans[name] = table[name].to_numpy()
        return spans

    def embeddings(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All ids (n,) int64 in order with their embeddings (n, dim) float32, up to ROW_GROUP of them at a time."""
        first = self.first_id
        for group in range(self._file.num_row_groups):
            embeddings = self._embeddings(group).astype(np.float32)
            yield np.arange(first, first + len(embeddings)), embeddings
            first += len(embeddings)

    def embeddings_at(self, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float16 embeddings of some rows of the shard; raises StdSearchError where it has not so many."""
        if len(rows) and rows.view(np.uint64).max() >= len(self):  # as which negative ones are large
            raise damaged(self.path, "it lacks segments that recordings have")
        if self._are_as_they_lie:  # a few steps: a query reads some rows of each of hundreds of shards
            return self._window[self._origin_of[rows // ROW_GROUP] + rows * (2 * self._dim)].view(np.float16)
        taken, groups = np.empty((len(rows), self._dim), np.float16), rows // ROW_GROUP
        for group in np.unique(groups):
            here = groups == group
            taken[here] = self._embeddings(int(group))[rows[here] % ROW_GROUP]
        return taken

    @cached_property
    def _are_as_they_lie(self) -> bool:
        return bool((self._begin_of >= 0).all())

    @cached_property
    def _window(self) -> np.ndarray:
        """The bytes of an embedding, were one to begin at each byte of the file."""
        return np.lib.stride_tricks.sliding_window_view(np.frombuffer(self._bytes, np.uint8), 2 * self._dim)

    @cached_property
    def _origin_of(self) -> np.ndarray:
        """Where row 0 would begin if the rows before each row group's lay as its own do."""
        return self._begin_of - np.arange(len(self._begin_of)) * ROW_GROUP * 2 * self._dim

    @cached_property
    def _begin_of(self) -> np.ndarray:
        """Where in the file each row group's embeddings begin; -1 unless they are one page, as SegmentWriter's."""
        facts, place = self._file.metadata, self._file.schema_arrow.get_field_index("embedding")
        begins = np.full(facts.num_row_groups, -1)
        for group in range(facts.num_row_groups):
            column, n_rows = facts.row_group(group).column(place), facts.row_group(group).num_rows
            n_bytes, end = n_rows * 2 * self._dim, column.data_page_offset + column.total_compressed_size
            is_plain = column.compression == "UNCOMPRESSED" and not column.has_dictionary_page
            is_plain = is_plain and column.num_values == n_rows
            is_there = 0 < column.data_page_offset <= end - n_bytes and end <= self._bytes.size
            if is_plain and is_there and 0 < column.total_compressed_size - n_bytes <= PAGE_HEADER:
                begins[group] = end - n_bytes
        return begins

    def _embeddings(self, group: int) -> np.ndarray:
        column = self._read(group, ["embedding"])["embedding"].combine_chunks()
        values = np.frombuffer(column.buffers()[1], np.float16, count=len(column) * self._dim)
        return values.reshape(-1, self._dim)

    def _read(self, group: int | None, columns: list[str]) -> pa.Table:
        try:
            return self._file.read(columns) if group is None else self._file.read_row_group(group, columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self.path, error) from error


def write_spans(path: Path, shards: Sequence[SegmentReader], n_ids: int) -> None:
    """Gather the small columns of all shards in one .npy file of n_ids rows; rows of ids that no shard has are zero."""
    with path.open("wb") as file:  # no memory map, which a full disk would end with a signal
        begin = file.write(_header(n_ids))
        for shard in shards:
            if shard.first_id + len(shard) > n_ids:
                raise damaged(shard.path, f"its segments have ids beyond {n_ids}")
            file.seek(begin + shard.first_id * SPAN.itemsize)
            file.write(shard.spans().tobytes())
        file.truncate(begin + n_ids * SPAN.itemsize)


def open_spans(path: Path, n_ids: int) -> np.ndarray:
    """spans.npy, which has a row for each of so many ids, as a read-only memory map.

    Raises StdSearchError if it is not one. Its header is compared with what it must be, not evaluated.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_START)
            header = file.read(int.from_bytes(start[-2:], "little"))
            n_bytes = path.stat().st_size
        expected, begin = _header(n_ids), len(start) + len(header)
        # but for the header's padding
        is_right = start[:-2] == expected[: _START - 2] and header.split() == expected[_START:].split()
        if not is_right or n_bytes != begin + n_ids * SPAN.itemsize:
            raise ValueError(f"it does not have a row for each of {n_ids} ids of segments")
        return np.asarray(np.memmap(path, SPAN, "r", begin, (n_ids,))) if n_ids else np.empty(0, SPAN)
    except (ValueError, OSError) as error:
        raise damaged(path, error) from error


def _header(n_ids: int) -> bytes:
    """What a .npy file of so many spans begins with."""
    header = io.BytesIO()
    what = {"descr": np.lib.format.dtype_to_descr(SPAN), "fortran_order": False, "shape": (n_ids,)}
    np.lib.format.write_array_header_1_0(header, what)
    return header.getvalue()


def _schema(dim: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("segment_id", pa.int64(), nullable=False),
            pa.field("recording_id", pa.int32(), nullable=False),
            pa.field("channel", pa.int16(), nullable=False),
            pa.field("tbeg", pa.float64(), nullable=False),
            pa.field("dur", pa.float32(), nullable=False),
            pa.field("embedding", pa.binary(2 * dim), nullable=False, metadata={"dtype": "float16"}),
        ]
    )


def _as_binary(embeddings: np.ndarray) -> pa.Array:
    half = np.ascontiguousarray(embeddings, np.float16)
    n, dim = half.shape
    return pa.Array.from_buffers(pa.binary(2 * dim), n, [None, pa.py_buffer(half)])
