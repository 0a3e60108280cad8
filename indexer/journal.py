"""What an unfinished build or update has finished: the whole shards, so that a later run goes on behind them.

OUT/journal/plan.json says for what the shards were made, and from which ids on they count; OUT/journal/SHARD.json
follows when a shard's files are on the disk. The directory goes away when the archive is committed.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.sources import Source
from stdsearch.archive import Recording
from stdsearch.archive.manifest import NextIds
from stdsearch.archive.parts import Part, replace_file
from stdsearch.errors import StdSearchError

PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive sources, what became of them, recordings or complaints, and the parts that hold the recordings."""

    sources: tuple[Source, ...]
    recordings: tuple[Recording, ...]
    complaints: tuple[str, ...]
    segments: Part
    frames: Part


class Journal:
    """The journal of a build in directory `out`, for the plan that says what makes shards the same.

    The shards count on from next_ids.
    """

    def __init__(self, out: Path, plan: Mapping[str, Any], next_ids: NextIds) -> None:
        self._out = out
        self._directory = out / "journal"
        self._plan = (json.dumps({**plan, "next_ids": asdict(next_ids)}, indent=1, sort_keys=True) + "\n").encode()

    def check(self, sources: Sequence[Source]) -> None:
        """Raise StdSearchError if going on here would forget what was finished for other settings or other files."""
        if is_merge(self._out):  # made again in minutes
            return
        shards = [shard for path in self._notes() if (shard := self._whole_shard(path)) and shard.recordings]
        wanted = {source.file for source in sources}
        if not shards or (
            self._is_same() and any(source.file in wanted for shard in shards for source in shard.sources)
        ):
            return
        other = "of other recordings" if self._is_same() else "with another encoder or other slices"
        raise StdSearchError(
            f"{self._out}: holds an index {other} that was interrupted; go on with it, "
            "choose another --out, or remove it first"
        )

    def resume(self, sources: Sequence[Source]) -> list[Shard]:
        """The shards that are whole and whose recordings are all of these very sources; others are forgotten.

        So are complaints: what could not be read may have been mended.
        """
        is_same = self._is_same()
        self._directory.mkdir(parents=True, exist_ok=True)  # never gone, for it marks what is being made
        kept: list[Shard] = []
        wanted = set(sources)
        for path in self._notes():
            shard = self._whole_shard(path) if is_same else None
            if shard is not None and shard.recordings and wanted.issuperset(shard.sources):
                kept.append(shard)
                wanted.difference_update(shard.sources)
            else:
                path.unlink()
        if not is_same:
            replace_file(self._directory / PLAN, self._plan)
        return kept

    def add(self, stem: str, shard: Shard) -> None:
        """Note a shard whose parts are on the disk."""
        content = asdict(shard)
        replace_file(self._directory / f"{stem}.json", json.dumps(content, default=str).encode())

    def _is_same(self) -> bool:
        plan = self._directory / PLAN
        return plan.is_file() and plan.read_bytes() == self._plan

    def _notes(self) -> list[Path]:
        return sorted(self._directory.glob("[0-9]*.json"), key=lambda path: (len(path.name), path.name))

    def _whole_shard(self, path: Path) -> Shard | None:
        try:
            content = json.loads(path.read_bytes())
            recordings = tuple(Recording(**recording) for recording in content["recordings"])
            sources = [Source(**{**source, "file": Path(source["file"])}) for source in content["sources"]]
            read = {recording.path for recording in recordings}
            shard = Shard(
                sources=tuple(source for source in sources if source.path in read),
                recordings=recordings,
                complaints=(),
                segments=Part(**content["segments"]),
                frames=Part(**content["frames"]),
            )
            shard.segments.check_size(self._out)
            shard.frames.check_size(self._out)
        except (ValueError, TypeError, KeyError, StdSearchError):
            return None
        return shard


def is_begun(out: Path) -> bool:
    """Whether `out` holds the journal of a build, and nothing else of that name."""
    folder = out / "journal"
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    is_ours = all(re.fullmatch(r"(plan|[0-9]+)\.json(\.new)?", name) for name in names)
    return is_ours and (names <= {"plan.json.new"} or _next_ids(out) is not None)


def noted(out: Path, next_ids: NextIds) -> set[str] | None:
    """The stems of the shards in a journal that counts on from these ids; None if there is no such journal."""
    if _next_ids(out) != asdict(next_ids):
        return None
    return {path.stem for path in (out / "journal").glob("[0-9]*.json")}


def is_merge(out: Path) -> bool:
    """Whether what was begun at `out`, if anything, puts archives together, so that it is made again in minutes."""
    plan = _plan(out)
    return plan is None or "merge" in plan


def _next_ids(out: Path) -> object:
    """What the plan of a journal says of the ids that come next; None if there is no such plan."""
    return (_plan(out) or {}).get("next_ids")


def _plan(out: Path) -> dict[str, Any] | None:
    plan = out / "journal" / PLAN
    try:
        content = json.loads(plan.read_bytes()) if plan.is_file() else None
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def discard(out: Path) -> None:
    """Forget what an unfinished build has finished; its shards go with the next sweep."""
    if (out / "journal").is_dir():
        shutil.rmtree(out / "journal")
