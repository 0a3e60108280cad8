import fcntl
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stdsearch.archive import ArchiveReader, Recording, SegmentTable, open_archive, reader
from stdsearch.archive.addresses import write_addresses
from stdsearch.archive.catalog import write_catalog
from stdsearch.archive.frames import FrameReader, FrameWriter, quantise
from stdsearch.archive.manifest import Counts, EncoderFacts, Manifest, NextIds, load_manifest
from stdsearch.archive.parts import Part, replace_file, seal
from stdsearch.archive.segments import (
    ROW_GROUP,
    SegmentReader,
    SegmentWriter,
    from_codes,
    to_codes,
)
from stdsearch.archive.spans import RUN, SPAN, write_spans
from stdsearch.errors import StdSearchError
from stdsearch.vector_settings import VectorSettings
from stdsearch.vectors import FaissIndex

DIM, WIDTH, FRAME_SECONDS = 8, 5, 0.04
BLOCK = 50  # frames
FINGERPRINT = "f" * 64

# Three recordings in two shards: two seconds of one channel, six of two channels, one that is silent.
RNG = np.random.default_rng(0)
N_SEGMENTS = {0: 300, 1: ROW_GROUP + 1000, 2: 0}
N_FRAMES = {0: 50, 1: 150, 2: 25}
CHANNELS = {0: 1, 1: 2, 2: 1}
SHARD = {0: "00000", 1: "00001", 2: "00001"}
HIDDEN = {
    (r, c): RNG.normal(size=(N_FRAMES[r], WIDTH)).astype(np.float32) for r in SHARD for c in range(1, CHANNELS[r] + 1)
}
RECORDING_ID = np.repeat([0, 1], [N_SEGMENTS[0], N_SEGMENTS[1]])
TBEG = RNG.integers(0, 40, len(RECORDING_ID)) * FRAME_SECONDS
CHANNEL = np.where(RECORDING_ID == 1, RNG.integers(1, 3, len(RECORDING_ID)), 1)
EMBEDDING = RNG.normal(size=(len(RECORDING_ID), DIM)).astype(np.float32)
EMBEDDING /= np.linalg.norm(EMBEDDING, axis=1, keepdims=True)
METADATA = pa.table({"year": [1960, 1975, None], "collection": ["oral history", "news", "news"]})


def make_archive(path: Path) -> Path:
    for name in ("segments", "frames"):
        (path / name).mkdir(parents=True)
    first = 0
    for shard, recordings in (("00000", [0]), ("00001", [1, 2])):
        with (
            SegmentWriter(path / f"segments/{shard}.parquet", DIM, first_id=first) as segments,
            FrameWriter(path / f"frames/{shard}.arrow", WIDTH) as frames,
        ):
            for recording in recordings:
                rows = np.flatnonzero(recording == RECORDING_ID)
                for some in np.array_split(rows, 3):
                    table = SegmentTable(RECORDING_ID[some], CHANNEL[some], TBEG[some], np.full(len(some), 0.4))
                    segments.write(table, to_codes(EMBEDDING[some]))
                for begin in range(0, N_FRAMES[recording], BLOCK):
                    for channel in range(1, CHANNELS[recording] + 1):
                        block = HIDDEN[recording, channel][begin : begin + BLOCK]
                        frames.write(recording, channel, begin, quantise(block))
            first = segments.next_id
    firsts = np.concatenate([[0], np.cumsum(list(N_SEGMENTS.values()))])
    rows = [
        Recording(
            r, f"folder/{r}.wav", f"/nowhere/{r}.wav", "0" * 64, 10, N_FRAMES[r] * FRAME_SECONDS, CHANNELS[r], 16000,
            SHARD[r], int(firsts[r]), N_SEGMENTS[r],
        )
        for r in SHARD
    ]  # fmt: skip
    write_catalog(path / "catalog.parquet", rows, METADATA)
    (path / "encoder.safetensors").write_bytes(b"an encoder")
    write_spans(
        path / "spans.npy",
        path / "runs.npy",
        [SegmentReader(path / f"segments/{shard}.parquet", DIM) for shard in ("00000", "00001")],
        len(EMBEDDING),
        FRAME_SECONDS,
    )
    index = FaissIndex.empty(DIM, VectorSettings())
    index.add(np.arange(len(EMBEDDING)), EMBEDDING)
    index.save(path / "vectors.ivf")
    write_addresses(
        path / "groups.npy",
        [SegmentReader(path / f"segments/{shard}.parquet", DIM) for shard in ("00000", "00001")],
        path / "blocks.npy",
        [FrameReader(path / f"frames/{shard}.arrow", WIDTH) for shard in ("00000", "00001")],
    )
    names = {
        "blocks": ["blocks.npy"],
        "groups": ["groups.npy"],
        "catalog": ["catalog.parquet"],
        "encoder": ["encoder.safetensors"],
        "runs": ["runs.npy"],
        "spans": ["spans.npy"],
        "vectors": ["vectors.ivf"],
        "segments": ["segments/00000.parquet", "segments/00001.parquet"],
        "frames": ["frames/00000.arrow", "frames/00001.arrow"],
    }
    Manifest(
        generation=1,
        encoder=EncoderFacts("test", FINGERPRINT, DIM, WIDTH, FRAME_SECONDS),
        settings={"slicing": {"longest": 1.6}},
        counts=Counts(recordings=3, channels=4, segments=len(EMBEDDING), seconds=9.0),
        next_ids=NextIds(recording=3, segment=len(EMBEDDING), shard=2),
        parts={role: tuple(seal(path, name) for name in listed) for role, listed in names.items()},
    ).save(path)
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> ArchiveReader:
    return open_archive(make_archive(tmp_path_factory.mktemp("made") / "archive"))


