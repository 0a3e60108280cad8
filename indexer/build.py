"""Builds and updates an archive: recordings in, one committed generation out.

Shards are built and noted in the journal one by one; then follows what is made from all of them and, last,
archive.json. An interrupted build or update goes on behind the last whole shard.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa

from indexer.commit import Content, Origin, commit_first, commit_next
from indexer.generations import clear, sweep
from indexer.journal import Journal, Shard, discard, is_begun
from indexer.metadata import Metadata, columns_for
from indexer.shards import Progress, ShardBuilder
from indexer.sources import Source
from indexer.update import Changes, find_changes
from indexer.writer import NOTE, sole_writer
from stdsearch.archive import ArchiveReader, Recording, open_archive
from stdsearch.archive.manifest import FILE_NAME, FORMAT, Counts, EncoderFacts, NextIds
from stdsearch.encoder import Encoder
from stdsearch.errors import StdSearchError, is_utf8
from stdsearch.slicing import SlicingSettings
from stdsearch.stages import OnStage, unseen
from stdsearch.threads import given_threads
from stdsearch.vector_settings import VectorChoice


@dataclass(frozen=True, slots=True)
class Report:
    """What a build or an update came to.

    counts are the archive's. complaints has one for each file that could not be read. added, changed, removed,
    unchanged, renamed and stayed count recordings: the renamed are among the unchanged, and those stayed as they were
    whose files have changed but cannot be read.
    """

    counts: Counts
    complaints: tuple[str, ...]
    added: int
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    renamed: int = 0
    stayed: int = 0


def build_archive(
    sources: Sequence[Source],
    out: Path,
    encoder: Encoder,
    *,
    encoder_file: Path,
    settings: SlicingSettings,
    vectors: VectorChoice | None = None,
    metadata: Metadata | None = None,
    threads: int = 1,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_stage: OnStage = unseen,
) -> Report:
    """Index sources into a new archive at `out`, or go on with the build that an interruption left there.

    metadata has a row for each source. A source that cannot be read is logged as a warning and left out.
    Raises StdSearchError if `out` holds anything else, as what an interruption left of a build with other settings or
    of other recordings, cannot be written, is being written by another process, or if no source can be read.
    """
    check_out(out)
    origin = Origin(_facts(encoder, encoder_file), encoder_file, asdict(settings), vectors or VectorChoice())
    with sole_writer(out), given_threads(threads):
        check_out(out)  # once more, now that nobody else can make it an archive
        work = _Work(out, encoder, settings, origin, NextIds(), threads, on_progress)
        work.journal().check(sources)
        shards, next_ids = work.build(sources, Progress())
        recordings = [recording for shard in shards for recording in shard.recordings]
        if recordings:
            content = Content(
                recordings,
                columns_for([recording.path for recording in recordings], sources, metadata),
                [shard.segments for shard in shards],
                [shard.frames for shard in shards],
                next_ids,
            )
            counts = commit_first(out, content, origin, on_stage=on_stage)
            discard(out)
        else:
            clear(out)
    if not recordings:
        with suppress(OSError):  # unless it holds something else
            out.rmdir()
        raise StdSearchError(f"{out}: not made, for none of the {len(sources)} recordings could be read")
    return Report(counts, _complaints(shards), added=len(recordings))


def update_archive(
    sources: Sequence[Source],
    out: Path,
    encoder: Encoder,
    *,
    vectors: VectorChoice | None = None,
    metadata: Metadata | None = None,
    by_checksum: bool = False,
    threads: int = 1,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_stage: OnStage = unseen,
) -> Report:
    """Make an archive hold sources and nothing else, or go on with such an update that was interrupted.

    Recordings whose files have the name, size and checksum that they had stay as they are, those whose files have
    another name get that, and those whose files have changed but cannot be read stay, too; all others are indexed or
    removed. Unless by_checksum, a file whose name, size and time of change are as they were is not read. encoder is the
    one that the archive carries. vectors: how these are to be indexed from now on, by default as before. metadata has a
    row for each source; without it, recordings keep the columns that they have, and new ones get empty ones.
    Raises StdSearchError if there is no sound archive, if another process writes it, or if it would end up empty.
    """
    with sole_writer(out), given_threads(threads):
        sweep(out)
        with open_archive(out, fingerprint=encoder.fingerprint) as archive:
            origin = Origin.of(archive)
            settings = slicing_of(archive)
            changes = find_changes(archive, sources, threads, by_checksum=by_checksum, on_stage=on_stage)
            work = _Work(out, encoder, settings, origin, archive.manifest.next_ids, threads, on_progress)
            done = Progress(
                bytes=sum(recording.bytes for recording in changes.kept),
                recordings=len(changes.kept),
                seconds=sum(recording.duration for recording in changes.kept),
                kept=len(changes.kept),
            )
            shards, next_ids = work.build(changes.fresh, done)
            indexed = [recording for shard in shards for recording in shard.recordings]
            read = {recording.path for recording in indexed}
            stayed = [recording for recording in changes.former if recording.path not in read]
            recordings = [*sorted([*changes.kept, *stayed], key=lambda recording: recording.recording_id), *indexed]
            if not recordings:
                raise StdSearchError(f"{out}: left as it is, for none of the {len(sources)} recordings could be read")
            paths = [recording.path for recording in recordings]
            columns = columns_for(paths, sources, metadata, archive, changes.renamed)
            counts = archive.manifest.counts
            is_as_it_was = _but_for_times(recordings) == _but_for_times(archive.recordings.values())
            is_as_it_was = is_as_it_was and _equal(columns, archive.metadata)
            if not is_as_it_was or vectors not in (None, origin.vectors):
                shard_parts = {
                    role: [*archive.manifest.parts[role], *(getattr(shard, role) for shard in shards)]
                    for role in ("segments", "frames")
                }
                content = Content(recordings, columns, shard_parts["segments"], shard_parts["frames"], next_ids)
                counts = commit_next(archive, content, vectors=vectors, on_stage=on_stage)
        discard(out)
    return _report(archive, changes, shards, stayed, counts)


def check_out(out: Path) -> None:
    """Raise StdSearchError if what is at `out` forbids to make an archive there."""
    if not is_utf8(out):
        raise StdSearchError(f"{str(out)!a}: is no UTF-8; choose another --out")
    if out.exists() and not out.is_dir():
        raise StdSearchError(f"{out}: is a file; choose another --out")
    if (out / FILE_NAME).exists():
        raise StdSearchError(f"{out}: is an archive already; --update it, choose another --out, or remove it first")
    if out.exists() and {path.name for path in out.iterdir()} - {NOTE, f"{NOTE}.new"} and not is_begun(out):
        raise StdSearchError(f"{out}: holds other files; choose a new or an empty directory as --out")


def slicing_of(archive: ArchiveReader) -> SlicingSettings:
    """How the archive's slices were cut; raises StdSearchError if this version cannot cut such."""
    try:
        return SlicingSettings(**archive.settings["slicing"])
    except (KeyError, TypeError, ValueError) as error:
        raise StdSearchError(
            f"{archive.path}: its slices are not cut as this version cuts them; index again"
        ) from error


