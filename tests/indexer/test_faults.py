"""A writer stopped at every one of its steps on the disk: the archive is whole, and the same command ends as ever."""

import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import shards
from indexer.build import Report, update_archive
from indexer.copying import compact_archive, merge_archives
from indexer.generations import sweep
from indexer.removal import remove_recordings
from indexer.repair import repair_archive
from indexer.sources import find_sources
from indexer.writer import sole_writer
from stdsearch.archive import open_archive
from stdsearch.archive.check import check_archive, open_unchecked
from stdsearch.encoder import load_encoder
from stdsearch.errors import StdSearchError
from tests.indexer.conftest import files, hits, named, segments

Build = Callable[..., Report]
Record = Callable[..., Path]
STEPS = ("fsync", "replace", "link", "unlink", "mkdir", "rmdir")  # of os
KILLS = 50


class Stopped(BaseException):
    """The machine is gone; no error, for nothing may handle it."""


class Disk:
    """What steps were made; from number `last` on, each raises what `fault` makes."""

    def __init__(self, last: int | None, fault: Callable[[], BaseException]) -> None:
        self.last = last
        self.n_steps = 0
        self.fault = fault
        self.synced: set[int] = set()

    def step(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **options: Any) -> Any:
            if self.last is not None and self.n_steps >= self.last:
                raise self.fault()
            self.n_steps += 1
            if name == "fsync":
                self.synced.add(os.fstat(arguments[0]).st_ino)
            return function(*arguments, **options)

        return stepped


@contextmanager
def disk(last: int | None = None, fault: Callable[[], BaseException] = Stopped) -> Iterator[Disk]:
    state = Disk(last, fault)
    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, state.step(name, getattr(os, name)))
        yield state


