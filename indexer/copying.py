"""Recordings copied from shards to other shards, with ids counted anew: compacting an archive, merging several.

Recordings are taken in the order of their paths and shards cut as a fresh build would cut them; nothing is decoded or
embedded, so that the new shards hold, byte for byte, what a build over the same files would make.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa

from indexer import shards
from indexer.build import check_out
from indexer.commit import Content, Origin, commit_first, commit_next
from indexer.generations import sweep
from indexer.journal import Journal, discard, is_merge
from indexer.shards import shard_stem
from indexer.writer import sole_writer
from stdsearch.archive import ArchiveReader, Recording, SegmentTable, open_archive
from stdsearch.archive.frames import FrameWriter
from stdsearch.archive.manifest import Counts, NextIds, load_manifest
from stdsearch.archive.parts import Part, seal
from stdsearch.archive.segments import ROW_GROUP, SegmentReader, SegmentWriter
from stdsearch.errors import StdSearchError
from stdsearch.stages import OnStage, in_turn, unseen

_ALIKE = "`stdsearch index --update` each with one table as --metadata, which indexes no recording again"


@dataclass(frozen=True, slots=True)
class _Place:
    """A recording, the archive that holds it, and what it becomes."""

    archive: ArchiveReader
    before: Recording
    after: Recording


def compact_archive(out: Path, *, on_stage: OnStage = unseen) -> Counts | None:
    """Make an archive that holds nothing of removed recordings, with ids without gaps; None if it is so already.

    An update that was interrupted starts anew. Raises StdSearchError if a shard is damaged.
    """
    load_manifest(out)  # there is an archive
    with sole_writer(out):
        discard(out)
        sweep(out)
        with open_archive(out) as archive:
            before = list(archive.recordings.values())
            order = sorted(range(len(before)), key=lambda number: before[number].path)
            places = _laid_out([(archive, before[number]) for number in order], archive.manifest.next_ids.shard)
            if archive.manifest.next_ids.segment == archive.n_segments and not _differs(places):
                return None
            columns = archive.metadata.take(pa.array(order, pa.int64()))
            content = _copied(out, places, columns, archive, on_stage)
            return commit_next(archive, content, renumbered=True, on_stage=on_stage)


def merge_archives(paths: Sequence[Path], out: Path, *, on_stage: OnStage = unseen) -> Counts:
    """Make a new archive of what several hold; what a merge that was interrupted left at `out` is made anew.

    Raises StdSearchError if their encoders or slices differ, if two have recordings of one path or columns that do not
    go together, if a shard is damaged, or if `out` holds anything.
    """
    check_out(out)
    with ExitStack() as held:
        archives = [held.enter_context(open_archive(path)) for path in paths]
        for archive in archives[1:]:
            _check_alike(archives[0], archive)
        taken = [(archive, recording) for archive in archives for recording in archive.recordings.values()]
        _check_names(taken)
        columns = _merged_columns(archives)
        order = sorted(range(len(taken)), key=lambda number: taken[number][1].path)
        with sole_writer(out):
            check_out(out)
            if not is_merge(out):
                raise StdSearchError(f"{out}: holds an index that was interrupted; go on with it, or merge to another")
            Journal(out, {"merge": [str(path) for path in paths]}, NextIds()).resume([])
            places = _laid_out([taken[number] for number in order], 0)
            content = _copied(out, places, columns.take(pa.array(order, pa.int64())), archives[0], on_stage)
            counts = commit_first(out, content, Origin.of(archives[0]), on_stage=on_stage)
            discard(out)
        return counts


def _laid_out(taken: Sequence[tuple[ArchiveReader, Recording]], first_shard: int) -> list[_Place]:
    """Recordings with the ids and shards that a fresh build would give them, shards counted from first_shard on."""
    places: list[_Place] = []
    shard, n_in_shard, seconds, segment = first_shard, 0, 0.0, 0
    for number, (archive, recording) in enumerate(taken):
        if n_in_shard >= shards.SHARD_SOURCES or seconds >= shards.SHARD_SECONDS:
            shard, n_in_shard, seconds = shard + 1, 0, 0.0
        after = replace(recording, recording_id=number, shard=shard_stem(shard), first_segment=segment)
        places.append(_Place(archive, recording, after))
        step = archive.manifest.encoder.frame_seconds
        seconds += math.ceil(recording.duration / step - 1e-6) * step
        n_in_shard += 1
        segment += recording.n_segments
    return places


def _differs(places: Sequence[_Place]) -> bool:
    """Whether the places are others than now, whatever the shards are called."""
    ids = [(place.before.recording_id, place.before.first_segment) for place in places]
    shards_now = [place.before.shard for place in places]
    shards_then = [place.after.shard for place in places]
    return (
        ids != [(place.after.recording_id, place.after.first_segment) for place in places]
        or len(set(zip(shards_now, shards_then, strict=True))) != len(set(shards_then))
        or len(set(shards_now)) != len(set(shards_then))
    )


def _copied(out: Path, places: Sequence[_Place], columns: pa.Table, alike: ArchiveReader, on_stage: OnStage) -> Content:
    """The shards of these places written to `out`."""
    facts = alike.manifest.encoder
    places_in = lru_cache(maxsize=8)(SegmentReader.places)
    before = sorted({(place.archive, place.before.shard) for place in places}, key=lambda pair: pair[1])
    for archive, shard in in_turn(before, "Reading shards", on_stage, weights=[1] * len(before)):
        archive.check_shard(shard)
    segment_parts: list[Part] = []
    frame_parts: list[Part] = []
    laid_out = {stem: list(group) for stem, group in groupby(places, lambda place: place.after.shard)}
    for stem, here in in_turn(laid_out.items(), "Copying recordings", on_stage, weights=[1] * len(laid_out)):
        names = f"segments/{stem}.parquet", f"frames/{stem}.arrow"
        for name in names:
            (out / name).parent.mkdir(exist_ok=True)
        with (
            SegmentWriter(out / names[0], facts.dim, first_id=here[0].after.first_segment) as segments,
            FrameWriter(out / names[1], facts.frame_width) as frames,
        ):
            for place in here:
                number = place.after.recording_id
                reader = place.archive.segments_file(place.before.shard)
                for table, codes in _segments(reader, places_in(reader), place.before):
                    segments.write(replace(table, recording_id=np.full(len(table), number)), codes)
                blocks = place.archive.frames_file(place.before.shard).blocks(place.before.recording_id)
                for channel, first_frame, block in blocks:
                    frames.write(number, channel, first_frame, block)
        segment_parts.append(seal(out, names[0]))
        frame_parts.append(seal(out, names[1]))
    recordings = [place.after for place in places]
    next_ids = NextIds(
        len(places),
        sum(recording.n_segments for recording in recordings),
        int(recordings[-1].shard) + 1 if recordings else alike.manifest.next_ids.shard,
    )
    return Content(recordings, columns, segment_parts, frame_parts, next_ids)


def _segments(
    reader: SegmentReader, places: np.ndarray, recording: Recording
) -> Iterator[tuple[SegmentTable, np.ndarray]]:
    """A recording's segments and the codes of their embeddings, up to ROW_GROUP at a time."""
    first = recording.first_segment - reader.first_id
    for at in range(first, first + recording.n_segments, ROW_GROUP):
        rows = np.arange(at, min(at + ROW_GROUP, first + recording.n_segments))
        some = places[rows]
        table = SegmentTable(some["recording_id"], some["channel"], some["tbeg"], some["dur"])
        yield table, reader.codes_at(rows)


