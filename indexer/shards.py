"""Shards: some half an hour of recordings each, decoded, embedded and written in the order of their names.

The calling thread decodes and writes, worker threads run the network; no more than a few windows are held at a time.
What a shard holds depends on its recordings alone, not on timing, so the same input gives the same shards.
"""

import hashlib
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.embedding import ChannelBlock, Window, embed_window, windows
from indexer.journal import Shard
from indexer.sources import Source
from stdsearch import audio
from stdsearch.archive import Recording, SegmentTable
from stdsearch.archive.frames import FrameWriter
from stdsearch.archive.manifest import NextIds
from stdsearch.archive.parts import seal
from stdsearch.archive.segments import SegmentWriter
from stdsearch.encoder import Encoder
from stdsearch.errors import CONTROLS, StdSearchError, is_utf8
from stdsearch.slicing import SlicingSettings

SHARD_SECONDS = 1800.0  # of audio, at least: so much is embedded again after an interruption, or one recording
SHARD_SOURCES = 1000  # files, where they are tiny
CLOCK_STEP = 2_000_000_000  # nanoseconds: what FAT counts by; others count by milliseconds or less
BLOCK_SECONDS = 30.0  # decoded at a time

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is, earlier runs included: bytes of source files, recordings, and seconds of audio.

    kept counts the recordings that an interruption would leave, those of whole shards.
    """

    bytes: float = 0.0
    recordings: int = 0
    seconds: float = 0.0
    kept: int = 0

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(
            self.bytes + other.bytes,
            self.recordings + other.recordings,
            self.seconds + other.seconds,
            self.kept + other.kept,
        )


@dataclass(frozen=True, slots=True)
class _Task:
    """A window of a source, with what is known of the source."""

    source: Source
    mtime_ns: int | None
    sha256: str
    info: audio.AudioInfo
    window: Window

    def progress(self, frame_seconds: float) -> Progress:
        """How much of the source is done with this window, by what its header says of its duration."""
        seconds = self.window.last * frame_seconds
        share = 1.0 if self.window.is_final else seconds / max(seconds, self.info.duration)
        return Progress(share * self.source.bytes, int(self.window.is_final), seconds)


class _LateFailureError(Exception):
    """A source broke off when part of it was in the shard already."""

    def __init__(self, source: Source, complaint: str) -> None:
        super().__init__(complaint)
        self.source = source


class ShardBuilder:
    """Builds shards in `out`, one after the other, counting on from first_ids through all of them.

    done says how far things are before the first shard.
    """

    def __init__(
        self,
        out: Path,
        encoder: Encoder,
        settings: SlicingSettings,
        *,
        pool: ThreadPoolExecutor,
        ahead: int,
        on_progress: Callable[[Progress], None],
        first_ids: NextIds,
        done: Progress,
    ) -> None:
        self.next_ids = first_ids
        self.done = done
        self._out = out
        self._encoder = encoder
        self._settings = settings
        self._pool = pool
        self._ahead = ahead
        self._on_progress = on_progress

    def pass_over(self, shard: Shard) -> None:
        """Count a shard that is whole, and log its complaints."""
        for complaint in shard.complaints:
            _log.warning("%s (skipped)", complaint)
        ids = self.next_ids
        if shard.recordings:
            last = shard.recordings[-1]
            ids = NextIds(last.recording_id + 1, last.first_segment + last.n_segments)
        self.next_ids = replace(ids, shard=int(Path(shard.segments.name).stem) + 1)
        self.done += Progress(
            sum(source.bytes for source in shard.sources),
            len(shard.recordings),
            sum(recording.duration for recording in shard.recordings),
            kept=len(shard.recordings),
        )

    @property
    def next_stem(self) -> str:
        """What the next shard's files are called."""
        return shard_stem(self.next_ids.shard)

    def build(self, sources: Sequence[Source]) -> Shard:
        """The next shard, of as many of these sources as it takes; its parts are on the disk."""
        broken: dict[Source, str] = {}
        while True:
            try:
                shard = self._attempt(self.next_stem, sources, broken)
            except _LateFailureError as failure:
                broken[failure.source] = str(failure)
            else:
                self.pass_over(shard)
                return shard

    def _attempt(self, stem: str, sources: Sequence[Source], broken: dict[Source, str]) -> Shard:
        names = f"segments/{stem}.parquet", f"frames/{stem}.arrow"
        for name in names:
            (self._out / name).parent.mkdir(exist_ok=True)
        shape = self._encoder.settings
        recordings: list[Recording] = []
        complaints: list[str] = []
        with (
            SegmentWriter(self._out / names[0], shape.dim, first_id=self.next_ids.segment) as segments,
            FrameWriter(self._out / names[1], shape.frame_width) as frames,
        ):
            first_segment = self.next_ids.segment
            finished = self.done
            for task, blocks in self._embedded(
                _tasks(sources, self._settings, shape.frame_seconds, broken, complaints)
            ):
                recording_id = self.next_ids.recording + len(recordings)
                for block in blocks:
                    segments.write(_table(recording_id, block, shape.frame_seconds), block.codes)
                    frames.write(recording_id, block.channel, block.first_frame, block.frames)
                if task.window.is_final:
                    recordings.append(_recording(task, recording_id, stem, first_segment, segments.next_id))
                    first_segment = segments.next_id
                progress = finished + task.progress(shape.frame_seconds)
                if task.window.is_final:
                    finished = progress
                self._on_progress(progress)
        taken = tuple(sources[: len(recordings) + len(complaints)])
        return Shard(taken, tuple(recordings), tuple(complaints), *(seal(self._out, name) for name in names))

    def _embedded(self, tasks: Iterable[_Task]) -> Iterator[tuple[_Task, list[ChannelBlock]]]:
        """Each task and what its window gives, in order; the pool works on some tasks ahead."""
        under_way: deque[tuple[_Task, Future[list[ChannelBlock]]]] = deque()
        for task in tasks:
            under_way.append((task, self._pool.submit(embed_window, self._encoder, self._settings, task.window)))
            if len(under_way) > self._ahead:
                done, future = under_way.popleft()
                yield done, future.result()
        for done, future in under_way:
            yield done, future.result()