def lose_power(path: Path, before: set[int], synced: set[int]) -> None:
    """Of what was written and not forced to the disk, half is lost."""
    for file in path.rglob("*"):
        facts = file.stat()
        if file.is_file() and facts.st_ino not in before | synced:
            os.truncate(file, facts.st_size // 2)


def content(path: Path) -> dict[str, str]:
    return {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in files(path)}


def committed(path: Path) -> str | None:
    """The checksum of archive.json, which has those of all parts, if it is there; that these are sound is asserted."""
    if not (path / "archive.json").exists():
        return None
    archive = open_unchecked(path)
    assert check_archive(archive) == []
    return hashlib.sha256((path / "archive.json").read_bytes()).hexdigest()


@pytest.fixture
def small(tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three recordings of a shard each, below tmp_path / "audio"."""
    monkeypatch.setattr(shards, "SHARD_SECONDS", 0.1)
    for number in range(3):
        record(f"{number}.wav", 0.4, seed=number)
    return tmp_path / "audio"


@pytest.fixture
def commands(
    tmp_path: Path, small: Path, build: Build, update: Build, record: Record
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """For each command what goes before it, and how it runs, on tmp_path / "archive"."""
    path = tmp_path / "archive"

    def changed() -> None:
        build()
        record("1.wav", 0.5, seed=7)
        (small / "2.wav").unlink()
        record("3.wav", 0.3, seed=8)

    def removed() -> None:
        build()
        remove_recordings(path, ["0", "2"])

    def broken() -> None:
        build()
        os.truncate(path / "spans.npy", 10)
        (path / "vectors.ivf").unlink()

    def two() -> None:
        for name in ("one", "two"):
            build(name)
            for file in small.iterdir():
                file.unlink()
            record("x.wav", 0.4, seed=9)

    def remove() -> None:
        there = {recording.path for recording in open_archive(path).recordings.values()}
        if names := sorted({"0.wav", "2.wav"} & there):
            remove_recordings(path, names)

    def build_or_find() -> None:
        if not (path / "archive.json").exists():
            build()

    def merge() -> None:
        if not (path / "archive.json").exists():
            merge_archives([tmp_path / "one", tmp_path / "two"], path)

    return {
        "build": (lambda: None, build_or_find),
        "update": (changed, update),
        "remove": (build, remove),
        "compact": (removed, lambda: compact_archive(path)),
        "repair": (broken, lambda: repair_archive(path)),
        "merge": (two, merge),
    }


@pytest.mark.parametrize("command", ["build", "update", "remove", "compact", "repair", "merge"])
def test_whatever_step_is_the_last_the_archive_is_whole(
    tmp_path: Path, commands: dict[str, tuple[Callable[[], object], Callable[[], object]]], command: str
) -> None:
    prepare, run = commands[command]
    path, base = tmp_path / "archive", tmp_path / "base"
    prepare()
    if path.exists():
        shutil.copytree(path, base)
    before = committed(path) if command != "repair" else None
    with disk() as undisturbed:
        run()
    expected, after = content(path), committed(path)
    assert undisturbed.n_steps > 8
    assert files(path) == named(path)
    outcomes = set()
    for last in range(undisturbed.n_steps):
        shutil.rmtree(path)
        if base.exists():
            shutil.copytree(base, path)
        inodes = {file.stat().st_ino for file in path.rglob("*")}
        with disk(last) as disturbed, pytest.raises(Stopped):
            run()
        lose_power(path, inodes, disturbed.synced)
        if command != "repair" or len(check_archive(open_unchecked(path))) == 0:
            state = committed(path)
            assert state in (before, after), last
            outcomes.add(state)
        run()
        if (path / "archive.json").exists():
            with sole_writer(path):  # as the next command does
                sweep(path)
        assert content(path) == expected, last
    assert outcomes == ({after} if command == "repair" else {before, after})


@pytest.mark.parametrize("command", ["update", "compact"])
def test_a_full_disk_is_told_and_changes_nothing(
    tmp_path: Path, commands: dict[str, tuple[Callable[[], object], Callable[[], object]]], command: str
) -> None:
    prepare, run = commands[command]
    path = tmp_path / "archive"
    prepare()
    before = committed(path)
    with disk(6, lambda: OSError(errno.ENOSPC, "No space left on device")), pytest.raises(StdSearchError) as caught:
        run()
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device); mend that, and the same command goes on"
    )
    del caught  # and with it the reader of the run that failed
    assert committed(path) == before
    run()
    assert committed(path) != before
    assert files(path) == named(path)


@contextmanager
def files_up_to(n_bytes: int) -> Iterator[None]:
    """Whoever writes more to a file is told that it cannot be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("role", ["vectors", "segments", "spans", "catalog", "frames", None])
def test_a_file_that_cannot_be_written_whole_is_told(
    tmp_path: Path, commands: dict[str, tuple[Callable[[], object], Callable[[], object]]], role: str | None
) -> None:
    """Each library that writes has its way to fail."""
    prepare, run = commands["update"]
    prepare()
    path = tmp_path / "archive"
    before, parts = committed(path), open_archive(path).manifest.parts
    n_bytes = parts[role][0].bytes * 2 // 3 if role else 10
    with files_up_to(n_bytes), pytest.raises(StdSearchError) as caught:
        run()
    assert str(caught.value).startswith(f"{path}: cannot be written (")
    assert "\n" not in str(caught.value)
    del caught
    assert committed(path) == before
    run()
    assert committed(path) != before
    assert files(path) == named(path)


NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]  # in which anybody may mount


def fill_disks(folder: Path, model: Path) -> int:
    """How many pages more than "base" took an update of a copy of it, in file systems of growing size.

    Whenever there are not enough, that is told, nothing is lost, and with more room the same command ends as ever.
    """
    shards.SHARD_SECONDS = 0.1
    encoder, small = load_encoder(model), folder / "small"
    sources = find_sources([folder / "audio"])
    expected = content(folder / "updated")
    pages = sum(-(-file.stat().st_size // 4096) for file in (folder / "base").rglob("*"))
    for n_free in range(0, 200, 4):
        size = f"size={4096 * (pages + n_free)}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", small], check=True)
        path = small / "archive"
        shutil.copytree(folder / "base", path)
        before, told = committed(path), ""
        try:
            update_archive(sources, path, encoder)
        except StdSearchError as error:
            told = str(error)
        if told:
            assert "No space left on device); mend that, and the same command goes on" in told
            assert committed(path) == before
            subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
            update_archive(sources, path, encoder)
        assert content(path) == expected
        subprocess.run(["umount", "--lazy", small], check=True)
        if not told:
            return n_free
    raise AssertionError("no disk was large enough")


def test_a_disk_of_whatever_size_fills_up_without_loss(
    tmp_path: Path,
    commands: dict[str, tuple[Callable[[], object], Callable[[], object]]],
    encoder_file: Path,
) -> None:
    """On real file systems, in memory, each a little larger than the last one."""
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("the system lets nobody mount a file system of their own")
    prepare, run = commands["update"]
    prepare()
    shutil.copytree(tmp_path / "archive", tmp_path / "base")
    run()
    (tmp_path / "archive").rename(tmp_path / "updated")
    (tmp_path / "small").mkdir()
    program = "import sys, pathlib, tests.conftest; from tests.indexer.test_faults import fill_disks; "
    program += "print(fill_disks(*map(pathlib.Path, sys.argv[1:])))"
    command = [*NAMESPACE, sys.executable, "-c", program, str(tmp_path), str(encoder_file)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) >= 8


def test_readers_see_one_state_or_another_while_writers_work(
    tmp_path: Path, small: Path, build: Build, update: Build, record: Record
) -> None:
    build()
    path = tmp_path / "archive"
    right: dict[int, Any] = {}
    seen: list[tuple[int, Any]] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def look() -> tuple[int, Any]:
        archive = open_archive(path)
        generation = archive.manifest.generation
        time.sleep(0.01)  # meanwhile a writer may commit
        return generation, segments(archive)

    def read() -> None:
        while not done.is_set():
            try:
                seen.append(look())
            except BaseException as error:  # which a thread would keep to itself
                failures.append(error)

    right.update([look()])
    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    try:
        for number in range(3):
            for change in (
                lambda number=number: (record(f"x{number}.wav", 0.3, seed=number), update()),
                lambda number=number: remove_recordings(path, [f"{number}.wav"]),
                lambda: compact_archive(path),
            ):
                change()
                right.update([look()])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not failures
    assert len({generation for generation, _ in seen}) > 2
    assert all(right[generation] == state for generation, state in seen)
    with sole_writer(path):
        sweep(path)
    assert files(path) == named(path)


READER = """
import hashlib, json, sys, tests.conftest
from stdsearch.errors import StdSearchError
from stdsearch.search import Archive
from tests.indexer.conftest import hits
print("ready", flush=True)
while True:
    try:
        archive = Archive.open(sys.argv[1])
    except StdSearchError as error:
        known = "interrupted while being made", "no such archive", "holds no archive.json"  # in turn, as it is begun
        assert any(state in str(error) for state in known), error
        continue
    answer = hashlib.sha256(repr(hits(archive)).encode()).hexdigest()
    print(json.dumps([archive.reader.manifest.generation, answer]), flush=True)
"""


@pytest.mark.slow
def test_eight_readers_get_right_answers_while_an_archive_is_built_and_changed(
    tmp_path: Path, small: Path, build: Build, update: Build, record: Record
) -> None:
    """Processes that open and search, over and over, from before there is an archive."""
    path, right = tmp_path / "archive", dict[int, str]()

    def n_answers() -> int:
        return sum(output.read_text().count("]\n") for output in outputs)

    def look() -> None:
        """What is right by now; and the readers, however slow the machine, get to see something of it."""
        generation = open_archive(path).manifest.generation
        right[generation] = hashlib.sha256(repr(hits(path)).encode()).hexdigest()
        enough = n_answers() + 2
        while n_answers() < enough and all(reader.poll() is None for reader in readers):
            time.sleep(0.05)

    command = [sys.executable, "-c", READER, str(path)]
    outputs = [tmp_path / f"reader{number}" for number in range(8)]
    readers = [
        subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=output.open("w"), stderr=subprocess.STDOUT)
        for output in outputs
    ]
    try:
        while not all(output.read_text().startswith("ready") for output in outputs):
            time.sleep(0.1)
        build()
        look()
        for number in range(5):
            record(f"x{number}.wav", 0.4, seed=number)
            update()
            look()
            remove_recordings(path, [f"x{number}.wav"])
            look()
            compact_archive(path)
            look()
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
    seen = [json.loads(line) for output in outputs for line in output.read_text().splitlines()[1:] if line[-1:] == "]"]
    complaints = [output.read_text()[-2000:] for output in outputs if "Traceback" in output.read_text()]
    assert not complaints, complaints[0]
    assert len({generation for generation, _ in seen}) > 3
    assert all(right[generation] == answer for generation, answer in seen)