def test_tells_what_it_holds(archive: ArchiveReader) -> None:
    assert archive.n_segments == len(EMBEDDING)
    assert archive.total_seconds == 9.0
    assert archive.encoder_fingerprint == FINGERPRINT
    assert archive.encoder_path.read_bytes() == b"an encoder"
    assert archive.settings["slicing"] == {"longest": 1.6}
    assert [(r.path, r.channels, r.duration) for r in archive.recordings.values()] == [
        ("folder/0.wav", 1, 2.0),
        ("folder/1.wav", 2, 6.0),
        ("folder/2.wav", 1, 1.0),
    ]


def test_segments_are_looked_up_by_id_in_any_order(archive: ArchiveReader) -> None:
    ids = np.array([len(EMBEDDING) - 1, 0, 299, 300, 5, 5])
    found = archive.segments(ids)
    np.testing.assert_array_equal(found.recording_id, RECORDING_ID[ids])
    np.testing.assert_array_equal(found.channel, CHANNEL[ids])
    np.testing.assert_array_equal(found.tbeg, TBEG[ids])
    np.testing.assert_allclose(found.dur, 0.4, rtol=1e-6)


def test_embeddings_come_back_from_every_row_group_and_shard(archive: ArchiveReader) -> None:
    ids = np.array([len(EMBEDDING) - 1, 0, 299, 300, 300 + ROW_GROUP - 1, 300 + ROW_GROUP, 17, 17])
    np.testing.assert_allclose(archive.embeddings(ids), EMBEDDING[ids], atol=0.005)


def test_parquet_can_be_read_without_us(archive: ArchiveReader) -> None:
    table = pa.parquet.read_table(archive.path / "segments" / "00001.parquet")
    np.testing.assert_array_equal(table["segment_id"], np.arange(300, len(EMBEDDING)))
    codes = np.frombuffer(table["embedding"][3].as_py(), np.int8)
    assert np.abs(codes.astype(int)).max() == 127
    np.testing.assert_allclose(codes / np.linalg.norm(codes.astype(float)), EMBEDDING[303], atol=0.005)


def test_nearest_ranks_by_cosine(archive: ArchiveReader) -> None:
    scores, ids = archive.nearest(EMBEDDING[[400, 3]], 5)
    expected = np.argsort(-(EMBEDDING[[400, 3]] @ EMBEDDING.T), axis=1)[:, :5]
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-5)


def test_nearest_in_some_recordings_equals_filtering_afterwards(archive: ArchiveReader) -> None:
    queries = EMBEDDING[::1000]
    scores, ids = archive.nearest(queries, 20, allowed=archive.segments_of(np.array([0, 2])))
    all_scores, all_ids = archive.nearest(queries, archive.n_segments)
    for row in range(len(queries)):
        wanted = RECORDING_ID[all_ids[row]] == 0
        np.testing.assert_array_equal(ids[row], all_ids[row][wanted][:20])
        np.testing.assert_array_equal(scores[row], all_scores[row][wanted][:20])


def test_nearest_in_no_recording_finds_nothing(archive: ArchiveReader) -> None:
    _, ids = archive.nearest(EMBEDDING[:1], 3, allowed=archive.segments_of(np.array([2])))
    assert ids.tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize("strange", [-1, 3, 99])
