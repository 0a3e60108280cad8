import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import indexer.update
from indexer import commit, shards
from indexer.build import Report, update_archive
from indexer.copying import compact_archive, merge_archives
from indexer.metadata import Metadata
from indexer.removal import remove_recordings
from indexer.sources import Source, find_sources
from stdsearch import vector_settings
from stdsearch.archive import open_archive
from stdsearch.archive.catalog import COLUMNS
from stdsearch.archive.check import REBUILDABLE, check_archive
from stdsearch.archive.manifest import load_manifest
from stdsearch.archive.parts import seal
from stdsearch.encoder import Frames, SpanEncoder
from stdsearch.errors import StdSearchError
from stdsearch.vector_settings import VectorChoice
from tests.indexer.conftest import change, files, hits, named, segments

Record = Callable[..., Path]


@pytest.fixture
def embedded(encoder: SpanEncoder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The windows that the network is run over from now on."""
    frames, seen = encoder.frames, list[int]()

    def noted(waveform: np.ndarray) -> Frames:
        seen.append(len(waveform))
        return frames(waveform)

    monkeypatch.setattr(encoder, "frames", noted)
    return seen


def test_an_update_answers_like_a_fresh_build(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report], record: Record
) -> None:
    build()
    change(record, audio)
    report = update()
    fresh = build("fresh")
    assert report.counts == fresh.counts
    assert (report.added, report.changed, report.removed, report.unchanged) == (1, 2, 1, 1)
    assert hits(tmp_path / "archive") == hits(tmp_path / "fresh") != []
    updated = open_archive(tmp_path / "archive")
    assert segments(updated) == segments(open_archive(tmp_path / "fresh"))
    assert files(tmp_path / "archive") == named(tmp_path / "archive")
    assert updated.manifest.generation == 2
    assert sorted(updated.recordings) == [0, 4, 5, 6]


def test_what_is_unchanged_is_not_embedded_again(
    tmp_path: Path,
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    record: Record,
    embedded: list[int],
) -> None:
    build()
    embedded.clear()
    os.utime(audio / "0.wav", (0, 0))
    before = (tmp_path / "archive" / "archive.json").read_bytes()
    assert update().unchanged == 4
    assert not embedded
    assert (tmp_path / "archive" / "archive.json").read_bytes() == before
    change(record, audio)
    update()
    assert sorted(embedded) == [16000, 32000, 48000]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read for their checksums from now on."""
    seen = list[str]()

    def noted(source: Source) -> str:
        seen.append(source.path)
        return shards.checksum(source)

    monkeypatch.setattr(indexer.update, "checksum", noted)
    return seen


def test_a_file_of_the_same_size_and_time_is_not_read(
    audio: Path, build: Callable[..., Report], update: Callable[..., Report], read: list[str]
) -> None:
    build()
    assert update().unchanged == 4
    assert read == []
    os.utime(audio / "2.wav", (0, 0))
    assert update().unchanged == 4
    assert read == ["2.wav"]
    assert update(by_checksum=True).unchanged == 4
    assert sorted(read[1:]) == ["0.wav", "1.wav", "2.wav", "3.wav"]


def test_a_time_that_was_put_back_hides_a_change_but_from_the_checksum(
    audio: Path, build: Callable[..., Report], update: Callable[..., Report]
) -> None:
    build()
    facts = (audio / "0.wav").stat()
    (audio / "0.wav").write_bytes((audio / "1.wav").read_bytes())
    os.utime(audio / "0.wav", ns=(0, facts.st_mtime_ns))
    assert update().changed == 0
    assert update(by_checksum=True).changed == 1


@pytest.mark.parametrize("seconds", [-3600.0, 0.5])
def test_a_change_in_the_tick_in_which_a_file_was_indexed_is_noticed(
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
) -> None:
    """Also where clocks differ, and the file comes from the future."""
    monkeypatch.setattr(shards, "CLOCK_STEP", 1000 * 10**9)  # however slow the machine is
    then = time.time() - seconds
    os.utime(audio / "0.wav", (then, then))
    build()
    (audio / "0.wav").write_bytes((audio / "1.wav").read_bytes())
    os.utime(audio / "0.wav", (then, then))
    assert update().changed == 1


def test_the_time_of_a_file_that_was_touched_is_kept_with_the_next_change(
    audio: Path, build: Callable[..., Report], update: Callable[..., Report], record: Record, read: list[str]
) -> None:
    build()
    os.utime(audio / "2.wav", (0, 0))
    record("new.wav", 1)
    update()
    read.clear()
    assert update().unchanged == 5
    assert read == []


def test_an_archive_that_knows_no_times_has_its_files_read(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report], read: list[str]
) -> None:
    build()
    path = tmp_path / "archive" / "catalog.parquet"
    table, at = pq.read_table(path), COLUMNS.get_field_index("mtime_ns")
    pq.write_table(table.set_column(at, "mtime_ns", pa.nulls(len(table), pa.int64())), path)
    manifest = load_manifest(tmp_path / "archive")
    parts = {**manifest.parts, "catalog": (seal(tmp_path / "archive", path.name),)}
    replace(manifest, parts=parts).save(tmp_path / "archive")
    assert update().unchanged == 4
    assert len(read) == 4