@pytest.mark.slow
def test_of_two_writers_at_once_one_is_told_of_the_other(
    tmp_path: Path, small: Path, build: Build, record: Record, encoder_file: Path
) -> None:
    build()
    path = tmp_path / "archive"
    for number in range(40):
        record(f"x{number:02d}.wav", 2, seed=number)
    command = [sys.executable, "-c", PROGRAM, str(small), str(path), str(encoder_file)]
    writers = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ends = [(writer.communicate()[1], writer.returncode) for writer in writers]
    for told, code in ends:
        assert code == 0 or "has been writing this archive since" in told or "another process is writing" in told, told
    assert any(code == 0 for _, code in ends)
    assert committed(path)
    assert open_archive(path).manifest.counts.recordings == 43
    assert files(path) == named(path)


def test_a_shard_that_was_finished_is_not_made_again(
    tmp_path: Path, commands: dict[str, tuple[Callable[[], object], Callable[[], object]]], encoder: Any
) -> None:
    """Stopped behind the note of the first of two shards, in the midst of the second."""
    prepare, run = commands["update"]
    prepare()
    seen: list[int] = []
    frames = encoder.frames
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "frames", lambda waveform: (seen.append(len(waveform)), frames(waveform))[1])
        path = tmp_path / "archive"
        for last in range(100):
            with disk(last), pytest.raises(Stopped):
                run()
            if list((path / "journal").glob("[0-9]*.json")):
                break
        seen.clear()
        run()
    assert len(seen) == 1