def test_a_recording_that_is_not_there_is_not_taken_for_its_neighbour(archive: ArchiveReader, strange: int) -> None:
    ids = np.array([0, strange])
    for ask in (archive.durations, archive.paths, archive.segments_of):
        with pytest.raises(KeyError, match=str(strange)):
            ask(ids)


@pytest.mark.parametrize(
    ("recording", "channel", "tbeg", "tend", "first", "last"),
    [
        (0, 1, 0.0, 2.0, 0, 50),
        (0, 1, 0.41, 0.43, 10, 11),  # inside a frame
        (0, 1, -1.0, 99.0, 0, 50),  # clipped to the recording
        (1, 2, 1.9, 4.1, 47, 103),  # over three blocks
        (1, 1, 2.0, 4.0, 50, 100),  # just a block
    ],
)
def test_frames_cover_a_span(
    archive: ArchiveReader, recording: int, channel: int, tbeg: float, tend: float, first: int, last: int
) -> None:
    frames, offset = archive.frames(recording, channel, tbeg, tend)
    expected = HIDDEN[recording, channel][first:last]
    assert frames.hidden.shape == expected.shape
    np.testing.assert_allclose(frames.hidden, expected, atol=np.ptp(HIDDEN[recording, channel]) / 255 / 2 + 1e-6)
    assert offset == pytest.approx(first * FRAME_SECONDS)


def test_frames_that_should_be_there_are_missed(archive: ArchiveReader) -> None:
    with pytest.raises(StdSearchError, match=r"00000\.arrow: is damaged \(it has no frames of channel 1 .* at 5 s"):
        archive.frames(0, 1, 5.0, 6.0)


def test_stretches_are_the_frames_of_each_span_end_to_end(archive: ArchiveReader) -> None:
    """Over blocks, and clipped on either side."""
    spans = [(1, 2, 1.9, 4.1), (0, 1, -1.0, 99.0), (0, 1, 0.41, 0.43)]
    frames, offsets, start = archive.stretches(*map(np.array, zip(*spans, strict=True)))
    for i, span in enumerate(spans):
        alone, begin = archive.frames(*span)
        np.testing.assert_array_equal(frames.hidden[offsets[i] : offsets[i + 1]], alone.hidden)
        assert start[i] == begin
    assert len(frames.hidden) == offsets[-1] == 56 + 50 + 1


def test_frames_by_address_are_those_of_their_blocks(archive: ArchiveReader) -> None:
    """To the last bit, for every place where a span may begin and end."""
    blocks = archive.frames_file("00001").blocks(1)
    whole = np.concatenate([block.values() for channel, _, block in blocks if channel == 2])
    first, last = np.triu_indices(len(whole))
    some = np.random.default_rng(0).permutation(len(first))[:500]
    first, last = first[some], last[some] + 1
    where = np.full(len(first), 1), np.full(len(first), 2)
    frames, offsets, start = archive.stretches(*where, first * FRAME_SECONDS, last * FRAME_SECONDS)
    np.testing.assert_allclose(start, first * FRAME_SECONDS)
    for begin, n, span in zip(offsets[:-1], np.diff(offsets), zip(first, last, strict=True), strict=True):
        np.testing.assert_array_equal(frames.hidden[begin : begin + n], whole[slice(*span)])


