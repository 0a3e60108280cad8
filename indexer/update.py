"""What has changed since an archive was made: which recordings are as they were, and which files are to be indexed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from indexer.shards import checksum
from indexer.sources import Source
from stdsearch.archive import ArchiveReader, Recording
from stdsearch.errors import StdSearchError


@dataclass(frozen=True, slots=True)
class Changes:
    """kept: recordings whose files are what they were, with where these now are; fresh: sources new or changed."""

    kept: tuple[Recording, ...]
    fresh: tuple[Source, ...]


def find_changes(archive: ArchiveReader, sources: Sequence[Source], threads: int) -> Changes:
    """Compare sources with an archive's recordings by name, size and, where these are equal, checksum."""
    known = {recording.path: recording for recording in archive.recordings.values()}

    def unchanged(source: Source) -> bool:
        recording = known.get(source.path)
        if recording is None or recording.bytes != source.bytes:
            return False
        try:
            return checksum(source) == recording.sha256
        except StdSearchError:  # indexing it will say so
            return False

    with ThreadPoolExecutor(threads) as pool:
        same = dict(zip((source.path for source in sources), pool.map(unchanged, sources), strict=True))
    file_of = {source.path: str(source.file) for source in sources}
    return Changes(
        kept=tuple(
            replace(recording, source=file_of[path]) for path, recording in known.items() if same.get(path, False)
        ),
        fresh=tuple(source for source in sources if not same[source.path]),
    )
