"""What takes long in a large archive tells how far it is."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from indexer.build import Report
from indexer.copying import compact_archive, merge_archives
from indexer.removal import remove_recordings
from indexer.repair import repair_archive
from stdsearch.archive import open_archive
from stdsearch.archive.check import check_archive
from stdsearch.vector_settings import VectorChoice

Build = Callable[..., Report]

FILLED = ["Filling the vector index"]
LAST = ["Noting where segments lie", "Writing the vector index", "Measuring recall"]
ANEW = ["Learning the vector index", *FILLED, *LAST]
CHANGED = ["Reading the vector index", *FILLED, *LAST]
COPIED = ["Reading shards", "Copying recordings"]
CHECKED = ["Reading parts", "Comparing parts"]


class Told:
    """Collects stages, and holds each against what a stage may be."""

    def __init__(self) -> None:
        self._told: list[tuple[str, float | None]] = []

    def __call__(self, what: str, share: float | None) -> None:
        self._told.append((what, share))

    def stages(self) -> list[str]:
        """In their order; of each, all shares are None, or they rise to 1."""
        for what, group in groupby(self._told, lambda stage: stage[0]):
            shares = [share for _, share in group if share is not None]
            if shares:
                assert shares == sorted(shares), what
                assert shares[-1] == 1, what
        stages = [what for what, _ in groupby(self._told, lambda stage: stage[0])]
        self._told.clear()
        return stages


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.usefixtures("audio")
def test_a_build_tells_what_follows_the_embedding(build: Build, told: Told) -> None:
    build(on_stage=told, vectors=VectorChoice(chosen="ivf-sq8"))
    assert told.stages() == ANEW


def test_an_update_tells_what_it_compares_and_changes(audio: Path, build: Build, update: Build, told: Told) -> None:
    build()
    update(on_stage=told)
    assert told.stages() == ["Comparing files"]
    (audio / "1.wav").unlink()
    update(on_stage=told)
    assert told.stages() == ["Comparing files", *CHANGED]


def test_what_happens_to_an_archive_is_told(tmp_path: Path, audio: Path, build: Build, told: Told) -> None:
    build()
    archive, other, both = (tmp_path / name for name in ("archive", "other", "both"))
    remove_recordings(archive, ["0.wav"], on_stage=told)
    assert told.stages() == CHANGED
    compact_archive(archive, on_stage=told)
    assert told.stages() == [*COPIED, *ANEW]
    for number in (1, 2, 3):
        (audio / f"{number}.wav").unlink()
    build("other")
    merge_archives([archive, other], both, on_stage=told)
    assert told.stages() == [*COPIED, *ANEW]
    assert check_archive(open_archive(both), on_stage=told) == []
    assert told.stages() == CHECKED
    vectors = both / open_archive(both).manifest.part("vectors").name
    vectors.write_bytes(bytes(vectors.stat().st_size))
    assert repair_archive(both, on_stage=told)
    assert told.stages() == [*CHECKED, *ANEW]