def test_an_archive_larger_than_the_memory_reads_the_same(
    archive: ArchiveReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages are fetched before they are looked at, which in no way changes what they hold."""
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1}[name])
    large = open_archive(archive.path)
    assert large._is_large
    assert not archive._is_large
    ids = archive.segment_ids[::7]
    np.testing.assert_array_equal(large.segments(ids).tbeg, archive.segments(ids).tbeg)
    where = (np.array([1, 0, 2]), np.array([2, 1, 1]), np.array([1.9, -1, 0.3]), np.array([4.1, 99, 0.31]))
    for found, expected in zip(large.stretches(*where)[1:], archive.stretches(*where)[1:], strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(large.stretches(*where)[0].hidden, archive.stretches(*where)[0].hidden)
    for found, expected in zip(
        large._ranked(EMBEDDING[:1], ids[None]), archive._ranked(EMBEDDING[:1], ids[None]), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    for shard in archive.recordings_of_shard:  # from one end to the other
        codes = (list(reader.segments_file(shard).embeddings()) for reader in (large, archive))
        for (_, found), (_, expected) in zip(*codes, strict=True):
            np.testing.assert_array_equal(found, expected)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(-1e6, 1e6, width=32)))
def test_quantised_frames_are_off_by_half_a_step_at_most(hidden: np.ndarray) -> None:
    quantised = quantise(hidden)
    bound = quantised.step / 2 + 1e-5 * np.abs(hidden).max(axis=0) + 1e-30  # float32 itself
    assert (np.abs(quantised.values() - hidden) <= bound).all()


def test_frames_need_the_width_they_were_promised(tmp_path: Path) -> None:
    with FrameWriter(tmp_path / "a.arrow", WIDTH) as frames, pytest.raises(ValueError, match="4 wide, not 5"):
        frames.write(0, 1, 0, quantise(np.zeros((3, 4), np.float32)))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("year < 1970", [0]),
        ("collection = 'news'", [1, 2]),
        ("year IS NULL or duration > 5", [1, 2]),
        ("path LIKE '%/0.wav' -- the first", [0]),
        ("1 = 0", []),
    ],
)
def test_where_selects_recordings(archive: ArchiveReader, condition: str, expected: list[int]) -> None:
    assert archive.where(condition).tolist() == expected


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ("yeer < 1970", "there is no column 'yeer'; the columns are recording_id, path, .*year, collection"),
        ("", "is empty"),
        ("year <", "syntax error"),
        ("year = 'soon'", "soon"),
        ("1 = 1); DROP TABLE recordings; SELECT (1 = 1", "more than one statement"),
        ("path IN (SELECT content FROM read_text('/etc/hostname'))", "disabled"),
        ("EXISTS (SELECT 1 FROM others)", "others does not exist"),
        ("false) UNION SELECT (12345", "is more than a condition"),
        ("false) UNION ALL SELECT ('a'", "is more than a condition"),
        ("false) UNION ALL SELECT (NULL", "is more than a condition"),
    ],
)
def test_a_condition_that_is_none_is_refused_in_one_line(
    archive: ArchiveReader, condition: str, complaint: str
) -> None:
    with pytest.raises(StdSearchError, match=complaint) as caught:
        archive.where(condition)
    assert "\n" not in str(caught.value)


def test_another_encoder_is_refused_with_both_fingerprints(archive: ArchiveReader) -> None:
    assert open_archive(archive.path, fingerprint=FINGERPRINT).n_segments
    with pytest.raises(StdSearchError, match=f"{FINGERPRINT}, not {'e' * 64}"):
        open_archive(archive.path, fingerprint="e" * 64)


def test_an_archive_that_is_refused_is_let_go(tmp_path: Path) -> None:
    """However long the error is kept, which keeps what it passed through."""
    path = make_archive(tmp_path / "archive")
    with pytest.raises(StdSearchError) as kept:
        open_archive(path, fingerprint="e" * 64)
    with (path / "archive.json").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if a reader has it
    assert "not eeee" in str(kept.value)


@pytest.mark.parametrize("few", [0, 10, 5000])
def test_of_some_segments_the_nearest_are_found_whether_all_are_looked_at_or_an_index_says(
    archive: ArchiveReader, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(reader, "FEW", few)
    monkeypatch.setattr(FaissIndex, "is_exact", False)
    allowed = np.zeros(archive.manifest.next_ids.segment, bool)
    allowed[[3, 77, 301, 302, 900, 5000]] = True
    queries = EMBEDDING[[77, 900]]
    scores, ids = archive.nearest(queries, 10, allowed=allowed)
    own = np.flatnonzero(allowed)
    cosines = queries @ archive.embeddings(own).T
    np.testing.assert_array_equal(ids[:, :6], own[np.argsort(-cosines, axis=1)])
    np.testing.assert_allclose(scores[:, :6], -np.sort(-cosines, axis=1), atol=0.005)
    assert (ids[:, 6:] == -1).all()
    assert np.isneginf(scores[:, 6:]).all()
    assert archive.nearest(queries, 2, allowed=allowed)[1].tolist() == ids[:, :2].tolist()


def test_an_open_archive_outlives_its_names(tmp_path: Path) -> None:
    """What was memory-mapped stays readable when a writer replaces the files."""
    archive = open_archive(make_archive(tmp_path / "archive"))
    before = archive.frames(0, 1, 0, 1)[0].hidden, archive.segments(np.arange(9)).tbeg.copy()
    for path in [*archive.path.glob("frames/*"), archive.path / "spans.npy"]:
        path.unlink()
    np.testing.assert_array_equal(archive.frames(0, 1, 0, 1)[0].hidden, before[0])
    np.testing.assert_array_equal(archive.segments(np.arange(9)).tbeg, before[1])


def test_what_is_no_archive_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="no such archive; make one"):
        open_archive(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(StdSearchError, match="is a file"):
        open_archive(tmp_path / "file")
    with pytest.raises(StdSearchError, match=r"holds no archive\.json"):
        open_archive(tmp_path)
    (tmp_path / "journal").mkdir()
    with pytest.raises(StdSearchError, match="it was interrupted while being made; run the same"):
        open_archive(tmp_path)


def test_missing_and_cut_parts_are_named(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "archive")
    os.truncate(path / "frames" / "00001.arrow", 100)
    with pytest.raises(StdSearchError, match=r"frames/00001\.arrow: has 100 bytes, not"):
        open_archive(path)
    (path / "frames" / "00001.arrow").unlink()
    with pytest.raises(StdSearchError, match=r"frames/00001\.arrow: a part of the archive is missing"):
        open_archive(path)


def change(*keys: Any, to: Any) -> Callable[[Any], None]:
    def apply(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (change("format", to=6), "format 6, this stdsearch reads format 5; use a newer stdsearch"),
        (change("format", to=2), "format 2, .*; index again"),
        (change("format", to="1"), "format is not what it must be"),
        (change("format", to=True), "format is not what it must be"),
        (change("parts", "spans", 0, "name", to="../../etc/passwd"), "is no name of a part"),
        (change("parts", "spans", 0, "name", to="/etc/passwd"), "is no name of a part"),
        (change("parts", "spans", 0, "bytes", to=-1), "bytes is no count"),
        (change("parts", "spans", 0, "sha256", to="x"), "checksum of spans.npy is not valid"),
        (change("parts", "spans", to=[]), "not one part each"),
        (change("parts", "frames", to=[]), "differ in their number"),
        (change("parts", "more", to=[]), "not the nine"),
        (change("generation", to=None), "generation is not what it must be"),
        (change("next_ids", to=[]), "next_ids is not what it must be"),
        (change("next_ids", "segment", to=0), "more recordings or segments than ids"),
        (change("next_ids", "shard", to=0), "shards that are still to come"),
        (change("parts", "spans", 0, "name", to="spans-2.npy"), "parts of generations to come"),
        (change("counts", "segments", to=1.5), "segments is not what it must be"),
        (change("counts", "seconds", to=float("nan")), "seconds is no duration"),
        (change("encoder", to=None), "encoder is not what it must be"),
        (change("settings", to=[]), "settings is not what it must be"),
        (change("settings", to={}), "settings.slicing is not what it must be"),
        (change("settings", "slicing", "longest", to=1e9), "no length of a slice"),
        (change("settings", "slicing", "longest", to=10**400), "longest is no duration"),
        (change("settings", "slicing", "shortest", to=[[]]), "settings.shortest is not what it must be"),
        (change("settings", "slicing", "\x1b[2J", to=1), "the name of a setting is no name"),
        (change("encoder", "name", to="\x1b[2J"), "encoder.name is no name"),
        (change("encoder", "dim", to=10**9), "no encoder has such embeddings"),
        (change("encoder", "frame_seconds", to=0), "no encoder has such embeddings"),
        (change("counts", "recordings", to=10**30), "recordings is no count"),
        (change("parts", "spans", 0, "name", to="catalog.parquet"), "a file is two parts"),
        (change("parts", "spans", 0, "name", to="x\n" * 999), "is no name of a part"),
    ],
)
def test_a_manifest_is_checked_before_it_is_believed(
    tmp_path: Path, damage: Callable[[Any], None], complaint: str
) -> None:
    path = make_archive(tmp_path / "archive") / "archive.json"
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(StdSearchError, match=complaint) as caught:
        open_archive(path.parent)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["archive.json", "catalog.parquet", "vectors.ivf", "frames/00000.arrow"])
def test_what_never_ends_is_no_part(tmp_path: Path, name: str) -> None:
    """A pipe would keep who opens it waiting."""
    path = make_archive(tmp_path / "archive")
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(StdSearchError, match=r"is damaged \(it is no file\)|holds no archive\.json"):
        open_archive(path)


def test_a_manifest_without_end_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "archive.json").touch()
    os.truncate(tmp_path / "archive.json", 1 << 33)
    with pytest.raises(StdSearchError, match="has more than"):
        open_archive(tmp_path)


def recorded(**changes: Any) -> Callable[[Path], object]:
    """Writes a catalog of which the first recording is another."""

    def write(path: Path) -> None:
        catalog = path / "catalog.parquet"
        table = pa.parquet.read_table(catalog)
        for name, value in changes.items():
            column = pa.array([value, *table[name].to_pylist()[1:]], table.schema.field(name).type)
            table = table.set_column(table.column_names.index(name), name, column)
        pa.parquet.write_table(table, catalog)

    return write


def spanned(name: str = "spans", **changes: Any) -> Callable[[Path], object]:
    """Writes spans, or runs, of which the first is another."""

    def write(path: Path) -> None:
        rows = np.load(path / f"{name}.npy")
        for column, value in changes.items():
            rows[column][0] = value
        np.save(path / f"{name}.npy", rows)

    return write


def framed(low: float) -> Callable[[Path], object]:
    """Writes frames of one block, whose values begin there."""

    def write(path: Path) -> None:
        with FrameWriter(path / "frames/00000.arrow", WIDTH) as frames:
            frames.write(0, 1, 0, replace(quantise(HIDDEN[0, 1]), low=np.full(WIDTH, low, np.float32)))

    return write


def indexed(
    kind: str, first: int = 0, dim: int = DIM, metric: int = faiss.METRIC_INNER_PRODUCT
) -> Callable[[Path], object]:
    """Writes a vector index of any kind that faiss knows."""

    def write(path: Path) -> None:
        index = faiss.index_factory(dim, kind, metric)
        vectors = np.zeros((300, dim), np.float32)
        index.train(vectors)
        if "IDMap" in kind:
            index.add_with_ids(vectors, np.arange(first, first + len(vectors)))
        else:
            index.add(vectors)
        faiss.write_index(index, str(path / "vectors.ivf"))

    return write


@pytest.mark.parametrize(
    ("spoil", "use", "complaint"),
    [
        (recorded(path="../../x.wav"), "recordings", "names that no file below a folder has"),
        (recorded(path="a\x1b[2Jb.wav"), "recordings", "names that no file below a folder has"),
        (recorded(first_segment=-1), "recordings", "segments with ids beyond"),
        (recorded(n_segments=2**62), "recordings", "segments with ids beyond"),
        (recorded(duration=float("nan")), "recordings", "without channels or duration"),
        (recorded(sha256=None), "recordings", "it lacks values"),
        (recorded(recording_id=1), "recordings", "two recordings of one id"),
        (recorded(recording_id=2**31 - 1), "recordings", "ids beyond 3"),
        (spanned("runs", recording_id=99), "segments", "segments that no recording has"),
        (spanned("runs", recording_id=-(2**31)), "segments", "segments that no recording has"),
        (spanned("runs", channel=-1), "segments", "segments that no recording has"),
        (spanned("runs", begin=-1), "segments", "runs do not follow each other"),
        (spanned("runs", first_segment=5), "segments", "runs do not follow each other"),
        (spanned("runs", first_segment=-1), "segments", "runs do not follow each other"),
        (spanned(length=0), "segments", "segments that no recording has"),
        (spanned(length=2**15), "segments", "segments that no recording has"),
        (lambda path: np.save(path / "spans.npy", np.zeros(len(EMBEDDING), SPAN)[:-1]), "segments", "the 9492 rows"),
        (lambda path: np.save(path / "spans.npy", np.zeros(len(EMBEDDING))), "segments", "the 9492 rows"),
        (lambda path: np.save(path / "runs.npy", np.zeros(3)), "segments", "rows that it should"),
        (lambda path: np.save(path / "runs.npy", np.zeros(0, RUN)), "segments", "segments that no recording has"),
        (framed(float("nan")), "frames", "frames that no encoder makes"),
        (framed(1e30), "frames", "frames that no encoder makes"),
        (indexed("IDMap2,Flat", first=10**6), "nearest", "vectors of segments that are not there"),
        (indexed("IDMap2,Flat", dim=4), "nearest", "vectors of 4 dimensions"),
        (indexed("IDMap2,Flat", metric=faiss.METRIC_L2), "nearest", "is no vector index of an archive"),
        (indexed("IDMap2,HNSW8"), "nearest", "is no vector index of an archive"),
        (indexed("HNSW8"), "nearest", "is no vector index of an archive"),
    ],
)
def test_what_parts_hold_is_checked_before_it_is_believed(
    tmp_path: Path, spoil: Callable[[Path], object], use: str, complaint: str
) -> None:
    """Also where archive.json says that all is as it should be."""
    path = make_archive(tmp_path / "archive")
    spoil(path)
    manifest = load_manifest(path)
    parts = {role: tuple(seal(path, part.name) for part in listed) for role, listed in manifest.parts.items()}
    replace(manifest, parts=parts).save(path)
    archive = open_archive(path)
    uses: dict[str, Callable[[], object]] = {
        "recordings": lambda: archive.recordings,
        "segments": lambda: archive.segments(np.array([0])),
        "frames": lambda: archive.frames(0, 1, 0, 1),
        "nearest": lambda: archive.nearest(EMBEDDING[:1], 5),
    }
    with pytest.raises(StdSearchError, match=complaint):
        uses[use]()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xff", b"[" * 100_000, b"null"])
def test_a_manifest_that_is_no_json_object_is_damaged(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "archive.json").write_bytes(text)
    with pytest.raises(StdSearchError, match=r"archive\.json: is damaged"):
        open_archive(tmp_path)


@pytest.mark.parametrize(
    ("part", "use"),
    [
        ("catalog.parquet", lambda archive: archive.recordings),
        ("spans.npy", lambda archive: archive.segments(np.array([0]))),
        ("vectors.ivf", lambda archive: archive.nearest(EMBEDDING[:1], 1)),
        ("groups.npy", lambda archive: archive.embeddings(np.array([0]))),
        ("blocks.npy", lambda archive: archive.frames(0, 1, 0, 1)),
        ("segments/00000.parquet", lambda archive: archive.segments_file("00000")),
        ("frames/00000.arrow", lambda archive: archive.frames_file("00000")),
    ],
)
def test_a_part_overwritten_with_junk_is_named(
    tmp_path: Path, part: str, use: Callable[[ArchiveReader], object]
) -> None:
    path = make_archive(tmp_path / "archive")
    n_bytes = (path / part).stat().st_size
    (path / part).write_bytes(np.random.default_rng(0).bytes(n_bytes))
    with pytest.raises(StdSearchError, match=part):
        use(open_archive(path))


def test_replacing_a_file_keeps_the_old_one_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "archive.json"
    replace_file(path, b"old")

    def no_space(descriptor: int) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="no space"):
            replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_sealed_part_has_its_size_and_checksum(tmp_path: Path) -> None:
    (tmp_path / "part.bin").write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert seal(tmp_path, "part.bin") == Part("part.bin", 3, sha256)


def test_segments_with_other_columns_are_no_segments(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"embedding": pa.array([b"x" * DIM], pa.binary(DIM))}), tmp_path / "a.parquet")
    with pytest.raises(StdSearchError, match=r"a\.parquet: is damaged \(its columns are not those of segments"):
        SegmentReader(tmp_path / "a.parquet", DIM)


def test_row_groups_do_not_depend_on_the_calls(tmp_path: Path) -> None:
    n = 2 * ROW_GROUP + 5
    table = SegmentTable(np.zeros(n, int), np.ones(n, int), np.arange(n) * 0.04, np.full(n, 0.2))
    codes = to_codes(np.random.default_rng(0).normal(size=(n, DIM)))
    for name, pieces in (("one", 1), ("many", 97)):
        with SegmentWriter(tmp_path / name, DIM, first_id=0) as writer:
            for some in np.array_split(np.arange(n), pieces):
                piece = SegmentTable(table.recording_id[some], table.channel[some], table.tbeg[some], table.dur[some])
                writer.write(piece, codes[some])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()


def test_frames_of_an_unknown_recording_are_none(tmp_path: Path) -> None:
    with FrameWriter(tmp_path / "a.arrow", WIDTH):
        pass
    reader = FrameReader(tmp_path / "a.arrow", WIDTH)
    assert len(reader.table) == 0
    assert list(reader.blocks(0)) == []


def test_many_shards_take_no_open_files(tmp_path: Path) -> None:
    """What the system says of our own open files: the hold on archive.json, until it is released."""
    path = make_archive(tmp_path / "archive")

    def held_open() -> set[str]:
        targets = (Path(os.path.realpath(link)) for link in Path("/proc/self/fd").iterdir())
        return {target.name for target in targets if target.is_relative_to(path.resolve())}

    archive = open_archive(path)
    archive.segments(np.arange(0, archive.n_segments, 100))
    archive.embeddings(np.arange(0, archive.n_segments, 100))
    for recording in (0, 1):
        archive.frames(recording, 1, 0, 1)
    assert held_open() == {"archive.json"}
    archive.release()
    archive.release()
    assert held_open() == set()


def test_codes_are_taken_as_they_lie(tmp_path: Path) -> None:
    """From the file that the writer makes; files of smaller pages, or compressed, are refused."""
    n = ROW_GROUP + 100
    codes = to_codes(np.random.default_rng(0).normal(size=(n, DIM)))
    with SegmentWriter(tmp_path / "0.parquet", DIM, first_id=0) as writer:
        writer.write(SegmentTable(*(np.ones(n) for _ in range(4))), codes)
    reader = SegmentReader(tmp_path / "0.parquet", DIM)
    rows = np.array([0, 5, n - 1, ROW_GROUP - 1, ROW_GROUP, 5])
    np.testing.assert_array_equal(reader.codes_at(rows), codes[rows])
    np.testing.assert_array_equal(np.concatenate(reader.codes), codes)
    table = pa.parquet.read_table(tmp_path / "0.parquet")
    plain: Any = {"use_dictionary": False, "compression": "none", "write_statistics": ["segment_id"]}
    forms: list[Any] = [plain | {"data_page_size": 4096}, plain | {"compression": "zstd"}, {"compression": "none"}]
    for form in forms:
        pa.parquet.write_table(table, tmp_path / "1.parquet", row_group_size=ROW_GROUP, **form)
        with pytest.raises(StdSearchError, match="embeddings are not one page"):
            _ = SegmentReader(tmp_path / "1.parquet", DIM).codes


def test_a_shard_that_does_not_tell_its_least_id_is_refused(tmp_path: Path) -> None:
    with SegmentWriter(tmp_path / "0.parquet", DIM, first_id=7) as writer:
        writer.write(SegmentTable(*(np.ones(2) for _ in range(4))), to_codes(np.ones((2, DIM))))
    assert SegmentReader(tmp_path / "0.parquet", DIM).first_id == 7
    table = pa.parquet.read_table(tmp_path / "0.parquet")
    pa.parquet.write_table(table, tmp_path / "1.parquet", write_statistics=False)
    with pytest.raises(StdSearchError, match="does not tell the least id"):
        _ = SegmentReader(tmp_path / "1.parquet", DIM).first_id


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.just(DIM)), elements=st.floats(-1, 1, width=32)))
def test_codes_keep_the_direction_and_stay_what_they_are(embeddings: np.ndarray) -> None:
    codes = to_codes(embeddings)
    np.testing.assert_array_equal(to_codes(from_codes(codes)), codes)
    largest = np.abs(embeddings.astype(np.float64)).max(axis=1, keepdims=True)
    assert (np.abs(codes * (largest / 127) - embeddings) <= largest / 254 * 1.001).all()


def test_a_compressed_index_chooses_and_embeddings_rank(archive: ArchiveReader, tmp_path: Path) -> None:
    """With every list visited and more asked for than there are, what differs from an exact index is nothing."""
    settings = VectorSettings("ivf-pq", n_lists=32)
    index = FaissIndex.empty(DIM, settings, EMBEDDING)
    index.add(np.arange(len(EMBEDDING)), EMBEDDING)
    shutil.copytree(archive.path, tmp_path / "archive")
    index.save(tmp_path / "archive" / "vectors.ivf")
    parts = {**archive.manifest.parts, "vectors": (seal(tmp_path / "archive", "vectors.ivf"),)}
    replace(archive.manifest, parts=parts).save(tmp_path / "archive")
    compressed = open_archive(tmp_path / "archive")
    assert not np.array_equal(index.nearest(EMBEDDING[:5], 9)[0], archive.nearest(EMBEDDING[:5], 9)[0])
    for own in (None, [0]):
        allowed = None if own is None else archive.segments_of(own)
        scores, ids = compressed.nearest(EMBEDDING[:5], 10_000, allowed=allowed)
        expected, expected_ids = archive.nearest(EMBEDDING[:5], 10_000, allowed=allowed)
        np.testing.assert_allclose(scores, expected, atol=0.005)  # 8 bits
        assert [set(row) for row in ids.tolist()] == [set(row) for row in expected_ids.tolist()]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (PermissionError(13, "Permission denied"), "cannot be read (Permission denied); give yourself the right to it"),
        (OSError(5, "Input/output error"), "is damaged (Input/output error); restore it or index again"),
    ],
)
def test_what_may_not_be_read_is_not_called_missing_or_damaged(
    archive: ArchiveReader, monkeypatch: pytest.MonkeyPatch, reason: OSError, message: str
) -> None:
    def refuse(file: Path, *arguments: object, **options: object) -> None:
        raise reason

    path, part = archive.path, archive.manifest.part("spans")
    for name in ("stat", "open"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, refuse)
            with pytest.raises(StdSearchError) as caught:
                part.check(path)
            assert str(caught.value) == f"{path / part.name}: {message}"
            with pytest.raises(StdSearchError) as caught:
                open_archive(path)
            told = f"cannot be read ({reason.strerror}); mend that, or restore it"
            assert str(caught.value) == f"{path / 'archive.json'}: {told}"
