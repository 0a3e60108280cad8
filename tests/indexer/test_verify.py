"""Damage of every kind, whether `verify` finds it and names the part, and what `--repair` makes whole again."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from indexer.build import Report
from indexer.cli import repair
from indexer.removal import remove_recordings
from stdsearch.archive import open_archive
from stdsearch.archive.catalog import write_catalog
from stdsearch.archive.check import REBUILDABLE, check_archive, open_unchecked
from stdsearch.archive.manifest import SHARD_ROLES, SINGLE_ROLES
from stdsearch.archive.parts import seal
from stdsearch.cli import CommandGroup, cli
from stdsearch.errors import StdSearchError
from stdsearch.vector_settings import VectorSettings
from stdsearch.vectors import FaissIndex
from tests.indexer.conftest import hits, segments

Build = Callable[..., Report]


@pytest.fixture
def archive(tmp_path: Path, audio: Path, build: Build) -> Path:
    """Two shards, one recording of the second removed."""
    build()
    remove_recordings(tmp_path / "archive", ["3"])
    return tmp_path / "archive"


@pytest.fixture
def verify(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    get_command = CommandGroup.get_command
    monkeypatch.setattr(  # whichever packages are installed
        CommandGroup,
        "get_command",
        lambda self, ctx, name: repair if name == "repair" else get_command(self, ctx, name),
    )

    def run(*options: str) -> Result:
        return CliRunner().invoke(cli, ["verify", str(archive), *options])

    return run


def part_of(archive: Path, role: str, number: int = 0) -> Path:
    return archive / open_unchecked(archive).manifest.parts[role][number].name


def flip(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 4
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "emptied": lambda path: path.write_bytes(b""),
    "flipped at the begin": lambda path: flip(path, 0),
    "flipped inside": lambda path: flip(path, 0.5),
    "flipped at the end": lambda path: flip(path, 1),
}


def test_a_whole_archive_is_told_so(archive: Path, verify: Callable[..., Result]) -> None:
    result = verify()
    n_segments = open_archive(archive).n_segments
    assert result.stdout == f"{archive}: whole; 11 parts, 3 recordings, {n_segments} segments\n"
    assert result.exit_code == 0
    facts = json.loads(verify("--json").stdout)
    assert facts == {"archive": str(archive), "generation": 2, "faults": []}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_named(archive: Path, tmp_path: Path, damage: str) -> None:
    for role in (*SINGLE_ROLES, *SHARD_ROLES):
        shutil.copytree(archive, tmp_path / "damaged")
        path = part_of(tmp_path / "damaged", role)
        DAMAGES[damage](path)
        (fault,) = check_archive(open_unchecked(tmp_path / "damaged"))
        assert (fault.role, fault.part) == (role, path.relative_to(tmp_path / "damaged").as_posix())
        assert fault.complaint.startswith(f"{path}: ")
        assert "\n" not in fault.complaint
        shutil.rmtree(tmp_path / "damaged")


def swap(archive: Path, role: str) -> tuple[Path, Path]:
    one, other = part_of(archive, role, 0), part_of(archive, role, 1)
    one.rename(archive / "swap")
    other.rename(one)
    (archive / "swap").rename(other)
    return one, other


@pytest.mark.parametrize("role", ["segments", "frames"])
def test_swapped_parts_are_named(archive: Path, role: str) -> None:
    one, other = swap(archive, role)
    assert {archive / fault.part for fault in check_archive(open_unchecked(archive))} == {one, other}


def test_the_page_says_what_can_be_done(archive: Path, verify: Callable[..., Result]) -> None:
    flip(part_of(archive, "vectors"), 0.5)
    flip(part_of(archive, "frames", 1), 0.5)
    result = verify()
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert sum("is damaged (its checksum is not what it was)" in line for line in lines) == 2
    assert f"`stdsearch verify --repair {archive}` makes vectors-2.ivf again from the shards" in lines
    assert lines[-1].startswith("1 recordings are affected (2.wav): restore their shards, or `stdsearch remove` them")
    faults = json.loads(verify("--json").stdout)["faults"]
    assert [(fault["part"], fault["rebuildable"], fault["recordings"]) for fault in faults] == [
        ("vectors-2.ivf", True, []),
        ("frames/00001.arrow", False, ["2.wav"]),
    ]


@pytest.mark.parametrize("n_lists", [0, 1])
@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped inside"])
def test_what_follows_from_the_segments_is_made_again(
    archive: Path, verify: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, damage: str, n_lists: int
) -> None:
    if n_lists:
        lists = VectorSettings("ivf-flat", n_lists=16)
        monkeypatch.setattr(VectorSettings, "for_size", lambda n_vectors, chosen: lists)
        remove_recordings(archive, ["2"])
        assert check_archive(open_archive(archive)) == []
    expected = hits(archive), segments(open_archive(archive))
    for role in REBUILDABLE:
        DAMAGES[damage](part_of(archive, role))
    result = verify("--repair")
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{archive}: runs-")
    assert first.endswith(".ivf made again")
    assert second.startswith(f"{archive}: whole; ")
    assert (hits(archive), segments(open_archive(archive))) == expected
    assert verify("--repair").stdout.startswith(f"{archive}: nothing to repair")
    as_json = verify("--repair", "--json")
    assert json.loads(as_json.stdout)["faults"] == []
    assert as_json.stderr.startswith(f"{archive}: nothing to repair")


def test_nothing_is_made_from_damaged_segments(archive: Path, verify: Callable[..., Result]) -> None:
    flip(part_of(archive, "segments"), 0.5)
    flip(part_of(archive, "spans"), 0.5)
    result = verify("--repair")
    assert isinstance(result.exception, StdSearchError)
    assert "segments/00000.parquet: is damaged" in str(result.exception)
    assert open_unchecked(archive).manifest.generation == 2


def test_what_cannot_be_made_again_stays_told(archive: Path, verify: Callable[..., Result]) -> None:
    flip(part_of(archive, "frames"), 0.5)
    flip(part_of(archive, "spans"), 0.5)
    result = verify("--repair")
    assert result.exit_code == 1
    assert "frames/00000.arrow: is damaged" in result.stdout


def reseal(archive: Path, role: str) -> None:
    """Make archive.json believe what a part has become, so that only its sense is wrong."""
    path = archive / "archive.json"
    content = json.loads(path.read_bytes())
    content["parts"][role] = [asdict(seal(archive, part["name"])) for part in content["parts"][role]]
    path.write_text(json.dumps(content))


def rewrite_catalog(archive: Path, **changes: Any) -> None:
    reader = open_archive(archive)
    first, *others = reader.recordings.values()
    write_catalog(part_of(archive, "catalog"), [replace(first, **changes), *others], reader.metadata)


def reindex(archive: Path, ids: np.ndarray) -> None:
    index = FaissIndex.empty(8, VectorSettings())
    index.add(ids, np.zeros((len(ids), 8), np.float32))
    index.save(part_of(archive, "vectors"))


def respan(archive: Path, role: str, name: str) -> None:
    path = part_of(archive, role)
    spans = np.load(path)
    spans[name][0] += 1
    np.save(path, spans)
    reseal(archive, role)


@pytest.mark.parametrize(
    ("role", "falsify", "complaint"),
    [
        ("catalog", lambda path: rewrite_catalog(path, channels=2), "its recordings have 4 channels, not 3"),
        ("catalog", lambda path: rewrite_catalog(path, path="1.wav"), "two recordings of one path"),
        ("catalog", lambda path: rewrite_catalog(path, first_segment=9), "segments belong to two recordings"),
        ("catalog", lambda path: rewrite_catalog(path, shard="00009"), "in shards that are not there"),
        ("catalog", lambda path: rewrite_catalog(path, recording_id=99), "ids beyond 4"),
        ("catalog", lambda path: rewrite_catalog(path, duration=9.0), "its recordings last"),
        ("spans", lambda path: respan(path, "runs", "recording_id"), "rows of '0.wav' are another's"),
        ("spans", lambda path: respan(path, "spans", "begin"), "differs from segments/00000.parquet"),
        ("vectors", lambda path: reindex(path, np.arange(5)), "it has 5 vectors for"),
        ("vectors", lambda path: reindex(path, open_archive(path).segment_ids + 1), "are of other segments"),
        ("vectors", lambda path: reindex(path, open_archive(path).segment_ids // 2), "has two vectors of one segment"),
        (
            "segments",
            lambda path: rewrite_catalog(path, recording_id=3),
            "segments of '0.wav' are of another recording",
        ),
    ],
)
def test_parts_are_held_against_each_other(
    archive: Path, role: str, falsify: Callable[[Path], None], complaint: str
) -> None:
    falsify(archive)
    reseal(archive, role if role != "segments" else "catalog")
    faults = check_archive(open_archive(archive))
    assert faults[0].role == role
    assert complaint in faults[0].complaint


def test_shards_that_stand_in_for_each_other_are_found(archive: Path) -> None:
    """Even if archive.json were made to believe it."""
    for role in ("segments", "frames"):
        swap(archive, role)
        reseal(archive, role)
    assert {fault.role for fault in check_archive(open_archive(archive))} >= {"segments", "frames"}


def test_another_encoder_is_found(archive: Path, tmp_path: Path) -> None:
    from stdsearch.encoder import load_encoder, save_encoder

    path = part_of(archive, "encoder")
    other = load_encoder(path)
    other.log_prior[0] += 1
    path.unlink()
    save_encoder(other, path)
    reseal(archive, "encoder")
    (fault,) = check_archive(open_archive(archive))
    assert fault.role == "encoder"
    assert "but the archive was made by" in fault.complaint


def test_read_only_media_can_be_verified_and_searched(archive: Path, verify: Callable[..., Result]) -> None:
    for path in [*archive.rglob("*"), archive]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert verify().exit_code == 0
        assert hits(archive)
    finally:
        for path in [archive, *archive.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
