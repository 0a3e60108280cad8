"""What has changed since an archive was made: which recordings are as they were, and which files are to be indexed."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

from indexer.shards import check_name, checksum, telling_mtime
from indexer.sources import Source
from stdsearch.archive import ArchiveReader, Recording
from stdsearch.errors import StdSearchError
from stdsearch.stages import OnStage, in_turn, unseen

AT_A_TIME = 1000  # files that wait for a thread, each of which takes some memory

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Changes:
    """kept: recordings whose files are what they were, with where these now are; fresh: sources new or changed.

    former: what the changed ones were indexed as. renamed: new names of kept recordings by the names that they had.
    """

    kept: tuple[Recording, ...]
    fresh: tuple[Source, ...]
    former: tuple[Recording, ...]
    renamed: Mapping[str, str]


def find_changes(
    archive: ArchiveReader,
    sources: Sequence[Source],
    threads: int,
    *,
    by_checksum: bool,
    on_stage: OnStage = unseen,
) -> Changes:
    """Compare sources with an archive's recordings by name, size and checksum.

    Unless by_checksum, a file is not read for its checksum if it was last changed when the recording's file was. A
    source that is not what was called so before is the recording that held the same, if there is one left over.
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

        def of_each(compare: Callable[[Source], T], sources: Sequence[Source], stage: str) -> dict[str, T]:
            """What comparing each source gives, by its name."""
            results = chain.from_iterable(
                pool.map(compare, sources[at : at + AT_A_TIME]) for at in range(0, len(sources), AT_A_TIME)
            )
            told = in_turn(results, stage, on_stage, weights=[source.bytes for source in sources])
            return {source.path: result for source, result in zip(sources, told, strict=True)}

        found = of_each(unchanged, sources, "Comparing files")
        left = [recording for path, recording in known.items() if found.get(path) is None]
        sizes = {recording.bytes for recording in left}
        new = [source for source in sources if found[source.path] is None and source.bytes in sizes]
        contents = of_each(_content, new, "Comparing renamed files") if new else {}
    renamed = {}
    for recording, source in _alike(left, new, contents):
        now = replace(recording, path=source.path, source=str(source.file), mtime_ns=contents[source.path][1])
        found[source.path], renamed[recording.path] = now, source.path
    return Changes(
        kept=tuple(recording for recording in found.values() if recording is not None),
        fresh=tuple(source for source in sources if found[source.path] is None),
        former=tuple(known[path] for path in known if path not in renamed and found.get(path, ...) is None),
        renamed=renamed,
    )


def _content(source: Source) -> tuple[str, int | None]:
    """A source's checksum, empty if it cannot be read, and when it was last changed, where that tells."""
    mtime_ns = telling_mtime(source)
    try:
        return checksum(source), mtime_ns
    except StdSearchError:  # indexing it will say so
        return "", None


def _alike(
    left: Sequence[Recording], new: Sequence[Source], contents: Mapping[str, tuple[str, int | None]]
) -> Iterator[tuple[Recording, Source]]:
    """Pairs of a recording that is left over and a new source that holds the same; at best its very file."""
    of_content = defaultdict[str, list[Recording]](list)
    for recording in left:
        of_content[recording.sha256].append(recording)
    files = {recording.source for recording in left}
    for source in sorted(new, key=lambda source: str(source.file) not in files):
        if alike := of_content[contents[source.path][0]]:
            best = min(alike, key=lambda recording: recording.source != str(source.file))
            alike.remove(best)
            yield best, source
