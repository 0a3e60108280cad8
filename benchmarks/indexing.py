"""How fast an archive is filled, end to end from FLAC, and where the time goes.

    python benchmarks/indexing.py ../shared/speech/audio --out runs/indexing

The recordings below the folder are joined to FLAC files of ten minutes at 16 kHz, --hours in all. `stdsearch index`
runs --runs times in a process of its own; between its runs the same files are only decoded, on one thread: the floor.
Then one thread indexes them once in this process, with a clock of CPU time around each stage.
"""

import argparse
import itertools
import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile
from measure import write_result
from std_task import index, size_of

import indexer.build
import indexer.commit
import indexer.embedding
import indexer.shards
from indexer.sources import find_sources
from stdsearch import audio, kernels
from stdsearch.archive.frames import FrameWriter
from stdsearch.archive.segments import SegmentWriter
from stdsearch.encoder import SpanEncoder, load_encoder
from stdsearch.encoder.file import default_encoder_path
from stdsearch.encoder.span import SpanHead
from stdsearch.features import LogMel
from stdsearch.search import Archive
from stdsearch.slicing import SlicingSettings
from stdsearch.threads import set_threads

FILE_SECONDS = 600
STAGES: dict[str, tuple[Any, str]] = {  # a stage and the call that is it
    "checksums": (indexer.shards, "checksum"),
    "decoding": (audio, "blocks"),
    "speech activity": (indexer.embedding, "speech_spans"),
    "log-mel": (LogMel, "forward"),
    "network": (SpanEncoder, "encode"),
    "slices": (indexer.embedding, "slice_stretch"),
    "pooling": (kernels, "pool_spans"),
    "span head": (SpanHead, "forward"),
    "8-bit frames": (indexer.embedding, "quantise"),
    "segments to Parquet": (SegmentWriter, "write"),
    "frames to Arrow": (FrameWriter, "write"),
    "vector index": (indexer.commit, "new_index"),
    "columns of segments": (indexer.commit, "write_spans"),
}


def join(folder: Path, out: Path, hours: float) -> float:
    """Write FLAC files; returns their seconds."""
    out.mkdir(parents=True, exist_ok=True)
    sounds = (audio.read(path) for path in itertools.cycle(sorted(p for p in folder.rglob("*") if p.is_file())))
    n_files = round(hours * 3600 / FILE_SECONDS)
    held = np.empty(0, np.float32)
    for number in range(n_files):
        while len(held) < FILE_SECONDS * audio.SAMPLE_RATE:
            held = np.concatenate([held, *itertools.islice(sounds, 20)])
        now, held = np.split(held, [FILE_SECONDS * audio.SAMPLE_RATE])
        soundfile.write(out / f"{number:04d}.flac", now, audio.SAMPLE_RATE)
    return float(n_files * FILE_SECONDS)


def decode(files: Path) -> float:
    """Seconds that decoding alone takes."""
    began = time.perf_counter()
    for path in sorted(files.iterdir()):
        for _ in audio.blocks(path, seconds=indexer.shards.BLOCK_SECONDS):
            pass
    return time.perf_counter() - began


class Clock:
    """CPU seconds of the calling thread by stage, those of a stage inside another counted once."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._inner: list[float] = []

    def around(self, stage: str, function: Callable) -> Callable:
        """The function with its time taken; of a generator, that of its steps."""

        def timed(*arguments: Any, **options: Any) -> Any:
            result = self._take(stage, lambda: function(*arguments, **options))
            return self._steps(stage, result) if isinstance(result, Iterator) else result

        return timed

    def _steps(self, stage: str, steps: Iterator) -> Iterator:
        end = object()
        while (step := self._take(stage, lambda: next(steps, end))) is not end:
            yield step

    def _take(self, stage: str, call: Callable[[], Any]) -> Any:
        self._inner.append(0.0)
        began = time.thread_time()
        result = call()
        spent = time.thread_time() - began
        self.seconds[stage] += spent - self._inner.pop()
        if self._inner:
            self._inner[-1] += spent
        return result


class Inline(Executor):
    """Runs what is submitted at once, in the calling thread."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def submit(self, function: Callable, /, *arguments: Any, **options: Any) -> Future:
        """See Executor."""
        done: Future = Future()
        done.set_result(function(*arguments, **options))
        return done


def stages(files: Path, archive: Path) -> dict[str, float]:
    """CPU seconds of every stage, and of the rest, on one thread."""
    shutil.rmtree(archive, ignore_errors=True)
    encoder, clock = load_encoder(), Clock()
    with ExitStack() as patches:
        patches.enter_context(patch.object(indexer.build, "ThreadPoolExecutor", Inline))
        for stage, (owner, name) in STAGES.items():
            patches.enter_context(patch.object(owner, name, clock.around(stage, getattr(owner, name))))
        sources, began = find_sources([files]), time.thread_time()
        indexer.build.build_archive(
            sources, archive, encoder, encoder_file=default_encoder_path(), settings=SlicingSettings()
        )
        total = time.thread_time() - began
    return {**clock.seconds, "the rest": total - sum(clock.seconds.values())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the FLAC files and the archive")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    files, archive = arguments.out / "flac", arguments.out / "archive"
    shutil.rmtree(files, ignore_errors=True)
    seconds = join(arguments.audio, files, arguments.hours)
    stages(files, archive)  # compiles
    indexed, decoded = [], []
    for _ in range(arguments.runs):
        shutil.rmtree(archive, ignore_errors=True)
        indexed.append(index(files, archive, None, arguments.threads))
        decoded.append(decode(files))
    segments = Archive.open(archive).reader.n_segments
    set_threads(1)
    spent = stages(files, archive)
    speeds = sorted(seconds / run["index_seconds"] for run in indexed)
    result = {
        "audio_seconds": seconds,
        "x_real_time": {"median": statistics.median(speeds), "least": speeds[0], "most": speeds[-1]},
        "cores_busy": statistics.median(run["index_cpu_seconds"] / run["index_seconds"] for run in indexed),
        "peak_mib": max(run["index_peak_mib"] for run in indexed),
        "decoding_alone_x_real_time": seconds / statistics.median(decoded),
        "segments_per_hour": round(segments / seconds * 3600),
        "mib_per_hour": size_of(archive) / 2**20 / seconds * 3600,
        "cpu_seconds_per_hour": {stage: spent[stage] / seconds * 3600 for stage in spent},
    }
    print(json.dumps(result, indent=1))
    print(write_result("indexing", result, threads=arguments.threads, runs=arguments.runs))


if __name__ == "__main__":
    main()