def test_one_update_follows_another(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report], record: Record
) -> None:
    build()
    for step in range(3):
        (audio / f"{step}.wav").unlink()
        record(f"x{step}.wav", 1 + step, seed=20 + step)
        record("same.wav", 1, seed=step)
        update()
    build("fresh")
    assert segments(open_archive(tmp_path / "archive")) == segments(open_archive(tmp_path / "fresh"))
    assert hits(tmp_path / "archive") == hits(tmp_path / "fresh")
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_a_moved_folder_is_the_same_archive_elsewhere(
    tmp_path: Path, audio: Path, build: Callable[..., Report], encoder: SpanEncoder, embedded: list[int]
) -> None:
    build()
    embedded.clear()
    shutil.move(audio, tmp_path / "moved")
    update_archive(find_sources([tmp_path / "moved"]), tmp_path / "archive", encoder)
    assert not embedded
    assert {Path(r.source).parent for r in open_archive(tmp_path / "archive").recordings.values()} == {
        tmp_path / "moved"
    }


@pytest.mark.parametrize("name", ["od\x01d", "od\udcffd"])
def test_a_folder_whose_name_cannot_be_stored_is_told(
    tmp_path: Path, audio: Path, build: Callable[..., Report], encoder: SpanEncoder, name: str
) -> None:
    build()
    shutil.move(audio, tmp_path / name)
    report = update_archive(find_sources([tmp_path / name]), tmp_path / "archive", encoder)
    assert (len(report.complaints), report.stayed) == (4, 4)
    assert {Path(r.source).parent for r in open_archive(tmp_path / "archive").recordings.values()} == {audio}


def years(path: Path) -> dict[str, Any]:
    archive = open_archive(path)
    paths = [recording.path for recording in archive.recordings.values()]
    return dict(zip(paths, archive.metadata["year"].to_pylist(), strict=True))


def test_a_file_of_another_name_is_not_embedded_again_and_keeps_its_columns(
    tmp_path: Path,
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    record: Record,
    embedded: list[int],
) -> None:
    build(metadata=Metadata(pa.table({"year": [1960, 1961, 1962, 1963]}), unmatched=()))
    (audio / "3.wav").rename(audio / "first.wav")
    (audio / "0.wav").rename(audio / "3.wav")
    record("new.wav", 2, seed=9)  # of the size of all
    embedded.clear()
    report = update()
    assert (report.added, report.changed, report.removed, report.unchanged, report.renamed) == (1, 0, 0, 4, 2)
    assert len(embedded) == 1
    found = {"1.wav": 1961, "2.wav": 1962, "first.wav": 1963, "3.wav": 1960, "new.wav": None}
    assert years(tmp_path / "archive") == found
    assert hits(tmp_path / "archive") == hits(build("fresh") and tmp_path / "fresh")
    assert check_archive(open_archive(tmp_path / "archive")) == []
    embedded.clear()
    assert update().renamed == 0
    (audio / "3.wav").replace(audio / "1.wav")
    report = update()
    assert (report.added, report.changed, report.removed, report.unchanged, report.renamed) == (0, 0, 1, 4, 1)
    assert years(tmp_path / "archive")["1.wav"] == 1960
    record("1.wav", 2, seed=1)
    report = update()
    assert (report.added, report.changed, report.removed, report.unchanged) == (0, 1, 0, 3)
    assert len(embedded) == 1


