"""Whether an archive is whole: each part against its checksum, then all of them against each other."""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from stdsearch.archive.addresses import blocks_of, groups_of
from stdsearch.archive.arrays import map_array
from stdsearch.archive.catalog import SLACK
from stdsearch.archive.frames import BLOCK, FrameReader
from stdsearch.archive.manifest import hold_manifest
from stdsearch.archive.parts import Part, damaged
from stdsearch.archive.reader import ArchiveReader
from stdsearch.archive.segments import GROUP, SegmentReader
from stdsearch.archive.spans import open_runs
from stdsearch.errors import StdSearchError
from stdsearch.stages import OnStage, in_turn, unseen
from stdsearch.vectors import FaissIndex

REBUILDABLE = ("runs", "spans", "groups", "blocks", "vectors")  # the roles whose parts follow from the shards

Look = Callable[[], object]  # raises ValueError, which says what is wrong
_Shard = TypeVar("_Shard", SegmentReader, FrameReader)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a part of some role; complaint begins with the part's path."""

    role: str
    part: str
    complaint: str

    @property
    def is_rebuildable(self) -> bool:
        """Whether the part can be made again from the others."""
        return self.role in REBUILDABLE


def open_unchecked(path: Path) -> ArchiveReader:
    """An archive whose parts may be missing or damaged; raises StdSearchError if archive.json itself is."""
    manifest, hold = hold_manifest(path)
    return ArchiveReader(path, manifest, hold)


def check_archive(archive: ArchiveReader, *, on_stage: OnStage = unseen) -> list[Fault]:
    """Everything that is wrong with an archive, no more than one fault for each part; reads every byte of it."""
    faults: dict[Part, Fault] = {}
    named = [(role, part) for role, parts in archive.manifest.parts.items() for part in parts]
    for role, part in in_turn(named, "Reading parts", on_stage, weights=[part.bytes for _, part in named]):
        try:
            part.check(archive.path)
        except StdSearchError as error:
            faults[part] = Fault(role, part.name, str(error))
    catalog, runs = archive.manifest.part("catalog"), archive.manifest.part("runs")
    looks = list(_looks(archive, faults))
    for role, part, look in in_turn(looks, "Comparing parts", on_stage, weights=[part.bytes for _, part, _ in looks]):
        if part in faults:
            continue
        if catalog in faults and role not in ("encoder", "catalog"):
            break
        if runs in faults and role == "spans":
            continue
        try:
            look()
        except StdSearchError as error:
            faults[part] = Fault(role, part.name, str(error))
        except (ValueError, IndexError, KeyError, TypeError, pa.ArrowException) as error:
            faults[part] = Fault(role, part.name, str(damaged(archive.path / part.name, error)))
    return list(faults.values())


def _looks(archive: ArchiveReader, faults: Container[Part]) -> Iterator[tuple[str, Part, Look]]:
    """What to look at after the checksums: role, part, and how; the catalog goes before what needs it.

    faults: of parts that were found meanwhile, against which no other is held.
    """
    manifest = archive.manifest
    yield "encoder", manifest.part("encoder"), lambda: _look_at_encoder(archive)
    yield "catalog", manifest.part("catalog"), lambda: _look_at_catalog(archive)
    for part in manifest.parts["segments"]:
        yield "segments", part, lambda part=part: _look_at_segments(archive, Path(part.name).stem)  # type: ignore
    for part in manifest.parts["frames"]:
        yield "frames", part, lambda part=part: _look_at_frames(archive, Path(part.name).stem)  # type: ignore
    runs, n_ids = manifest.part("runs"), manifest.next_ids.segment
    yield "runs", runs, lambda: open_runs(archive.path / runs.name, n_ids)
    yield "spans", manifest.part("spans"), lambda: _look_at_spans(archive)
    yield "groups", manifest.part("groups"), lambda: _look_at_groups(archive, faults)
    yield "blocks", manifest.part("blocks"), lambda: _look_at_blocks(archive, faults)
    yield "vectors", manifest.part("vectors"), lambda: _look_at_vectors(archive)


def _look_at_encoder(archive: ArchiveReader) -> None:
    from stdsearch.encoder import load_encoder

    found, wanted = load_encoder(archive.encoder_path).fingerprint, archive.encoder_fingerprint
    _expect(found == wanted, f"it is encoder {found}, but the archive was made by {wanted}")


def _look_at_catalog(archive: ArchiveReader) -> None:
    shards = {Path(part.name).stem for part in archive.manifest.parts["segments"]}
    _expect(archive.recordings_of_shard.keys() <= shards, "it has recordings in shards that are not there")