def test_of_an_unfinished_update_only_whole_shards_wait(
    tmp_path: Path, commands: dict[str, tuple[Callable[[], object], Callable[[], object]]]
) -> None:
    """Half a shard would take the room that other commands need on a full disk."""
    prepare, run = commands["update"]
    prepare()
    path = tmp_path / "archive"
    before = files(path)
    notes: list[Path] = []
    for last in range(100):
        with disk(last), pytest.raises(Stopped):
            run()
        if notes := list((path / "journal").glob("[0-9]*.json")):
            break
    (note,) = notes
    half = path / f"segments/{int(note.stem) + 1:05d}.parquet"
    half.touch()
    with sole_writer(path):  # as another command does
        sweep(path)
    whole = {f"segments/{note.stem}.parquet", f"frames/{note.stem}.arrow"}
    assert files(path) == before | whole | {"journal/plan.json", f"journal/{note.name}"}


def test_a_second_process_is_told_who_writes(tmp_path: Path, small: Path, build: Build) -> None:
    build()
    path = tmp_path / "archive"
    program = "import sys, pathlib, indexer.writer as w\nwith w.sole_writer(pathlib.Path(sys.argv[1])):\n"
    program += "    print('writing', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        for write in (lambda: remove_recordings(path, ["0"]), lambda: compact_archive(path)):
            with pytest.raises(StdSearchError, match=rf"process {writer.pid} on .* since 20.*; wait until it ends"):
                write()
        assert open_archive(path).n_segments  # readers do not mind
        writer.send_signal(signal.SIGKILL)
    remove_recordings(path, ["0"])
    assert files(path) == named(path)


def test_readers_in_other_processes_keep_their_snapshot(tmp_path: Path, small: Path, build: Build) -> None:
    build()
    path = tmp_path / "archive"
    program = """
import sys, numpy as np
from stdsearch.archive import open_archive
archive = open_archive(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
ids = archive.segment_ids
_, nearest = archive.nearest(archive.embeddings(ids), 1)
print(len(ids), len(set(nearest.ravel())), len(archive.frames(0, 1, 0, 1)[0].hidden), flush=True)
"""
    n_segments = open_archive(path).n_segments
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        remove_recordings(path, ["0", "1"])
        compact_archive(path)
        answer, _ = reader.communicate("\n")
    found, nearest, n_frames = map(int, answer.split())
    assert (found, n_frames) == (n_segments, 10)
    assert nearest > n_segments // 2
    remove_recordings(path, ["2"])
    assert files(path) == named(path)