def test_a_second_file_of_a_name_leaves_the_first_as_it_was(
    tmp_path: Path, audio: Path, build: Callable[..., Report], encoder: SpanEncoder, embedded: list[int]
) -> None:
    """Both get their folder's name; of two that hold the same, it is the file that tells the recording."""
    build(metadata=Metadata(pa.table({"year": [1960, 1961, 1962, 1963]}), unmatched=()))
    embedded.clear()
    shutil.copytree(audio, tmp_path / "a copy")
    sources = find_sources([tmp_path / "a copy", audio])
    report = update_archive(sources, tmp_path / "archive", encoder)
    assert (report.added, report.removed, report.unchanged, report.renamed) == (4, 0, 4, 4)
    assert len(embedded) == 4
    found = years(tmp_path / "archive")
    assert [found[f"audio/{number}.wav"] for number in range(4)] == [1960, 1961, 1962, 1963]
    assert [found[f"a copy/{number}.wav"] for number in range(4)] == [None] * 4


def test_columns_stay_until_others_are_given(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report], record: Record
) -> None:
    build(metadata=Metadata(pa.table({"year": [1960, 1961, 1962, 1963]}), unmatched=()))
    change(record, audio)
    update()
    assert years(tmp_path / "archive") == {"0.wav": 1960, "1.wav": 1961, "2.wav": 1962, "a.wav": None}
    update(metadata=Metadata(pa.table({"year": [1, 2, 3, 4]}), unmatched=()))
    assert years(tmp_path / "archive") == {"0.wav": 1, "1.wav": 2, "2.wav": 3, "a.wav": 4}


def test_an_interrupted_update_goes_on_behind_its_whole_shards(
    tmp_path: Path,
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    record: Record,
    encoder: SpanEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build()
    shutil.copytree(tmp_path / "archive", tmp_path / "before")
    for number in range(4, 8):
        record(f"{number}.wav", 2, seed=number)
    frames, done = encoder.frames, list[int]()

    def interrupted(waveform: np.ndarray) -> Frames:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(len(waveform))
        return frames(waveform)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "frames", interrupted)
        with pytest.raises(KeyboardInterrupt):
            update()
        assert segments(open_archive(tmp_path / "archive")) == segments(open_archive(tmp_path / "before"))
        patch.setattr(encoder, "frames", lambda waveform: (done.append(len(waveform)), frames(waveform))[1])
        update()
    assert len(done) == 3 + 2  # the second shard again
    build("fresh")
    assert segments(open_archive(tmp_path / "archive")) == segments(open_archive(tmp_path / "fresh"))
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_a_changed_file_that_cannot_be_read_stays_as_it_was_indexed(
    tmp_path: Path,
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    record: Record,
    caplog: pytest.LogCaptureFixture,
) -> None:
    build()
    before = open_archive(tmp_path / "archive")
    (audio / "1.wav").write_text("no sound at all")
    (audio / "new.wav").write_text("nor is this")
    report = update()
    assert open_archive(tmp_path / "archive").manifest.generation == before.manifest.generation
    assert (len(report.complaints), report.stayed, report.removed, report.unchanged) == (2, 1, 0, 3)
    assert [entry.levelno for entry in caplog.records] == [logging.WARNING] * 2
    record("0.wav", 3, seed=9)
    report = update()
    after = open_archive(tmp_path / "archive")
    assert [recording.path for recording in after.recordings.values()] == ["1.wav", "2.wav", "3.wav", "0.wav"]
    assert after.recordings[1] == before.recordings[1]
    assert (report.changed, report.stayed, report.removed, report.unchanged) == (1, 1, 0, 2)
    record("1.wav", 3, seed=10)
    report = update()
    assert (report.changed, report.stayed, report.unchanged) == (1, 0, 3)


