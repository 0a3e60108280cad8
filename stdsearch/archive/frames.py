"""Frames on disk: what the network made of each recording channel, for exact spans and alignment while searching.

frames/SHARD.arrow is an Arrow IPC file, one row a block: recording_id, channel, first_frame, n_frames, and the block's
frames (n_frames, width) as 8-bit codes with one `low` and one `step` (float32) per column:

    frames = low + step * codes,      step = (largest - smallest) / 255 of the column in the block

so a value is off by at most step / 2. It is memory-mapped: reading a region touches the pages that hold it, no others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from stdsearch.archive.maps import MappedFile
from stdsearch.archive.parts import damaged

BATCH_BYTES = 4 << 20  # codes held before a record batch is written

LARGEST = 1e6  # of a frame's values: log-mel, normalised vectors and attention logits stay far below

_LEVELS = 255

# a block: where in the file of its shard, whose number is one of the archive's, its codes, lows and steps begin
BLOCK = np.dtype(
    [
        ("codes", "<i8"),
        ("low", "<i8"),
        ("step", "<i8"),
        ("recording_id", "<i4"),
        ("channel", "<i4"),
        ("first_frame", "<i4"),
        ("n_frames", "<i4"),
        ("shard", "<i4"),
    ]
)


@dataclass(frozen=True, slots=True)
class QuantisedFrames:
    """Frames (n, width) as codes uint8 (n, width), with low and step float32 (width,)."""

    codes: np.ndarray
    low: np.ndarray
    step: np.ndarray

    def values(self) -> np.ndarray:
        """(n, width) float32."""
        return self.codes * self.step + self.low


def quantise(hidden: np.ndarray) -> QuantisedFrames:
    """Frames (n, width), n > 0, in 8 bits each."""
    low = hidden.min(axis=0)
    step = (hidden.max(axis=0) - low) / _LEVELS
    codes = np.rint((hidden - low) / np.where(step > 0, step, 1))
    return QuantisedFrames(codes.clip(0, _LEVELS).astype(np.uint8), low.astype(np.float32), step.astype(np.float32))


class FrameWriter:
    """Writes one shard's blocks of frames, each recording's blocks together."""

    def __init__(self, path: Path, width: int) -> None:
        self._width = width
        self._schema = _schema(width)
        self._writer = pa.ipc.new_file(path, self._schema)
        self._held: list[tuple[int, int, int, QuantisedFrames]] = []
        self._held_bytes = 0

    def __enter__(self) -> "FrameWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write()
        self._writer.close()

    def write(self, recording_id: int, channel: int, first_frame: int, frames: QuantisedFrames) -> None:
        """Append a block."""
        if frames.codes.shape[1] != self._width:
            raise ValueError(f"frames are {frames.codes.shape[1]} wide, not {self._width}")
        self._held.append((recording_id, channel, first_frame, frames))
        self._held_bytes += frames.codes.size
        if self._held_bytes >= BATCH_BYTES:
            self._write()

    def _write(self) -> None:
        if not self._held:
            return
        recording_id, channel, first_frame, blocks = zip(*self._held, strict=True)
        columns = [
            pa.array(recording_id, pa.int32()),
            pa.array(channel, pa.int16()),
            pa.array(first_frame, pa.int32()),
            pa.array([len(block.codes) for block in blocks], pa.int32()),
            pa.FixedSizeListArray.from_arrays(np.concatenate([block.low for block in blocks]), self._width),
            pa.FixedSizeListArray.from_arrays(np.concatenate([block.step for block in blocks]), self._width),
            pa.array([block.codes.tobytes() for block in blocks], pa.large_binary()),
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        self._held, self._held_bytes = [], 0


class FrameReader:
    """Reads one shard's frames through a memory map; raises StdSearchError if the file is not one.

    table (n,) of dtype BLOCK tells where the blocks lie, in the order of the file; shard is left at 0.
    scattered: as in `maps.MappedFile`.
    """

    def __init__(self, path: Path, width: int, *, scattered: bool = False) -> None:
        self.path = path
        self._width = width
        try:
            self._mapped = MappedFile(path, scattered=scattered)
            with pa.ipc.open_file(self._mapped.bytes) as file:
                if not file.schema.equals(_schema(width)):
                    raise ValueError(f"its columns are not those of frames of {width} values")
                self._batches = [file.get_batch(number) for number in range(file.num_record_batches)]
            for batch in self._batches:
                batch.validate(full=True)
                if any(column.null_count for column in batch.columns):
                    raise ValueError("it lacks values")
            tables = [_located(batch, width, self._mapped.bytes) for batch in self._batches]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(path, error) from error
        self.table = np.concatenate([np.empty(0, BLOCK), *tables])

    def blocks(self, recording_id: int) -> Iterator[tuple[int, int, QuantisedFrames]]:
        """A recording's blocks by their first frames and channels: channel, first frame, frames."""
        self._mapped.read_through()
        rows = np.flatnonzero(self.table["recording_id"] == recording_id)
        firsts = np.cumsum([0, *(len(batch) for batch in self._batches)])
        for row in rows[np.lexsort((self.table["channel"][rows], self.table["first_frame"][rows]))]:
            number = int(np.searchsorted(firsts, row, side="right")) - 1
            block = self._block(self._batches[number], int(row - firsts[number]))
            yield int(self.table["channel"][row]), int(self.table["first_frame"][row]), block

    def _block(self, batch: pa.RecordBatch, row: int) -> QuantisedFrames:
        codes = np.frombuffer(batch["codes"][row].as_buffer(), np.uint8)
        low, step = (batch[name].values.to_numpy()[row * self._width :][: self._width] for name in ("low", "step"))
        if not (np.abs(low) + _LEVELS * np.abs(step) < LARGEST).all():  # nor nan
            raise damaged(self.path, "a block has frames that no encoder makes")
        return QuantisedFrames(codes.reshape(-1, self._width), low, step)


def _located(batch: pa.RecordBatch, width: int, file: pa.Buffer) -> np.ndarray:
    """The blocks of a batch that is valid; raises ValueError where they contradict it, or do not lie in the file."""
    table = np.zeros(len(batch), BLOCK)
    for name in ("recording_id", "channel", "first_frame", "n_frames"):
        table[name] = batch[name].to_numpy()
    if not len(batch):
        return table
    codes = batch["codes"]
    offsets = np.frombuffer(codes.buffers()[1], np.int64)[codes.offset :][: len(batch) + 1]
    if (np.diff(offsets) != table["n_frames"] * width).any():
        raise ValueError("a block has more or fewer codes than frames")
    held = codes.buffers()[2]
    table["codes"] = offsets[:-1] + (held.address - file.address if held is not None else 0)
    for name in ("low", "step"):
        values = batch[name].values
        table[name] = values.buffers()[1].address - file.address + 4 * (values.offset + np.arange(len(batch)) * width)
    ends = {"codes": np.diff(offsets), "low": 4 * width, "step": 4 * width}
    if not all(((table[name] >= 0) & (table[name] <= file.size - size)).all() for name, size in ends.items()):
        raise ValueError("it is compressed")
    if (table["low"] % 4).any() or (table["step"] % 4).any():
        raise ValueError("its numbers do not lie where numbers can")
    return table


def _schema(width: int) -> pa.Schema:
    return pa.schema(
        [
            ("recording_id", pa.int32()),
            ("channel", pa.int16()),
            ("first_frame", pa.int32()),
            ("n_frames", pa.int32()),
            ("low", pa.list_(pa.float32(), width)),
            ("step", pa.list_(pa.float32(), width)),
            ("codes", pa.large_binary()),
        ]
    )