def _look_at_segments(archive: ArchiveReader, shard: str) -> None:
    file = archive.segments_file(shard)
    ids, places = file.ids(), file.places()
    _expect((ids == np.arange(file.first_id, file.first_id + len(ids))).all(), "its ids do not follow each other")
    for recording in archive.recordings_of_shard.get(shard, []):
        if not recording.n_segments:
            continue
        own = places[max(0, recording.first_segment - file.first_id) :][: recording.n_segments]
        name = f"the segments of {recording.path!r}"
        _expect(len(own) == recording.n_segments, f"{name} are not all there")
        _expect((own["recording_id"] == recording.recording_id).all(), f"{name} are of another recording")
        _expect(((own["channel"] >= 1) & (own["channel"] <= recording.channels)).all(), f"{name} have wrong channels")
        tend = own["tbeg"] + own["dur"]
        inside = (own["tbeg"] >= 0) & (own["dur"] > 0) & (tend <= recording.duration + _frame(archive))
        _expect(inside.all(), f"{name} lie outside it")


def _look_at_frames(archive: ArchiveReader, shard: str) -> None:
    file = archive.frames_file(shard)
    for recording in archive.recordings_of_shard.get(shard, []):
        begin = dict.fromkeys(range(1, recording.channels + 1), 0)
        for channel, first, block in file.blocks(recording.recording_id):
            _expect(begin.get(channel) == first, f"frames of {recording.path!r} are missing or there twice")
            begin[channel] = first + len(block.codes)
        for channel, n_frames in begin.items():
            seconds = n_frames * _frame(archive)
            whole = abs(seconds - recording.duration) <= _frame(archive) + SLACK
            name = f"frames of {recording.path!r}, channel {channel},"
            _expect(whole, f"{name} last {seconds:g} s, not {recording.duration:g} s")


def _look_at_spans(archive: ArchiveReader) -> None:
    for recording in archive.recordings.values():
        own = archive.segments(recording.first_segment + np.arange(recording.n_segments))
        _expect((own.recording_id == recording.recording_id).all(), f"rows of {recording.path!r} are another's")
    for part in archive.manifest.parts["segments"]:
        try:
            part.check_size(archive.path)
            file = archive.segments_file(Path(part.name).stem)
            truth = file.places()
        except StdSearchError:  # told already; what else there is can still be compared
            continue
        found = archive.spans.at(file.first_id + np.arange(len(file)))
        same = (found.recording_id == truth["recording_id"]) & (found.channel == truth["channel"])
        for name in ("tbeg", "dur"):
            same &= abs(getattr(found, name) - truth[name]) < _frame(archive) / 2
        _expect(same.all(), f"it differs from {part.name}")


def _look_at_groups(archive: ArchiveReader, faults: Container[Part]) -> None:
    shards = _whole(archive, "segments", archive.segments_file, faults)
    _expect_alike(groups_of(shards), map_array(archive.path / archive.manifest.part("groups").name, GROUP), shards)


def _look_at_blocks(archive: ArchiveReader, faults: Container[Part]) -> None:
    shards = _whole(archive, "frames", archive.frames_file, faults)
    _expect_alike(blocks_of(shards), map_array(archive.path / archive.manifest.part("blocks").name, BLOCK), shards)


def _whole(
    archive: ArchiveReader, role: str, reader_of: Callable[[str], _Shard], faults: Container[Part]
) -> list[_Shard | None]:
    """The shards' readers in the order of their parts, None for one that is broken."""
    parts = archive.manifest.parts[role]
    return [None if part in faults else reader_of(Path(part.name).stem) for part in parts]


def _expect_alike(truth: np.ndarray, found: np.ndarray, shards: Sequence[object]) -> None:
    """Compare the rows of the shards that are whole."""
    lost = [number for number, shard in enumerate(shards) if shard is None]
    _expect(np.array_equal(truth, found[~np.isin(found["shard"], lost)]), "it differs from the shards")


def _look_at_vectors(archive: ArchiveReader) -> None:
    index = FaissIndex.load(archive.path / archive.manifest.part("vectors").name, archive.manifest.encoder.dim)
    _expect(len(index) == archive.n_segments, f"it has {len(index)} vectors for {archive.n_segments} segments")
    lacking = archive.segments_of(np.array(list(archive.recordings)))
    for ids in index.ids():
        known = (ids >= 0) & (ids < len(lacking))
        _expect(known.all() and lacking[ids].all(), "its vectors are of other segments")
        lacking[ids] = False
    _expect(not lacking.any(), "it has two vectors of one segment")


def _frame(archive: ArchiveReader) -> float:
    return archive.manifest.encoder.frame_seconds


def _expect(holds: bool | np.bool, complaint: str) -> None:
    if not holds:
        raise ValueError(complaint)
