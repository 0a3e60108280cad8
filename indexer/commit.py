"""The step that ends every change of an archive: what follows from its shards is made, then a generation published."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from indexer.generations import part_name, publish
from indexer.vectors import new_index, tune_by_words, updated_index
from stdsearch.archive import ArchiveReader, Recording
from stdsearch.archive.addresses import write_addresses
from stdsearch.archive.catalog import write_catalog
from stdsearch.archive.check import REBUILDABLE
from stdsearch.archive.frames import FrameReader
from stdsearch.archive.manifest import Counts, EncoderFacts, Manifest, NextIds
from stdsearch.archive.parts import Part, seal
from stdsearch.archive.segments import SegmentReader
from stdsearch.archive.spans import write_spans
from stdsearch.errors import StdSearchError
from stdsearch.stages import OnStage, in_turn, unseen
from stdsearch.vector_settings import VectorChoice, VectorSettings
from stdsearch.vectors import FaissIndex


@dataclass(frozen=True, slots=True)
class Content:
    """What an archive is to hold: recordings, the user's columns, a row for each, and shards.

    Shards of which no recording is left are passed over.
    """

    recordings: Sequence[Recording]
    columns: pa.Table
    segments: Sequence[Part]
    frames: Sequence[Part]
    next_ids: NextIds


@dataclass(frozen=True, slots=True)
class Origin:
    """What an archive is made with: the encoder, which lies in `file`, how slices are cut, how vectors are indexed."""

    encoder: EncoderFacts
    file: Path
    slicing: Mapping[str, Any]
    vectors: VectorChoice

    @classmethod
    def of(cls, archive: ArchiveReader) -> "Origin":
        """That of an archive."""
        return cls(archive.manifest.encoder, archive.encoder_path, archive.settings["slicing"], choice_of(archive))


def choice_of(archive: ArchiveReader) -> VectorChoice:
    """How an archive's vectors are to be indexed; raises StdSearchError if this version cannot index them so."""
    kept = archive.settings.get("vectors", {})
    try:
        return VectorChoice(**{name: kept[name] for name in ("chosen", "recall") if name in kept})
    except (TypeError, ValueError) as error:
        raise StdSearchError(f"{archive.path}: {error}; index again") from error


def commit_first(out: Path, content: Content, origin: Origin, *, on_stage: OnStage = unseen) -> Counts:
    """Make `out` an archive; raises StdSearchError if another encoder now lies where that of the segments lay."""
    from stdsearch.encoder import load_encoder  # with torch, which `commit_next` does without

    shutil.copyfile(origin.file, out / part_name("encoder", 1))
    if load_encoder(out / part_name("encoder", 1)).fingerprint != origin.encoder.fingerprint:
        raise StdSearchError(
            f"{origin.file}: is another encoder than the recordings were indexed by; put that one back and run again, "
            "which goes on where this stopped"
        )
    readers = _readers(out, content, origin.encoder.dim)
    live = _mask(content.recordings, content.next_ids.segment)
    settings = VectorSettings.for_size(int(live.sum()), origin.vectors.chosen)
    index = new_index(readers, origin.encoder.dim, settings, live, scratch=out, on_stage=on_stage)
    encoder = seal(out, part_name("encoder", 1))
    derived = _derive(out, 1, content, readers, origin, index, settings, encoder, on_stage)
    return _publish(out, 1, content, origin, encoder, derived)


