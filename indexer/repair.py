"""An archive of which a part is broken that follows from its shards gets it made again."""

from pathlib import Path

from indexer.commit import Content, commit_next
from indexer.generations import sweep
from indexer.writer import sole_writer
from stdsearch.archive.check import check_archive, open_unchecked
from stdsearch.archive.manifest import load_manifest
from stdsearch.errors import StdSearchError
from stdsearch.stages import OnStage, unseen


def repair_archive(out: Path, *, on_stage: OnStage = unseen) -> list[str]:
    """Make again what is broken and can be made again; the names of those parts.

    Raises StdSearchError, and changes nothing, if what they are made from is broken too.
    """
    load_manifest(out)  # there is an archive
    with sole_writer(out):
        sweep(out)
        with open_unchecked(out) as archive:
            faults = check_archive(archive, on_stage=on_stage)
            broken = [fault for fault in faults if fault.is_rebuildable]
            lost = [fault for fault in faults if fault.role in ("catalog", "segments")]
            if broken and lost:
                raise StdSearchError(f"{lost[0].complaint}; {broken[0].part} can be made again only then")
            if broken:
                content = Content(
                    list(archive.recordings.values()),
                    archive.metadata,
                    archive.manifest.parts["segments"],
                    archive.manifest.parts["frames"],
                    archive.manifest.next_ids,
                )
                commit_next(archive, content, renumbered=True, on_stage=on_stage)
            return [fault.part for fault in broken]
