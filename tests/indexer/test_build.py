import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch

from indexer import commit, shards, vectors
from indexer.build import Report, build_archive
from indexer.metadata import Metadata
from indexer.shards import Progress
from indexer.sources import find_sources
from stdsearch import vector_settings
from stdsearch.archive import open_archive
from stdsearch.archive.check import check_archive
from stdsearch.encoder import Frames, SpanEncoder, load_encoder, save_encoder
from stdsearch.errors import StdSearchError
from stdsearch.slicing import SlicingSettings
from stdsearch.threads import given_threads, n_threads
from stdsearch.vectors import FaissIndex

Record = Callable[..., Path]
Build = Callable[..., Report]


@pytest.fixture
def index(tmp_path: Path, encoder: SpanEncoder, encoder_file: Path) -> Build:
    """Indexes tmp_path / "audio" into tmp_path / NAME."""

    def run(name: str = "archive", **options: Any) -> Report:
        options = {"settings": SlicingSettings(speech_only=False), "encoder_file": encoder_file, **options}
        sources = find_sources([tmp_path / "audio"])
        return build_archive(sources, tmp_path / name, options.pop("encoder", encoder), **options)

    return run


def content(archive: Path) -> dict[str, str]:
    files = (path for path in archive.rglob("*") if path.is_file())
    return {str(path.relative_to(archive)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_an_archive_holds_what_its_encoder_makes_of_the_recordings(
    tmp_path: Path, index: Build, record: Record, encoder: SpanEncoder
) -> None:
    record("a/long.wav", 130, seed=1)
    record("b.wav", 3, seed=2)
    report = index()
    archive = open_archive(tmp_path / "archive", fingerprint=encoder.fingerprint)
    assert report.counts == archive.manifest.counts
    assert not report.complaints
    long, short = archive.recordings.values()
    assert (long.path, short.path) == ("a/long.wav", "b.wav")
    assert (long.duration, short.duration, archive.total_seconds) == (130, 3, 133)
    assert long.sha256 == hashlib.sha256((tmp_path / "audio/a/long.wav").read_bytes()).hexdigest()
    assert Path(short.source) == tmp_path / "audio" / "b.wav"
    assert (long.first_segment, short.first_segment) == (0, long.n_segments)
    assert load_encoder(archive.encoder_path).fingerprint == encoder.fingerprint

    segments = archive.segments(np.arange(archive.n_segments))
    assert archive.n_segments == long.n_segments + short.n_segments
    np.testing.assert_array_equal(segments.recording_id, np.repeat([0, 1], [long.n_segments, short.n_segments]))
    assert (segments.tbeg + segments.dur).max() <= 130 + 1e-6
    starts = np.unique(segments.tbeg[segments.recording_id == 0].round(2))
    np.testing.assert_allclose(np.diff(starts), 0.04)  # none lost where the windows meet

    frames, offset = archive.frames(1, 1, 0, 3)
    own = np.flatnonzero(segments.recording_id == 1)[::10]
    tbeg, dur = segments.tbeg[own], segments.dur[own]
    assert offset == 0
    again = encoder.embed_spans(frames, tbeg, tbeg + dur)
    assert (again * archive.embeddings(own)).sum(axis=1).min() > 0.999
    queries = archive.embeddings(own)
    scores, nearest = archive.nearest(queries, 1)
    np.testing.assert_allclose(scores[:, 0], (queries * archive.embeddings(nearest[:, 0])).sum(axis=1), atol=1e-3)


def test_the_same_input_gives_the_same_archive(tmp_path: Path, index: Build, record: Record) -> None:
    record("one.wav", 100, seed=1)
    record("two.wav", 2, seed=2)
    index("first", threads=1)
    index("second", threads=3)
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_only_speech_is_sliced(tmp_path: Path, index: Build, record: Record) -> None:
    record("speech.wav", 2)
    soundfile.write(tmp_path / "audio" / "silence.wav", np.zeros(32000), 16000)
    report = index(settings=SlicingSettings())
    archive = open_archive(tmp_path / "archive")
    silence, speech = archive.recordings.values()
    assert (silence.path, silence.n_segments, silence.duration) == ("silence.wav", 0, 2.0)
    assert speech.n_segments == report.counts.segments > 0
    assert len(archive.frames(0, 1, 0, 2)[0].hidden) == 50


def test_any_rate_length_and_number_of_channels_is_indexed(tmp_path: Path, index: Build) -> None:
    (tmp_path / "audio").mkdir()
    rng = np.random.default_rng(0)
    for name, rate, channels, seconds in [
        ("telephone.wav", 8000, 2, 1.5),
        ("studio.flac", 96000, 1, 1.0),
        ("round.wav", 16000, 6, 0.6),
        ("click.wav", 16000, 1, 0.05),
        ("sample.wav", 16000, 1, 1 / 16000),
    ]:
        soundfile.write(tmp_path / "audio" / name, 0.1 * rng.normal(size=(round(seconds * rate), channels)), rate)
    report = index()
    archive = open_archive(tmp_path / "archive")
    facts = {r.path: (r.sample_rate, r.channels, r.duration) for r in archive.recordings.values()}
    assert facts == {
        "telephone.wav": (8000, 2, 1.5),
        "studio.flac": (96000, 1, 1.0),
        "round.wav": (16000, 6, 0.6),
        "click.wav": (16000, 1, 0.05),
        "sample.wav": (16000, 1, 1 / 16000),
    }
    assert report.counts.channels == 11
    numbers = {r.path: r.recording_id for r in archive.recordings.values()}
    segments = archive.segments(np.arange(archive.n_segments))
    assert set(segments.channel[segments.recording_id == numbers["round.wav"]]) == {1, 2, 3, 4, 5, 6}
    assert numbers["click.wav"] not in segments.recording_id


def test_broken_files_are_left_out_and_told(
    tmp_path: Path, index: Build, record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    record("good.wav", 1)
    (tmp_path / "audio" / "text.wav").write_text("no sound at all")
    (tmp_path / "audio" / "empty.flac").touch()
    (tmp_path / "audio" / "dangling.wav").symlink_to(tmp_path / "nowhere")
    report = index()
    assert [r.path for r in open_archive(tmp_path / "archive").recordings.values()] == ["good.wav"]
    assert len(report.complaints) == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3
    for name in ("text.wav", "empty.flac", "dangling.wav"):
        assert sum(f"{name}: " in record.getMessage() for record in caplog.records) == 1


def test_a_file_that_breaks_in_its_middle_leaves_no_trace(tmp_path: Path, index: Build, record: Record) -> None:
    record("a.wav", 2, seed=1)
    samples = np.zeros(200 * 16000, np.float32)
    samples[-1] = np.nan
    soundfile.write(tmp_path / "audio" / "b.wav", samples, 16000, subtype="FLOAT")
    record("c.wav", 2, seed=2)
    report = index("with")
    assert len(report.complaints) == 1
    assert "b.wav: " in report.complaints[0]
    (tmp_path / "audio" / "b.wav").unlink()
    index("without")
    assert content(tmp_path / "with") == content(tmp_path / "without")


def test_nothing_readable_makes_no_archive(tmp_path: Path, index: Build) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "text.wav").write_text("no sound at all")
    with pytest.raises(StdSearchError, match="none of the 1 recordings could be read"):
        index()
    assert not (tmp_path / "archive").exists()


@pytest.fixture
def stop_after(encoder: SpanEncoder, monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[int]]:
    """Makes the network be interrupted after so many windows; returns the list of those it has done."""
    frames = encoder.frames

    def arrange(n_windows: int | None) -> list[int]:
        done: list[int] = []

        def counted(waveform: np.ndarray) -> Frames:
            if len(done) == n_windows:
                raise KeyboardInterrupt
            done.append(len(waveform))
            return frames(waveform)

        monkeypatch.setattr(encoder, "frames", counted)
        return done

    return arrange


@pytest.fixture
def interrupt(
    index: Build, stop_after: Callable[[int | None], list[int]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], None]:
    """Indexes with a shard for each recording, until so many windows are done."""
    monkeypatch.setattr(shards, "SHARD_SECONDS", 1.0)

    def run(n_windows: int) -> None:
        stop_after(n_windows)
        with pytest.raises(KeyboardInterrupt):
            index()

    return run


@pytest.mark.parametrize("n_whole", [0, 1, 3])
def test_an_interrupted_build_goes_on_behind_its_whole_shards(
    tmp_path: Path,
    index: Build,
    record: Record,
    interrupt: Callable[[int], None],
    stop_after: Callable[[int | None], list[int]],
    n_whole: int,
) -> None:
    for number in range(4):
        record(f"{number}.wav", 2, seed=number)
    (tmp_path / "audio" / "1x.wav").write_text("no sound at all")
    index("undisturbed")
    interrupt(n_whole)
    with pytest.raises(StdSearchError, match="it was interrupted while being made; run the same"):
        open_archive(tmp_path / "archive")
    done = stop_after(None)
    report = index()
    assert len(done) == 4 - n_whole
    assert len(report.complaints) == 1
    assert content(tmp_path / "archive") == content(tmp_path / "undisturbed")


def test_shards_that_are_changed_or_damaged_are_made_again(
    tmp_path: Path,
    index: Build,
    record: Record,
    interrupt: Callable[[int], None],
    stop_after: Callable[[int | None], list[int]],
) -> None:
    for number in range(4):
        record(f"{number}.wav", 2, seed=number)

    interrupt(3)
    record("1.wav", 3, seed=7)
    done = stop_after(None)
    index()
    assert len(done) == 2  # all but 0.wav and 2.wav
    shutil.rmtree(tmp_path / "archive")

    interrupt(3)
    (tmp_path / "archive" / "frames" / "00001.arrow").unlink()
    done = stop_after(None)
    index()
    assert len(done) == 2
    shutil.rmtree(tmp_path / "archive")

    interrupt(3)
    (tmp_path / "archive" / "journal" / "00000.json").write_text("{")
    done = stop_after(None)
    index()
    assert len(done) == 2


def test_an_interrupted_build_is_not_forgotten_for_another(
    tmp_path: Path,
    index: Build,
    record: Record,
    interrupt: Callable[[int], None],
    stop_after: Callable[[int | None], list[int]],
) -> None:
    for number in range(3):
        record(f"{number}.wav", 2, seed=number)
    index("undisturbed")
    interrupt(2)
    done = stop_after(None)
    with pytest.raises(StdSearchError, match="archive: holds an index with another encoder or other slices that was"):
        index(settings=SlicingSettings(speech_only=False, n_lengths=3))
    audio = tmp_path / "audio"
    for number in range(3):
        (audio / f"{number}.wav").rename(audio / f"another{number}.wav")
    with pytest.raises(StdSearchError, match="archive: holds an index of other recordings that was"):
        index()
    assert not done
    for number in range(3):
        (audio / f"another{number}.wav").rename(audio / f"{number}.wav")
    index()
    assert len(done) == 1
    assert content(tmp_path / "archive") == content(tmp_path / "undisturbed")


def test_an_interrupted_build_without_a_whole_shard_is_no_loss(
    tmp_path: Path, index: Build, record: Record, interrupt: Callable[[int], None], stop_after: Callable[..., list[int]]
) -> None:
    record("0.wav", 2)
    settings = SlicingSettings(speech_only=False, n_lengths=3)
    index("undisturbed", settings=settings)
    interrupt(0)
    stop_after(None)
    index(settings=settings)
    assert content(tmp_path / "archive") == content(tmp_path / "undisturbed")


def test_a_build_that_dies_in_the_commit_goes_on_from_its_shards(
    tmp_path: Path,
    index: Build,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: Callable[[int | None], list[int]],
) -> None:
    record("a.wav", 2)
    index("undisturbed")

    def no_space(*arguments: object, **options: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(commit, "new_index", no_space)
        with pytest.raises(StdSearchError, match=r"archive: cannot be written \(no space left on device\)"):
            index()
    with pytest.raises(StdSearchError, match="interrupted"):
        open_archive(tmp_path / "archive")
    done = stop_after(None)
    index()
    assert not done
    assert content(tmp_path / "archive") == content(tmp_path / "undisturbed")


def test_what_is_there_already_is_never_touched(tmp_path: Path, index: Build, record: Record) -> None:
    record("a.wav", 1)
    index()
    before = content(tmp_path / "archive")
    with pytest.raises(StdSearchError, match="is an archive already; --update it"):
        index()
    assert content(tmp_path / "archive") == before
    with pytest.raises(StdSearchError, match="holds other files"):
        index("audio")
    (tmp_path / "file").touch()
    with pytest.raises(StdSearchError, match="is a file"):
        index("file")
    (tmp_path / "empty").mkdir()
    assert index("empty").counts.recordings == 1


def test_a_pipe_is_left_out(tmp_path: Path, index: Build, record: Record) -> None:
    """Which would be waited for for ever."""
    record("a.wav", 1)
    os.mkfifo(tmp_path / "audio" / "x.wav")
    report = index()
    assert report.counts.recordings == 1
    assert report.complaints == (f"{tmp_path}/audio/x.wav: is no file; leave it out",)


@pytest.mark.parametrize("names", [("diary.txt",), ("2021.json",), ("2021.json", "plan.json"), ("plan.json", "2.txt")])
def test_a_journal_of_another_kind_is_no_unfinished_build(
    tmp_path: Path, index: Build, record: Record, names: tuple[str, ...]
) -> None:
    record("a.wav", 1)
    mine = tmp_path / "mine"
    (mine / "journal").mkdir(parents=True)
    for name in names:
        (mine / "journal" / name).write_text("{}")
    before = content(mine)
    with pytest.raises(StdSearchError, match="holds other files"):
        index("mine")
    assert content(mine) == before


def test_a_second_writer_is_refused(tmp_path: Path, index: Build, record: Record) -> None:
    record("a.wav", 1)
    refused = []

    def build_again(progress: object) -> None:
        with pytest.raises(StdSearchError, match=f"process {os.getpid()} on .* has been writing .* since 20"):
            index()
        refused.append(progress)

    assert index(on_progress=build_again).counts.recordings == 1
    assert refused


def test_an_encoder_that_is_replaced_meanwhile_is_told_and_nothing_is_lost(
    tmp_path: Path, index: Build, record: Record, encoder_file: Path
) -> None:
    record("a.wav", 1)
    model, seen = tmp_path / "model.safetensors", []
    shutil.copy(encoder_file, model)

    def export(progress: Progress) -> None:
        torch.manual_seed(9)
        save_encoder(SpanEncoder(load_encoder(encoder_file).settings), model, {})  # type: ignore[arg-type]

    with pytest.raises(
        StdSearchError, match=r"model.safetensors: is another encoder than the recordings were indexed by"
    ):
        index(encoder_file=model, on_progress=export)
    shutil.copy(encoder_file, model)
    assert index(encoder_file=model, on_progress=seen.append).counts.recordings == 1
    assert seen[0].recordings == 1  # which was not indexed again


def test_the_callers_threads_stay_as_they_were(index: Build, record: Record) -> None:
    record("a.wav", 1)
    with given_threads(2):
        index(threads=1)
        assert n_threads() == 2


def test_metadata_follow_their_recordings(tmp_path: Path, index: Build, record: Record) -> None:
    record("a.wav", 1)
    (tmp_path / "audio" / "b.wav").write_text("no sound at all")
    record("c.wav", 1)
    index(metadata=Metadata(pa.table({"year": [1960, 1970, 1980]}), unmatched=()))
    archive = open_archive(tmp_path / "archive")
    (found,) = archive.where("year = 1980")
    assert archive.recordings[int(found)].path == "c.wav"
    assert not len(archive.where("year = 1970"))


def test_progress_rises_to_the_whole(tmp_path: Path, index: Build, record: Record) -> None:
    paths = [record("a.wav", 100), record("b.wav", 2)]
    seen: list[Progress] = []
    index(on_progress=seen.append)
    assert seen[0] == Progress()
    shares = [progress.bytes / sum(path.stat().st_size for path in paths) for progress in seen]
    assert shares == sorted(shares)
    assert (shares[-1], seen[-1].recordings) == (1, 2)
    assert seen[-1].seconds == pytest.approx(102)


def test_an_archive_of_many_segments_gets_inverted_lists(
    tmp_path: Path, index: Build, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record("a.wav", 100)
    monkeypatch.setattr(vector_settings, "EXACT_BELOW", 1000)
    index()
    archive = open_archive(tmp_path / "archive")
    kept = archive.settings["vectors"]
    assert (kept["chosen"], kept["recall"], kept["kind"], kept["n_lists"]) == ("auto", 0.99, "ivf-pq", 64)
    assert 0 < kept["n_probe"] < 64
    ids = np.arange(0, archive.n_segments, 500)
    scores, _ = archive.nearest(archive.embeddings(ids), 1)
    assert scores.min() > 0.9


def test_an_index_that_is_larger_than_its_share_of_the_memory_has_the_same_bytes(
    tmp_path: Path, index: Build, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        record(name, 20)
    monkeypatch.setattr(shards, "SHARD_SECONDS", 10.0)
    monkeypatch.setattr(vector_settings, "EXACT_BELOW", 1000)
    index()
    set_down: list[Path] = []
    own = FaissIndex.set_down

    def counted(self: FaissIndex, folder: Path) -> None:
        set_down.append(folder)
        own(self, folder)

    monkeypatch.setattr(FaissIndex, "set_down", counted)
    monkeypatch.setattr(vectors, "MOST_IN_MEMORY", 1000)
    index("in-parts")
    assert set_down == 3 * [tmp_path / "in-parts"]
    assert content(tmp_path / "in-parts") == content(tmp_path / "archive")


@pytest.mark.parametrize("new", ["0a.wav", "2.wav"])
def test_an_interrupted_build_keeps_what_is_unchanged_wherever_something_new_is(
    tmp_path: Path,
    index: Build,
    record: Record,
    interrupt: Callable[[int], None],
    stop_after: Callable[[int | None], list[int]],
    new: str,
) -> None:
    for number in range(1, 5):
        record(f"{number}.wav", 2, seed=number)
    interrupt(3)
    record(new, 1, seed=9)
    done = stop_after(None)
    index()
    assert sorted(done) == [16000, 32000]
    assert check_archive(open_archive(tmp_path / "archive")) == []


def test_a_journal_with_a_gap_gives_no_shard_twice(
    tmp_path: Path,
    index: Build,
    record: Record,
    interrupt: Callable[[int], None],
    stop_after: Callable[[int | None], list[int]],
) -> None:
    """As where a kill came between two notes that were being removed."""
    for number in range(4):
        record(f"{number}.wav", 2, seed=number)
    interrupt(3)
    (tmp_path / "audio" / "1.wav").unlink()
    (tmp_path / "archive" / "journal" / "00001.json").unlink()
    stop_after(None)
    index()
    assert check_archive(open_archive(tmp_path / "archive")) == []


def test_a_file_that_was_mended_meanwhile_is_indexed(
    tmp_path: Path,
    index: Build,
    record: Record,
    interrupt: Callable[[int], None],
    stop_after: Callable[[int | None], list[int]],
) -> None:
    files = [record(f"{number}.wav", 2, seed=number) for number in range(3)]
    facts, sound = files[0].stat(), files[0].read_bytes()
    for content in (bytes(len(sound)), sound):  # of one size and time, as where only rights were missing
        files[0].write_bytes(content)
        os.utime(files[0], ns=(0, facts.st_mtime_ns))
        if content != sound:
            interrupt(1)
    stop_after(None)
    report = index()
    assert (report.complaints, report.counts.recordings) == ((), 3)
