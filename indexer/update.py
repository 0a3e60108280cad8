"""What has changed since an archive was made: which recordings are as they were, and which files are to be indexed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain

from indexer.shards import check_name, checksum, telling_mtime
from indexer.sources import Source
from stdsearch.archive import ArchiveReader, Recording
from stdsearch.errors import StdSearchError
from stdsearch.stages import OnStage, in_turn, unseen

AT_A_TIME = 1000  # files that wait for a thread, each of which takes some memory


@dataclass(frozen=True, slots=True)
class Changes:
    """kept: recordings whose files are what they were, with where these now are; fresh: sources new or changed.

    former: what the changed ones were indexed as.
    """

    kept: tuple[Recording, ...]
    fresh: tuple[Source, ...]
    former: tuple[Recording, ...]


def find_changes(
    archive: ArchiveReader,
    sources: Sequence[Source],
    threads: int,
    *,
    by_checksum: bool,
    on_stage: OnStage = unseen,
) -> Changes:
    """Compare sources with an archive's recordings by name, size and checksum.

    Unless by_checksum, a file is not read for its checksum if it was last changed when the recording's file was.
    """
    known = {recording.path: recording for recording in archive.recordings.values()}

    def unchanged(source: Source) -> Recording | None:
        """The source's recording, if that is what it still is."""
        recording = known.get(source.path)
        if recording is None or recording.bytes != source.bytes:
            return None
        mtime_ns = recording.mtime_ns
        try:
            check_name(source)  # its folder may have another name by now
            if by_checksum or mtime_ns != source.mtime_ns:
                mtime_ns = telling_mtime(source)
                if checksum(source) != recording.sha256:
                    return None
        except StdSearchError:  # indexing it will say so
            return None
        return replace(recording, source=str(source.file), mtime_ns=mtime_ns)

    with ThreadPoolExecutor(threads) as pool:
        weights = [source.bytes for source in sources]
        results = chain.from_iterable(
            pool.map(unchanged, sources[at : at + AT_A_TIME]) for at in range(0, len(sources), AT_A_TIME)
        )
        compared = in_turn(results, "Comparing files", on_stage, weights=weights)
        found = {source.path: recording for source, recording in zip(sources, compared, strict=True)}
    return Changes(
        kept=tuple(recording for path in known if (recording := found.get(path)) is not None),
        fresh=tuple(source for source in sources if found[source.path] is None),
        former=tuple(recording for path, recording in known.items() if path in found and found[path] is None),
    )