@dataclass(frozen=True, slots=True)
class _Work:
    """What building shards takes, whatever the sources."""

    out: Path
    encoder: Encoder
    settings: SlicingSettings
    origin: Origin
    first_ids: NextIds
    threads: int
    on_progress: Callable[[Progress], None]

    def journal(self) -> Journal:
        """What was finished before."""
        plan = {"format": FORMAT, "encoder": asdict(self.origin.encoder), "slicing": dict(self.origin.slicing)}
        return Journal(self.out, plan, self.first_ids)

    def build(self, sources: Sequence[Source], done: Progress) -> tuple[list[Shard], NextIds]:
        """Shards of all these sources, those in the journal not made again, and the ids that come next."""
        journal = self.journal()
        shards = journal.resume(sources)
        with given_threads(1):  # each worker thread runs the network by itself
            pool = ThreadPoolExecutor(self.threads, thread_name_prefix="embed")
            try:
                builder = ShardBuilder(
                    self.out,
                    self.encoder,
                    self.settings,
                    pool=pool,
                    ahead=2 * self.threads,
                    on_progress=self.on_progress,
                    first_ids=self.first_ids,
                    done=done,
                )
                for shard in shards:
                    builder.pass_over(shard)
                self.on_progress(builder.done)
                read = {recording.path for shard in shards for recording in shard.recordings}
                rest = [source for source in sources if source.path not in read]
                while rest:
                    stem = builder.next_stem
                    shards.append(builder.build(rest))
                    journal.add(stem, shards[-1])
                    rest = rest[len(shards[-1].sources) :]
            finally:
                pool.shutdown(cancel_futures=True)
        return shards, builder.next_ids


def _facts(encoder: Encoder, file: Path) -> EncoderFacts:
    return EncoderFacts(
        name=file.stem,
        fingerprint=encoder.fingerprint,
        dim=encoder.settings.dim,
        frame_width=encoder.settings.frame_width,
        frame_seconds=encoder.settings.frame_seconds,
    )


def _report(
    archive: ArchiveReader, changes: Changes, shards: Sequence[Shard], stayed: Sequence[Recording], counts: Counts
) -> Report:
    indexed = {recording.path for shard in shards for recording in shard.recordings}
    changed = len(indexed & {recording.path for recording in changes.former})
    return Report(
        counts,
        _complaints(shards),
        added=len(indexed) - changed,
        changed=changed,
        removed=len(archive.recordings) - len(changes.kept) - len(stayed) - changed,
        unchanged=len(changes.kept),
        renamed=len(changes.renamed),
        stayed=len(stayed),
    )


def _but_for_times(recordings: Iterable[Recording]) -> list[Recording]:
    """The recordings without what alone is no reason to commit."""
    return [replace(recording, mtime_ns=None) for recording in recordings]


def _equal(one: pa.Table, other: pa.Table) -> bool:
    if one.equals(other) or not one.column_names + other.column_names:  # which may differ in their rows
        return True
    same_columns = one.schema.equals(other.schema) and len(one) == len(other)
    return same_columns and repr(one.to_pydict()) == repr(other.to_pydict())  # for nan is not nan


def _complaints(shards: Sequence[Shard]) -> tuple[str, ...]:
    return tuple(complaint for shard in shards for complaint in shard.complaints)