def commit_next(
    archive: ArchiveReader,
    content: Content,
    *,
    renumbered: bool = False,
    vectors: VectorChoice | None = None,
    on_stage: OnStage = unseen,
) -> Counts:
    """Make the archive's next generation and release the archive; vectors: how they are to be indexed from now on.

    Unless renumbered, the segments that it keeps have the ids they had, and where no other come or go, what follows
    from them stays.
    """
    out, generation, dim = archive.path, archive.manifest.generation + 1, archive.manifest.encoder.dim
    origin, encoder = Origin.of(archive), archive.manifest.part("encoder")
    choice, n_ids = vectors or origin.vectors, content.next_ids.segment
    live, before = (_mask(recordings, n_ids) for recordings in (content.recordings, archive.recordings.values()))
    shards = _living(content.segments, content.recordings)
    same_shards = shards == archive.manifest.parts["segments"] and not renumbered
    kept = archive.settings.get("vectors", {})
    if same_shards and choice == origin.vectors and (live == before).all():
        archive.release()
        parts = {role: archive.manifest.part(role) for role in REBUILDABLE}
        return _publish(out, generation, content, origin, encoder, _Derived(parts, kept))
    origin = replace(origin, vectors=choice)
    readers = _readers(out, content, dim)
    settings = VectorSettings.for_size(int(live.sum()), choice.chosen)
    if renumbered or (settings.kind, settings.n_lists) != (kept.get("kind"), kept.get("n_lists")):
        index = new_index(readers, dim, settings, live, scratch=out, on_stage=on_stage)
    else:
        added = live & ~before
        fresh = [reader for reader in readers if added[reader.first_id :][: len(reader)].any()]
        old = out / archive.manifest.part("vectors").name
        index = updated_index(old, fresh, dim, removed=before & ~live, added=added, on_stage=on_stage)
    archive.release()
    derived = _derive(out, generation, content, readers, origin, index, settings, encoder, on_stage)
    return _publish(out, generation, content, origin, encoder, derived)


@dataclass(frozen=True, slots=True)
class _Derived:
    """What follows from the shards, a part for each role of REBUILDABLE; settings: how the vectors are indexed."""

    parts: Mapping[str, Part]
    settings: Mapping[str, Any]


def _derive(
    out: Path,
    generation: int,
    content: Content,
    readers: Sequence[SegmentReader],
    origin: Origin,
    index: FaissIndex,
    settings: VectorSettings,
    encoder: Part,
    on_stage: OnStage,
) -> _Derived:
    names = {role: part_name(role, generation) for role in REBUILDABLE}
    frames = [
        FrameReader(out / part.name, origin.encoder.frame_width) for part in _living(content.frames, content.recordings)
    ]
    write_addresses(out / names["groups"], readers, out / names["blocks"], frames)
    in_shards = in_turn(readers, "Noting where segments lie", on_stage, weights=[len(reader) for reader in readers])
    write_spans(
        out / names["spans"], out / names["runs"], in_shards, content.next_ids.segment, origin.encoder.frame_seconds
    )
    on_stage("Writing the vector index", None)
    index.save(out / names["vectors"])
    on_stage("Measuring recall", None)
    n_probe = tune_by_words(out / names["vectors"], origin.encoder.dim, out / encoder.name, origin.vectors.recall)
    vectors = asdict(origin.vectors) | asdict(replace(settings, n_probe=n_probe))
    return _Derived({role: seal(out, name) for role, name in names.items()}, vectors)


def _publish(out: Path, generation: int, content: Content, origin: Origin, encoder: Part, derived: _Derived) -> Counts:
    catalog = part_name("catalog", generation)
    write_catalog(out / catalog, content.recordings, content.columns)
    counts = Counts(
        recordings=len(content.recordings),
        channels=sum(recording.channels for recording in content.recordings),
        segments=sum(recording.n_segments for recording in content.recordings),
        seconds=sum(recording.duration for recording in content.recordings),
    )
    manifest = Manifest(
        generation=generation,
        encoder=origin.encoder,
        settings={"slicing": dict(origin.slicing), "vectors": dict(derived.settings)},
        counts=counts,
        next_ids=content.next_ids,
        parts={
            "encoder": (encoder,),
            "catalog": (seal(out, catalog),),
            **{role: (part,) for role, part in derived.parts.items()},
            "segments": _living(content.segments, content.recordings),
            "frames": _living(content.frames, content.recordings),
        },
    )
    publish(out, manifest)
    return counts


def _living(parts: Iterable[Part], recordings: Iterable[Recording]) -> tuple[Part, ...]:
    """Those parts of shards in which a recording is left."""
    shards = {recording.shard for recording in recordings}
    return tuple(part for part in parts if Path(part.name).stem in shards)


def _readers(out: Path, content: Content, dim: int) -> list[SegmentReader]:
    return [SegmentReader(out / part.name, dim) for part in _living(content.segments, content.recordings)]


def _mask(recordings: Iterable[Recording], n_ids: int) -> np.ndarray:
    """True for the ids (n_ids,) of the recordings' segments."""
    mask = np.zeros(n_ids, bool)
    for recording in recordings:
        mask[recording.first_segment : recording.first_segment + recording.n_segments] = True
    return mask
