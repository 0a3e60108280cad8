from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stdsearch.archive import ArchiveReader, SegmentTable, open_archive
from stdsearch.archive.addresses import FrameBlocks, MappedShards, SegmentCodes, write_addresses
from stdsearch.archive.frames import FrameReader
from stdsearch.archive.parts import seal
from stdsearch.archive.segments import ROW_GROUP, SegmentReader, SegmentWriter, from_codes, to_codes
from stdsearch.errors import StdSearchError
from stdsearch.kernels import NOT_THERE
from tests.test_archive import make_archive

DIM = 8


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> ArchiveReader:
    return open_archive(make_archive(tmp_path_factory.mktemp("made") / "archive"))


def test_tables_are_plain_npy_files(archive: ArchiveReader) -> None:
    groups, blocks = (np.load(archive.path / f"{name}.npy") for name in ("groups", "blocks"))
    assert groups["first_segment"].tolist() == [0, 300, 300 + ROW_GROUP]
    assert groups["n_segments"].tolist() == [300, ROW_GROUP, 1000]
    assert groups["shard"].tolist() == [0, 1, 1]
    rows = [tuple(row) for row in blocks[["recording_id", "channel", "first_frame", "n_frames", "shard"]].tolist()]
    assert rows == [(0, 1, 0, 50, 0)] + [(1, c, b, 50, 1) for c in (1, 2) for b in (0, 50, 100)] + [(2, 1, 0, 25, 1)]
    file = (archive.path / "segments/00001.parquet").read_bytes()
    begin = int(groups["offset"][2])
    assert file[begin : begin + 1000 * DIM] == archive.segments_file("00001").codes[1].tobytes()


def test_cosines_by_address_are_those_of_the_embeddings(tmp_path: Path) -> None:
    """Of shards that begin anywhere, in any order of ids; of codes of 0 the cosine is 0."""
    random = np.random.default_rng(0)
    codes = {first: to_codes(random.normal(size=(n, DIM))) for first, n in ((50, ROW_GROUP + 3), (7, 20), (9000, 5))}
    codes[9000][1] = 0
    for first, own in codes.items():
        with SegmentWriter(tmp_path / f"{first}.parquet", DIM, first_id=first) as writer:
            writer.write(SegmentTable(*(np.ones(len(own)) for _ in range(4))), own)
    names = [f"{first}.parquet" for first in codes]
    shards = MappedShards(tmp_path, [seal(tmp_path, name) for name in names], scattered=False)
    write_addresses(
        tmp_path / "groups.npy", [SegmentReader(tmp_path / name, DIM) for name in names], tmp_path / "blocks.npy", []
    )
    held = SegmentCodes(tmp_path / "groups.npy", shards, DIM, 9005)
    ids = np.array([9001, 50, 50 + ROW_GROUP, 26, 9004, 7, 50 + ROW_GROUP + 2, 50])
    first = np.array([9000, 50, 50, 7, 9000, 7, 50, 50])
    expected = np.stack([codes[begin][i - begin] for begin, i in zip(first.tolist(), ids.tolist(), strict=True)])
    np.testing.assert_array_equal(held.rows(ids), expected)
    queries, query = from_codes(to_codes(random.normal(size=(3, DIM)))), np.arange(len(ids)) % 3
    cosines = held.cosines(ids, queries, query)
    np.testing.assert_allclose(cosines, (from_codes(expected) * queries[query]).sum(axis=1), atol=1e-6)
    assert cosines[0] == 0
    for missing in (-1, 0, 27, 49, 9005, 2**62):
        with pytest.raises(StdSearchError, match=r"groups.npy: is damaged \(it lacks segments"):
            held.rows(np.array([50, missing]))


def test_shards_are_mapped_when_they_are_looked_into(archive: ArchiveReader, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "archive")
    opened = open_archive(path)
    (path / "segments/00001.parquet").unlink()
    (path / "frames/00001.arrow").write_bytes(b"cut short")
    np.testing.assert_array_equal(opened.embeddings(np.arange(300)), archive.embeddings(np.arange(300)))
    np.testing.assert_array_equal(opened.frames(0, 1, 0, 2)[0].hidden, archive.frames(0, 1, 0, 2)[0].hidden)
    with pytest.raises(StdSearchError, match=r"segments/00001\.parquet: a part of the archive is missing"):
        opened.embeddings(np.array([0, 300]))
    with pytest.raises(StdSearchError, match=r"frames/00001\.arrow: has 9 bytes, not"):
        opened.frames(1, 1, 0, 2)