def _tasks(
    sources: Sequence[Source],
    settings: SlicingSettings,
    frame_seconds: float,
    broken: dict[Source, str],
    complaints: list[str],
) -> Iterator[_Task]:
    """The windows of a shard's worth of sources; a complaint is added for each source that cannot be read.

    Raises _LateFailureError for a source that fails after its first window, unless it is known to be broken.
    """
    seconds = 0.0
    for source in sources[:SHARD_SOURCES]:
        n_windows = 0
        try:
            if source in broken:
                raise StdSearchError(broken[source])
            mtime_ns = telling_mtime(source)
            sha256 = checksum(source)
            info = audio.probe(source.file)
            blocks = audio.blocks(source.file, seconds=BLOCK_SECONDS)
            for window in windows(blocks, round(frame_seconds * audio.SAMPLE_RATE), longest=settings.longest):
                yield _Task(source, mtime_ns, sha256, info, window)
                n_windows += 1
                seconds += (window.last - window.first) * frame_seconds
        except StdSearchError as error:
            if n_windows:
                raise _LateFailureError(source, str(error)) from error
            complaints.append(str(error))
        if seconds >= SHARD_SECONDS:
            return


def telling_mtime(source: Source) -> int | None:
    """When a source was last changed, if that will tell whether it has changed since now, just before it is read.

    None for a time that is too near, or to come: a file system that counts time in steps could give the same to
    another content. git calls such files racy.
    """
    return source.mtime_ns if time.time_ns() - source.mtime_ns > CLOCK_STEP else None


def shard_stem(number: int) -> str:
    """What the files of a shard are called.

    >>> shard_stem(7)
    '00007'
    """
    return f"{number:05d}"


def checksum(source: Source) -> str:
    """The SHA-256 of a source's file; raises StdSearchError if it cannot be read or its name not be stored."""
    check_name(source)
    try:
        if source.file.exists() and not source.file.is_file():  # a pipe, which may never end
            raise StdSearchError(f"{source.file}: is no file; leave it out")
        with source.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StdSearchError(f"{source.file}: cannot be read ({error.strerror}); leave it out, or mend it") from error


def check_name(source: Source) -> None:
    """Raise StdSearchError if a catalog cannot store what a source's file, or a folder above it, is called."""
    if not is_utf8(source.file):
        raise StdSearchError(f"{str(source.file)!a}: has a name that is not UTF-8; rename it")
    if re.search(CONTROLS, str(source.file)):
        raise StdSearchError(f"{str(source.file)!a}: has a name with control characters; rename it")


def _recording(task: _Task, recording_id: int, shard: str, first_segment: int, next_segment: int) -> Recording:
    """The catalog's row for a source, at its final window."""
    channels, n_samples = task.window.waveform.shape
    return Recording(
        recording_id=recording_id,
        path=task.source.path,
        source=str(task.source.file),
        sha256=task.sha256,
        bytes=task.source.bytes,
        duration=task.window.tbeg + n_samples / audio.SAMPLE_RATE,
        channels=channels,
        sample_rate=task.info.sample_rate,
        shard=shard,
        first_segment=first_segment,
        n_segments=next_segment - first_segment,
        mtime_ns=task.mtime_ns,
    )


def _table(recording_id: int, block: ChannelBlock, frame_seconds: float) -> SegmentTable:
    n = len(block.slices)
    tbeg, tend = block.slices.T * frame_seconds
    return SegmentTable(np.full(n, recording_id), np.full(n, block.channel), tbeg, tend - tbeg)