PROGRAM = """
import sys
from pathlib import Path
from indexer import shards
from indexer.build import build_archive, update_archive
from indexer.sources import find_sources
from stdsearch.encoder import load_encoder
from stdsearch.slicing import SlicingSettings
from stdsearch.threads import set_threads
shards.SHARD_SECONDS = 3.0
audio, out, model = map(Path, sys.argv[1:])
encoder = load_encoder(model)
print("ready", flush=True)
if (out / "archive.json").exists():
    update_archive(find_sources([audio]), out, encoder)
else:
    build_archive(find_sources([audio]), out, encoder, encoder_file=model, settings=SlicingSettings(speech_only=False))
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_indexer_ends_where_it_would_have(
    tmp_path: Path, record: Record, encoder_file: Path
) -> None:
    """SIGKILL at random moments of a build and of an update, over and over."""
    for number in range(12):
        record(f"{number:02d}.wav", 2, seed=number)
    path = tmp_path / "archive"

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "audio"), str(path), str(encoder_file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def finish() -> float:
        began = time.monotonic()
        assert start().wait() == 0
        return time.monotonic() - began

    lasting = finish()
    built = tmp_path / "built"
    shutil.copytree(path, built)
    for number in range(4):
        record(f"{number:02d}.wav", 1, seed=20 + number)
    record("new.wav", 2, seed=30)
    finish()
    stages = {None: content(built), committed(built): content(path)}  # what is there, and what comes of it
    shutil.rmtree(path)

    random, n_kills = np.random.default_rng(0), 0
    while n_kills < KILLS:
        base = (None, committed(built))[n_kills % 2]
        shutil.rmtree(path, ignore_errors=True)
        if base:
            shutil.copytree(built, path)
        else:  # the files that the first build saw
            for number in range(4):
                record(f"{number:02d}.wav", 2, seed=number)
            (tmp_path / "audio" / "new.wav").unlink(missing_ok=True)
        if base:
            for number in range(4):
                record(f"{number:02d}.wav", 1, seed=20 + number)
            record("new.wav", 2, seed=30)
        while True:
            process = start()
            time.sleep(random.uniform(0, lasting / 3))
            process.kill()
            if process.wait() == 0:
                break
            n_kills += 1
            state = committed(path)
            assert state == base or content(path).items() >= {"archive.json": stages[base]["archive.json"]}.items()
            if state != base:
                break
        if (path / "archive.json").exists():
            with sole_writer(path):
                sweep(path)
        assert {name: sha for name, sha in content(path).items() if not name.startswith("journal")} == stages[base]


@pytest.mark.parametrize("folder", ["segments", "frames", "journal", "past"])
def test_nothing_is_written_through_links(
    tmp_path: Path, small: Path, build: Build, update: Build, folder: str
) -> None:
    """A stranger's archive could lead a writer to what is the user's."""
    build()
    path, other = tmp_path / "archive", tmp_path / "other"
    (path / folder).rename(other) if (path / folder).exists() else other.mkdir()
    (path / folder).symlink_to(other)
    before = content(other)
    with pytest.raises(StdSearchError, match=f"{folder}: is a link"):
        update()
    assert content(other) == before


def test_what_lies_where_files_are_to_be_written_is_not_followed(
    tmp_path: Path, small: Path, build: Build, update: Build, record: Record
) -> None:
    build()
    path, own = tmp_path / "archive", tmp_path / "own"
    own.write_text("mine")
    plan = {"next_ids": json.loads((path / "archive.json").read_bytes())["next_ids"]}
    (path / "journal").mkdir()
    (path / "journal" / "plan.json").write_text(json.dumps(plan))
    names = ("writer.json.new", "archive.json.new", "spans-2.npy", "vectors-2.ivf", "catalog-2.parquet")
    for name in (*names, "segments/00003.parquet", "frames/00003.arrow", "journal/plan.json.new"):
        (path / name).symlink_to(own)
    record("new.wav", 0.4)
    update()
    assert own.read_text() == "mine"
    assert committed(path)
    assert files(path) == named(path)