def test_what_follows_from_the_segments_stays_with_them(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report]
) -> None:
    """At a thousand hours the vectors alone are 7 GB."""
    build()
    before = open_archive(tmp_path / "archive")
    update(metadata=Metadata(pa.table({"year": [1, 2, 3, 4]}), unmatched=()))
    after = open_archive(tmp_path / "archive")
    assert after.manifest.generation == 2
    assert after.where("year > 2").tolist() == [2, 3]
    for role in REBUILDABLE:
        assert after.manifest.part(role) == before.manifest.part(role)
    assert after.settings == before.settings
    assert check_archive(after) == []
    for archive in (before, after):
        archive.release()
    update(vectors=VectorChoice(recall=0.5), metadata=Metadata(pa.table({"year": [1, 2, 3, 4]}), unmatched=()))
    assert open_archive(tmp_path / "archive").manifest.part("vectors").name == "vectors-3.ivf"
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_an_archive_whose_files_cannot_be_read_is_left_as_it_is(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report]
) -> None:
    build()
    for path in audio.iterdir():
        path.write_text("no sound at all")
    assert update().stayed == 4
    assert open_archive(tmp_path / "archive").manifest.counts.recordings == 4
    for path in audio.iterdir():
        path.rename(path.with_stem(f"other {path.stem}"))
    with pytest.raises(StdSearchError, match="left as it is, for none of the 4 recordings could be read"):
        update()
    assert open_archive(tmp_path / "archive").manifest.counts.recordings == 4


def test_inverted_lists_are_changed_and_made_again_when_their_number_changes(
    tmp_path: Path,
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vector_settings, "TRAINED_FROM", 100)
    build(vectors=VectorChoice("ivf-flat", recall=0.95))
    settings = open_archive(tmp_path / "archive").settings["vectors"]
    assert 0 < settings["n_probe"] < settings["n_lists"]
    change(record, audio)
    with monkeypatch.context() as patch:
        patch.delattr(commit, "new_index")
        update()
    archive = open_archive(tmp_path / "archive")
    assert {**archive.settings["vectors"], "n_probe": 0} == {**settings, "n_probe": 0}
    scores, ids = archive.nearest(archive.embeddings(archive.segment_ids), 1)
    assert scores.min() > 0.98
    assert set(ids.ravel()) <= set(archive.segment_ids)
    record("long.wav", 20)
    update()
    archive = open_archive(tmp_path / "archive")
    assert archive.settings["vectors"]["n_lists"] > settings["n_lists"]
    assert archive.nearest(archive.embeddings(archive.segment_ids), 1)[0].min() > 0.98


def test_the_choice_of_vectors_stays_until_another_is_made(
    tmp_path: Path,
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def vectors(name: str = "archive") -> list[object]:
        settings = open_archive(tmp_path / name).settings["vectors"]
        return [settings[name] for name in ("chosen", "recall", "kind")]

    monkeypatch.setattr(vector_settings, "TRAINED_FROM", 100)
    choice = VectorChoice("ivf-sq8", recall=0.8)
    build(vectors=choice)
    change(record, audio)
    update()
    remove_recordings(tmp_path / "archive", ["a"])
    compact_archive(tmp_path / "archive")
    assert vectors() == ["ivf-sq8", 0.8, "ivf-sq8"]
    (tmp_path / "other").mkdir()
    (audio / "2.wav").rename(tmp_path / "other" / "z.wav")
    build("second", "other")
    merge_archives([tmp_path / "archive", tmp_path / "second"], tmp_path / "both")
    assert vectors("both") == ["ivf-sq8", 0.8, "ivf-sq8"]
    record("2.wav", 2, seed=12)
    update(vectors=choice)
    before = open_archive(tmp_path / "archive").manifest.generation
    update(vectors=choice)
    assert open_archive(tmp_path / "archive").manifest.generation == before
    update(vectors=VectorChoice("exact"))
    assert vectors() == ["exact", 0.99, "exact"]
    assert open_archive(tmp_path / "archive").manifest.generation == before + 1


def test_a_choice_of_vectors_that_is_none_is_told(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report]
) -> None:
    build()
    path = tmp_path / "archive" / "archive.json"
    path.write_text(path.read_text().replace('"chosen": "auto"', '"chosen": "best"'))
    with pytest.raises(StdSearchError, match=r"archive: 'best' is no kind of index.*; index again"):
        update()


