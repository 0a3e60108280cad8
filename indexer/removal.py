"""Recordings taken out of an archive: catalog and vectors forget them, their rows stay until it is compacted."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from indexer.commit import Content, commit_next
from indexer.generations import sweep
from indexer.writer import sole_writer
from stdsearch.archive.check import open_unchecked
from stdsearch.archive.manifest import Counts, load_manifest
from stdsearch.errors import StdSearchError
from stdsearch.formats.names import numbers_by_name
from stdsearch.stages import OnStage, unseen


def remove_recordings(out: Path, names: Sequence[str], *, on_stage: OnStage = unseen) -> Counts:
    """Remove recordings by their paths in the archive or their base names; what the archive then holds.

    Shards of which nothing is left may be missing or damaged. Raises StdSearchError, and removes nothing, if a name is
    of no recording or of several.
    """
    load_manifest(out)  # there is an archive
    with sole_writer(out):
        sweep(out)
        with open_unchecked(out) as archive:
            recordings = list(archive.recordings.values())
            numbers = numbers_by_name([recording.path for recording in recordings])
            gone = {_number(out, name, numbers(name)) for name in names}
            kept = [number for number in range(len(recordings)) if number not in gone]
            content = Content(
                [recordings[number] for number in kept],
                archive.metadata.take(pa.array(kept, pa.int64())),
                archive.manifest.parts["segments"],
                archive.manifest.parts["frames"],
                archive.manifest.next_ids,
            )
            return commit_next(archive, content, on_stage=on_stage)


def _number(out: Path, name: str, numbers: Sequence[int]) -> int:
    if len(numbers) > 1:
        raise StdSearchError(f"{out}: {name!r} is the name of {len(numbers)} recordings; give their paths")
    if not numbers:
        raise StdSearchError(
            f'{out}: holds no recording {name!r}; `stdsearch sql {out} "SELECT path FROM recordings"` lists them'
        )
    return numbers[0]
