"""Frames on disk: what the network made of each recording channel, for exact spans and alignment while searching.

frames/SHARD.arrow is an Arrow IPC file, one row a block: recording_id, channel, first_frame, n_frames, and the block's
frames (n_frames, width) as 8-bit codes with one `low` and one `step` (float32) per column:

    frames = low + step * codes,      step = (largest - smallest) / 255 of the column in the block

so a value is off by at most step / 2. It is memory-mapped: reading a region touches the pages that hold it, no others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from stdsearch import kernels
from stdsearch.archive.parts import damaged

BATCH_BYTES = 4 << 20  # codes held before a record batch is written

LARGEST = 1e6  # of a frame's values: log-mel, normalised vectors and attention logits stay far below

_LEVELS = 255


@dataclass(frozen=True, slots=True)
class QuantisedFrames:
    """Frames (n, width) as codes uint8 (n, width), with low and step float32 (width,)."""

    codes: np.ndarray
    low: np.ndarray
    step: np.ndarray

    def values(self) -> np.ndarray:
        """(n, width) float32."""
        return self.codes * self.step + self.low

    def between(self, first: int, last: int) -> "QuantisedFrames":
        """Frames [first, last) alone."""
        return QuantisedFrames(self.codes[first:last], self.low, self.step)


def dequantise(pieces: Sequence[QuantisedFrames], width: int) -> np.ndarray:
    """The values of pieces (n_i, width) end to end, (Σ n_i, width) float32; equals their `values`, one by one."""
    if not pieces:
        return np.empty((0, width), np.float32)
    offsets = np.cumsum([0, *(len(piece.codes) for piece in pieces)])
    codes, low, step = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("codes", "low", "step"))
    return kernels.dequantise(codes, low.reshape(-1, width), step.reshape(-1, width), offsets)


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
    """Reads pieces of one shard's frames through a memory map; raises StdSearchError if the file is not one."""

    def __init__(self, path: Path, width: int) -> None:
        self.path = path
        self._width = width
        self._rows: dict[tuple[int, int], list[tuple[int, int, pa.RecordBatch, int]]] = {}
        self._blocks: dict[tuple[int, int], list[tuple[int, QuantisedFrames]]] = {}
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
                if not file.schema.equals(_schema(width)):
                    raise ValueError(f"its columns are not those of frames of {width} values")
                batches = [file.get_batch(number) for number in range(file.num_record_batches)]
            for batch in batches:
                batch.validate(full=True)
                if any(column.null_count for column in batch.columns):
                    raise ValueError("it lacks values")
                names = ("recording_id", "channel", "first_frame", "n_frames")
                blocks = zip(*(batch[name].to_pylist() for name in names), strict=True)
                for row, (recording_id, channel, first, n_frames) in enumerate(blocks):
                    self._rows.setdefault((recording_id, channel), []).append((first, n_frames, batch, row))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(path, error) from error

    def pieces(self, recording_id: int, channel: int, first: int, last: int) -> list[tuple[int, QuantisedFrames]]:
        """Frames [first, last), clipped to what there is, in the blocks that hold them: the first's number, frames."""
        return [
            (max(first, begin), block.between(max(0, first - begin), last - begin))
            for begin, block in self._blocks_of(recording_id, channel)
            if begin < last and first < begin + len(block.codes)
        ]

    def blocks(self, recording_id: int) -> Iterator[tuple[int, int, QuantisedFrames]]:
        """A recording's blocks as they were written: channel, first frame, frames."""
        channels = [channel for recording, channel in self._rows if recording == recording_id]
        blocks = [
            (first, channel, block) for channel in channels for first, block in self._blocks_of(recording_id, channel)
        ]
        for first, channel, block in sorted(blocks, key=lambda block: block[:2]):
            yield channel, first, block

    def _blocks_of(self, recording_id: int, channel: int) -> list[tuple[int, QuantisedFrames]]:
        """First frame and frames of every block of a recording channel; looked up in Arrow's columns once."""
        key = recording_id, channel
        if key not in self._blocks:
            self._blocks[key] = [
                (first, self._block(batch, row, n_frames)) for first, n_frames, batch, row in self._rows.get(key, ())
            ]
        return self._blocks[key]

    def _block(self, batch: pa.RecordBatch, row: int, n_frames: int) -> QuantisedFrames:
        codes = np.frombuffer(batch["codes"][row].as_buffer(), np.uint8)
        if len(codes) != n_frames * self._width:
            raise damaged(self.path, f"a block of {n_frames} frames has {len(codes)} codes")
        low, step = (batch[name].values.to_numpy()[row * self._width :][: self._width] for name in ("low", "step"))
        if not (np.abs(low) + _LEVELS * np.abs(step) < LARGEST).all():  # nor nan
            raise damaged(self.path, "a block has frames that no encoder makes")
        return QuantisedFrames(codes.reshape(n_frames, self._width), low, step)


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