def test_a_reader_sees_its_snapshot_until_it_is_gone(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report], record: Record
) -> None:
    """Nothing is read before the update that removes every shard which the reader needs."""
    build()
    expected, before = segments(open_archive(tmp_path / "archive")), files(tmp_path / "archive")
    reader = open_archive(tmp_path / "archive")
    for number in range(4):
        record(f"{number}.wav", 1, seed=30 + number)
    update()
    assert files(tmp_path / "archive") > before
    assert segments(reader) == expected
    assert len(reader.frames(0, 1, 0, 2)[0].hidden) == 50
    record("a.wav", 1)
    update()
    assert segments(reader) == expected
    del reader
    record("b.wav", 1)
    update()
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_a_reader_that_comes_between_two_commits_reads_again(
    tmp_path: Path,
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """archive.json is replaced after it was opened and before it is held: what it names is gone already."""
    from stdsearch.archive import manifest

    build()
    flock = manifest.fcntl.flock
    pending = [lambda: (change(record, audio), update())]

    def late(*arguments: Any) -> None:
        if pending:
            pending.pop()()
        flock(*arguments)

    class Fcntl:
        LOCK_SH, LOCK_NB = manifest.fcntl.LOCK_SH, manifest.fcntl.LOCK_NB
        flock = staticmethod(late)

    monkeypatch.setattr(manifest, "fcntl", Fcntl)
    assert open_archive(tmp_path / "archive").manifest.generation == 2


def test_where_sees_only_what_is_there(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report], record: Record
) -> None:
    build()
    change(record, audio)
    update()
    archive = open_archive(tmp_path / "archive")
    (some,) = archive.where("path = 'a.wav'")
    queries = archive.embeddings(archive.segment_ids[:5])
    _, ids = archive.nearest(queries, archive.n_segments, allowed=archive.segments_of(np.array([some])))
    own = archive.recordings[int(some)]
    assert set(ids[ids >= 0]) == set(range(own.first_segment, own.first_segment + own.n_segments))


def test_removing_between_leaves_the_journal_of_an_interrupted_update(
    tmp_path: Path,
    audio: Path,
    build: Callable[..., Report],
    update: Callable[..., Report],
    record: Record,
    encoder: SpanEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build()
    for number in range(4, 8):
        record(f"{number}.wav", 2, seed=number)
    frames, done = encoder.frames, list[int]()

    def interrupted(waveform: np.ndarray) -> Frames:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(len(waveform))
        return frames(waveform)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "frames", interrupted)
        with pytest.raises(KeyboardInterrupt):
            update()
    remove_recordings(tmp_path / "archive", ["1.wav"])
    (audio / "1.wav").unlink()
    done.clear()
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "frames", interrupted)
        update()
    assert len(done) == 2  # those of the second shard
    build("fresh")
    assert segments(open_archive(tmp_path / "archive")) == segments(open_archive(tmp_path / "fresh"))
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_a_new_file_where_a_renamed_one_was_is_added_and_nothing_removed(
    audio: Path, build: Callable[..., Report], update: Callable[..., Report], record: Record
) -> None:
    build()
    (audio / "1.wav").rename(audio / "moved.wav")
    record("1.wav", 3, seed=11)
    report = update()
    assert (report.added, report.changed, report.removed, report.unchanged, report.renamed) == (1, 0, 0, 4, 1)


def test_an_update_that_could_read_nothing_tries_again(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report], record: Record
) -> None:
    build()
    shutil.rmtree(audio)
    sound = record("new.wav", 2, seed=9).read_bytes()
    for content, time_ns in ((bytes(len(sound)), 10**18), (sound, 10**18)):  # as where rights or ffmpeg were missing
        (audio / "new.wav").write_bytes(content)
        os.utime(audio / "new.wav", ns=(time_ns, time_ns))
        if content != sound:
            with pytest.raises(StdSearchError, match="left as it is, for none of the 1"):
                update()
    assert update().added == 1


def test_columns_with_what_is_no_number_are_as_they_were(
    tmp_path: Path, audio: Path, build: Callable[..., Report], update: Callable[..., Report]
) -> None:
    build(metadata=Metadata(pa.table({"snr": [1.5, float("nan"), 2.0, None]}), unmatched=()))
    update()
    assert load_manifest(tmp_path / "archive").generation == 1