def _check_alike(one: ArchiveReader, other: ArchiveReader) -> None:
    if one.encoder_fingerprint != other.encoder_fingerprint:
        raise StdSearchError(
            f"{other.path}: was made by encoder {other.encoder_fingerprint}, but {one.path} by "
            f"{one.encoder_fingerprint}; index one of them again with the other's encoder"
        )
    mine, theirs = one.settings.get("slicing", {}), other.settings.get("slicing", {})
    if differing := [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]:
        name = differing[0]
        raise StdSearchError(
            f"{other.path}: its slices have {name} {theirs.get(name)}, but those of {one.path} {mine.get(name)}; "
            "index one of them again with the other's options"
        )


def _check_names(taken: Sequence[tuple[ArchiveReader, Recording]]) -> None:
    held: dict[str, ArchiveReader] = {}
    clashes = [
        (recording.path, archive)
        for archive, recording in taken
        if held.setdefault(recording.path, archive) is not archive
    ]
    if clashes:
        listed = ", ".join(repr(path) for path, _ in clashes[:3]) + (", ..." if len(clashes) > 3 else "")
        path, archive = clashes[0]
        raise StdSearchError(
            f"{archive.path}: {len(clashes)} of its recordings have the paths of others, in {held[path].path}: "
            f"{listed}; remove them from one of the two"
        )


def _merged_columns(archives: Sequence[ArchiveReader]) -> pa.Table:
    """The columns of all archives, a row for each recording, empty where an archive lacks a column."""
    spellings = sorted({name for archive in archives for name in archive.metadata.column_names})
    lowered = [name.lower() for name in spellings]
    if alike := [name for name in spellings if lowered.count(name.lower()) > 1]:
        raise StdSearchError(f"the columns {', '.join(alike)} differ in capitals alone; {_ALIKE}")
    tables = []
    for archive in archives:
        table = pa.table({"recording_id": pa.array(list(archive.recordings), pa.int32())})
        for name in archive.metadata.column_names:
            column = archive.metadata[name]
            others = (other.metadata[name] for other in archives if name in other.metadata.column_names)
            if column.null_count == len(column) and any(other.null_count < len(other) for other in others):
                column = pa.nulls(len(column))  # whose type was guessed from nothing
            table = table.append_column(name, column)
        tables.append(table)
    try:
        merged = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise StdSearchError(f"the columns of the archives have types that differ ({reason}); {_ALIKE}") from error
    if large := [field.name for field in merged.schema if pa.types.is_decimal256(field.type)]:
        raise StdSearchError(f"the numbers of the column {large[0]!r} have too many digits together; {_ALIKE}")
    return merged.drop_columns(["recording_id"])