def test_maps_stay_while_they_are_read_from(archive: ArchiveReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two threads that come at once, either makes the look-up for itself, and one of them soon goes."""
    for name in ("_codes", "_blocks"):
        made = vars(ArchiveReader)[name].func
        monkeypatch.setattr(ArchiveReader, name, property(made))
    opened, ids = open_archive(archive.path), archive.segment_ids
    np.testing.assert_array_equal(opened.embeddings(ids), archive.embeddings(ids))
    np.testing.assert_array_equal(opened.frames(1, 2, 0, 9)[0].hidden, archive.frames(1, 2, 0, 9)[0].hidden)


def test_there_may_be_nothing(tmp_path: Path) -> None:
    write_addresses(tmp_path / "groups.npy", [], tmp_path / "blocks.npy", [])
    none = MappedShards(tmp_path, [], scattered=False)
    held = SegmentCodes(tmp_path / "groups.npy", none, DIM, 0)
    assert len(held.rows(np.empty(0, np.int64))) == 0
    with pytest.raises(StdSearchError, match="it lacks segments"):
        held.rows(np.array([0]))
    where = (np.array([value]) for value in (0, 1, 0, 10))
    values, offsets, start = FrameBlocks(tmp_path / "blocks.npy", none, 5).cut(*where)
    assert values.shape == (0, 5)
    assert offsets.tolist() == [0, 0]
    assert start.tolist() == [NOT_THERE]


def spoiled(row: int, **changes: int) -> Callable[[np.ndarray], None]:
    def spoil(table: np.ndarray) -> None:
        for name, value in changes.items():
            table[name][row] = value

    return spoil


def swapped(table: np.ndarray) -> None:
    table[[0, 1]] = table[[1, 0]]


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("groups", spoiled(0, first_segment=-1)),
        ("groups", spoiled(0, n_segments=0)),
        ("groups", spoiled(0, n_segments=301)),
        ("groups", spoiled(2, n_segments=1001)),
        ("groups", spoiled(2, first_segment=2**63 - 1)),
        ("groups", spoiled(1, shard=2)),
        ("groups", spoiled(1, shard=-1)),
        ("groups", spoiled(1, offset=-1)),
        ("groups", spoiled(1, offset=2**62)),
        ("groups", spoiled(0, offset=10_000)),
        ("groups", swapped),
        ("blocks", spoiled(0, recording_id=-1)),
        ("blocks", spoiled(0, channel=-1)),
        ("blocks", spoiled(0, channel=1 << 16)),
        ("blocks", spoiled(0, n_frames=0)),
        ("blocks", spoiled(0, n_frames=2**31 - 1)),
        ("blocks", spoiled(0, first_frame=-1)),
        ("blocks", spoiled(2, first_frame=0)),
        ("blocks", spoiled(2, shard=0)),
        ("blocks", spoiled(0, shard=9)),
        ("blocks", spoiled(0, codes=-8)),
        ("blocks", spoiled(0, codes=2**62)),
        ("blocks", spoiled(0, low=-4)),
        ("blocks", spoiled(0, low=2**62)),
        ("blocks", spoiled(0, step=9)),
        ("blocks", swapped),
    ],
)
def test_tables_that_lead_elsewhere_are_refused(
    archive: ArchiveReader, tmp_path: Path, name: str, spoil: Callable[[np.ndarray], None]
) -> None:
    path = make_archive(tmp_path / "archive")
    table = np.load(path / f"{name}.npy")
    spoil(table)
    np.save(path / f"{name}.npy", table)
    opened = open_archive(path)
    use: Any = opened.embeddings if name == "groups" else lambda ids: opened.frames(int(ids[0]), 1, 0, 1)
    with pytest.raises(StdSearchError, match=rf"{name}\.npy: is damaged \(its (row groups|blocks) do not lie"):
        use(np.array([0]))


def test_frames_lie_in_their_file(archive: ArchiveReader, tmp_path: Path) -> None:
    import pyarrow as pa

    with pa.ipc.open_file(archive.path / "frames/00000.arrow") as file:
        table = file.read_all()
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as out:
        out.write_table(table)
    with pytest.raises(StdSearchError, match=r"a\.arrow: is damaged"):
        FrameReader(tmp_path / "a.arrow", 5)
