"""Builds an archive: recordings in, one committed directory out.

Shards are built and noted in the journal one by one; then follow what is made from all of them, the catalog, the copy
of the encoder and, last, archive.json. An interrupted build goes on behind the last whole shard.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from indexer.journal import Journal, Shard, discard
from indexer.metadata import Metadata
from indexer.shards import Progress, ShardBuilder
from indexer.sources import Source
from indexer.vectors import write_vectors
from stdsearch.archive.catalog import write_catalog
from stdsearch.archive.manifest import FILE_NAME, FORMAT, Counts, EncoderFacts, Manifest
from stdsearch.archive.parts import seal
from stdsearch.archive.segments import SegmentReader, write_spans
from stdsearch.encoder import Encoder
from stdsearch.errors import StdSearchError
from stdsearch.slicing import SlicingSettings
from stdsearch.threads import set_threads


@dataclass(frozen=True, slots=True)
class Report:
    """What a build came to: the archive's counts, and a complaint for each recording that was left out."""

    counts: Counts
    complaints: tuple[str, ...]


def build_archive(
    sources: Sequence[Source],
    out: Path,
    encoder: Encoder,
    *,
    encoder_file: Path,
    settings: SlicingSettings,
    metadata: Metadata | None = None,
    threads: int = 1,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Report:
    """Index sources into a new archive at `out`, or go on with the build that an interruption left there.

    metadata has a row for each source. A source that cannot be read is logged as a warning and left out.
    Raises StdSearchError if `out` holds anything else, cannot be written, is being written by another process, or if
    no source can be read.
    """
    check_out(out)
    facts = EncoderFacts(
        name=encoder_file.stem,
        fingerprint=encoder.fingerprint,
        dim=encoder.settings.dim,
        frame_width=encoder.settings.frame_width,
        frame_seconds=encoder.settings.frame_seconds,
    )
    with _sole_writer(out):
        journal = Journal(out, {"format": FORMAT, "encoder": asdict(facts), "slicing": asdict(settings)})
        shards = journal.resume(sources)
        set_threads(1)  # each worker thread runs the network by itself
        pool = ThreadPoolExecutor(threads, thread_name_prefix="embed")
        try:
            builder = ShardBuilder(out, encoder, settings, pool=pool, ahead=2 * threads, on_progress=on_progress)
            for shard in shards:
                builder.pass_over(shard)
            on_progress(builder.done)
            while rest := sources[builder.n_sources :]:
                stem = f"{len(shards):05d}"
                shards.append(builder.build(stem, rest))
                journal.add(stem, shards[-1])
        finally:
            pool.shutdown(cancel_futures=True)
            set_threads(threads)
        complaints = tuple(complaint for shard in shards for complaint in shard.complaints)
        if len(complaints) == len(sources):
            discard(out)
            with suppress(OSError):  # unless it holds something else
                out.rmdir()
            raise StdSearchError(f"{out}: not made, for none of the {len(sources)} recordings could be read")
        counts = _commit(out, facts, encoder_file, settings, shards, sources, metadata)
    return Report(counts, complaints)


def check_out(out: Path) -> None:
    """Raise StdSearchError if what is at `out` forbids to make an archive there."""
    if out.exists() and not out.is_dir():
        raise StdSearchError(f"{out}: is a file; choose another --out")
    if (out / FILE_NAME).exists():
        raise StdSearchError(f"{out}: is an archive already; choose another --out, or remove it first")
    if out.exists() and any(out.iterdir()) and not (out / "journal").is_dir():
        raise StdSearchError(f"{out}: holds other files; choose a new or an empty directory as --out")


@contextmanager
def _sole_writer(out: Path) -> Iterator[None]:
    """While inside, no other process can build at `out`; the system lets go of the lock however this one ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)
    except BlockingIOError as error:
        raise StdSearchError(f"{out}: another process is writing this archive; wait until it ends") from error
    except OSError as error:
        reason = error.strerror or error
        raise StdSearchError(f"{out}: cannot be written ({reason}); mend that, and the same command goes on") from error


def _commit(
    out: Path,
    encoder: EncoderFacts,
    encoder_file: Path,
    settings: SlicingSettings,
    shards: Sequence[Shard],
    sources: Sequence[Source],
    metadata: Metadata | None,
) -> Counts:
    """Make what follows from the shards, then the manifest that says that all of it belongs."""
    recordings = [recording for shard in shards for recording in shard.recordings]
    row_of = {source.path: row for row, source in enumerate(sources)}
    columns = metadata and metadata.columns.take([row_of[recording.path] for recording in recordings])
    write_catalog(out / "catalog.parquet", recordings, columns)
    shutil.copyfile(encoder_file, out / "encoder.safetensors")

    readers = [SegmentReader(out / shard.segments.name, encoder.dim) for shard in shards]
    write_spans(out / "spans.npy", readers)
    vectors = write_vectors(out / "vectors.ivf", readers, encoder.dim)

    counts = Counts(
        recordings=len(recordings),
        channels=sum(recording.channels for recording in recordings),
        segments=sum(recording.n_segments for recording in recordings),
        seconds=sum(recording.duration for recording in recordings),
    )
    names = {
        "catalog": "catalog.parquet",
        "encoder": "encoder.safetensors",
        "spans": "spans.npy",
        "vectors": "vectors.ivf",
    }
    Manifest(
        encoder=encoder,
        settings={"slicing": asdict(settings), "vectors": asdict(vectors)},
        counts=counts,
        parts={
            **{role: (seal(out, name),) for role, name in names.items()},
            "segments": tuple(shard.segments for shard in shards),
            "frames": tuple(shard.frames for shard in shards),
        },
    ).save(out)
    shutil.rmtree(out / "journal")
    return counts
