"""How long a search takes in archives of many sizes, and a query as a process of its own.

    python benchmarks/latency.py ARCHIVE ../shared/speech/dev --out runs/latency [--copies 1 10] [--terms 300]

The archives are made below --out, or taken from there, from copies of ARCHIVE under other names, whose recordings and
segments have ids of their own. In all but the first copy, embeddings are moved as in `vectors.moved`, the codes of
frames by -1, 0 or 1, drawn anew for each copy: no two places tie, and the lists of the index fill as real speech fills
them. The index is of the kind that its size gives, and tuned as indexing does.

In each archive, in a fresh process: opening it, with a first term; the terms of the task, or --terms of them, one after
the other, after as many others that warm it up, 20 hits shown; the same terms again, whose pages are in memory by then;
then a KWList of --kwlist terms, 20 hits a term, and one for all hits, which is shorter where a term has more than 150
places. The depth is what search takes for either. An archive of half the memory or less is read through before. Of a
larger one, what a new term looks at is on the disk: how many pages it reads there, and how many the disk gives in a
second, is told. Pronunciation included. Milliseconds on the wall and, for the machine may be busy, of CPU. Last,
`stdsearch query` as a whole process in the archive whose hours are nearest to ten, beside a process that only imports
torch. With --memory-gib the largest archive is measured again by a process that may hold no more, pages of files
included, of which none is in memory when it starts. Needs Linux; --memory-gib, to be root. Writes
benchmarks/results/latency.json and draws latency.png.
"""

import argparse
import json
import mmap
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from measure import write_result
from std_task import Task
from vectors import moved, timed

from indexer.vectors import new_index, tune_by_words
from stdsearch.archive import ArchiveReader, open_archive
from stdsearch.archive.addresses import write_addresses
from stdsearch.archive.catalog import write_catalog
from stdsearch.archive.frames import FrameReader, FrameWriter, QuantisedFrames
from stdsearch.archive.manifest import FILE_NAME
from stdsearch.archive.parts import seal
from stdsearch.archive.segments import SegmentReader, SegmentTable, SegmentWriter, to_codes
from stdsearch.archive.spans import write_spans
from stdsearch.search import FEWEST_PLACES, SEGMENTS_A_PLACE, Archive, Request, depth_for
from stdsearch.threads import set_threads
from stdsearch.vector_settings import RECALL, VectorSettings

SHOWN = 20
COLD_TERM, COLD_HOURS = "harbour", 10
PAGE = 4096  # bytes
DISK_READS, AT_ONCE = 4000, 8


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("task", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--terms", type=int, default=300)
    parser.add_argument("--kwlist", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5, help="of the whole process")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gib", type=float)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    if arguments.child:
        if arguments.memory_gib:
            confine(arguments.memory_gib)
        print(json.dumps(measure(arguments.archive, arguments.task, arguments.terms, arguments.kwlist)))
        return
    sizes = []
    for copies in arguments.copies:
        archive = arguments.out / f"copies-{copies}"
        made = {} if (archive / FILE_NAME).exists() else enlarge(open_archive(arguments.archive), copies, archive)
        command = [sys.executable, __file__, str(archive), str(arguments.task), "--out", str(arguments.out), "--child"]
        command += [f"--{name}={getattr(arguments, name)}" for name in ("terms", "kwlist", "threads")]
        sizes.append({"copies": copies} | made | measured_by(command))
        print(sizes[-1], flush=True)
    confined = None
    if arguments.memory_gib:
        confined = measured_by([*command, f"--memory-gib={arguments.memory_gib}"])
        _group().rmdir()
    asked = min(sizes, key=lambda size: abs(size["hours"] - COLD_HOURS))
    archive = arguments.out / f"copies-{asked['copies']}"
    query = ["-m", "stdsearch", "query", str(archive), COLD_TERM, "--threads", str(arguments.threads)]
    cold = {"torch": process(["-c", "import torch"], arguments.runs), "query": process(query, arguments.runs)}
    cold["hours"] = asked["hours"]
    result = {"sizes": sizes, "confined": confined, "memory_gib": arguments.memory_gib, "cold": cold}
    result["disk_reads_a_second"] = disk_reads_a_second(arguments.out / f"copies-{max(arguments.copies)}")
    result |= {"load_average": round(os.getloadavg()[1], 1)}
    written = write_result("latency", result, threads=arguments.threads, runs=arguments.runs)
    draw(sizes, written.with_suffix(".png"))
    print(written.read_text(encoding="utf-8"))


def measured_by(command: Sequence[str]) -> dict[str, Any]:
    """What a process of its own measures."""
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def disk_reads_a_second(archive: Path) -> int:
    """How many pages of an archive's frames, here and there, the disk gives; none comes from memory."""
    files = sorted(archive.glob("frames/*"))

    def read(number: int) -> None:
        drawn = random.Random(number)
        page = mmap.mmap(-1, PAGE)  # begins where one may, which O_DIRECT asks for
        file = os.open(drawn.choice(files), os.O_RDONLY | os.O_DIRECT)
        os.preadv(file, [page], PAGE * drawn.randrange(os.fstat(file).st_size // PAGE))
        os.close(file)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        began = time.perf_counter()
        list(pool.map(read, range(DISK_READS)))
        return round(DISK_READS / (time.perf_counter() - began))


def confine(gib: float) -> None:
    """Let this process hold no more memory than that, pages of files included; those that are in memory go first."""
    Path("/proc/sys/vm/drop_caches").write_text("1", encoding="ascii")  # else they count for who read them
    group = _group()
    group.mkdir(exist_ok=True)
    limit = group / ("memory.limit_in_bytes" if group.parent.name == "memory" else "memory.max")
    limit.write_text(str(round(gib * 2**30)), encoding="ascii")
    (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")


def _group() -> Path:
    """The control group of a confined process: of version 1, where memory has a tree of its own, or of version 2."""
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    return (first if first.exists() else second) / "stdsearch-latency"


def draw(sizes: Sequence[dict[str, Any]], path: Path) -> None:
    """How milliseconds grow with hours, both axes logarithmic."""
    figure = Figure((6, 4), layout="constrained")
    axes = figure.subplots()
    curves = {"ms_p50": "a query, median", "ms_p95": "95th percentile", "kwlist_ms_a_term": "a term of a KWList"}
    curves |= {"kwlist_shown_ms_a_term": "the same, 20 hits a term"}
    for name, label in curves.items():
        axes.loglog([size["hours"] for size in sizes], [size[name] for size in sizes], marker="o", label=label)
    axes.set(xlabel="hours of recordings", ylabel="milliseconds")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def enlarge(archive: ArchiveReader, copies: int, out: Path) -> dict[str, float]:
    """Make an archive of copies of another; returns the CPU seconds that its index took."""
    manifest, recordings = archive.manifest, list(archive.recordings.values())
    for folder in ("segments", "frames"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    (out / "encoder.safetensors").symlink_to(archive.encoder_path.resolve())

    n_recordings, n_segments = manifest.next_ids.recording, manifest.next_ids.segment
    write_catalog(
        out / "catalog.parquet",
        [
            replace(
                recording,
                recording_id=recording.recording_id + copy * n_recordings,
                path=f"copy-{copy}/{recording.path}",
                shard=f"{recording.shard}-{copy}",
                first_segment=recording.first_segment + copy * n_segments,
            )
            for copy in range(copies)
            for recording in recordings
        ],
    )
    shards = archive.recordings_of_shard
    for copy in range(copies):
        random = np.random.default_rng(copy)
        for shard in shards:
            frames = archive.frames_file(shard)
            with FrameWriter(out / f"frames/{shard}-{copy}.arrow", manifest.encoder.frame_width) as writer:
                for recording in shards[shard]:
                    for channel, first, block in frames.blocks(recording.recording_id):
                        other = nudged(block, random) if copy else block
                        writer.write(recording.recording_id + copy * n_recordings, channel, first, other)
            segments, places = archive.segments_file(shard), archive.segments_file(shard).places()
            places["recording_id"] += copy * n_recordings
            first_id = segments.first_id + copy * n_segments
            with SegmentWriter(out / f"segments/{shard}-{copy}.parquet", manifest.encoder.dim, first_id=first_id) as to:
                for ids, embeddings in segments.embeddings():
                    part = places[ids - segments.first_id]
                    table = SegmentTable(part["recording_id"], part["channel"], part["tbeg"], part["dur"])
                    to.write(table, to_codes(moved(embeddings, copy) if copy else embeddings))

    settings = VectorSettings.for_size(copies * archive.n_segments)
    names = [f"{shard}-{copy}" for copy in range(copies) for shard in shards]
    written = [SegmentReader(out / f"segments/{name}.parquet", manifest.encoder.dim) for name in names]
    n_ids, step = copies * n_segments, manifest.encoder.frame_seconds
    write_spans(out / "spans.npy", out / "runs.npy", written, n_ids, step)
    frames_written = [FrameReader(out / f"frames/{name}.arrow", manifest.encoder.frame_width) for name in names]
    write_addresses(out / "groups.npy", written, out / "blocks.npy", frames_written)
    live = np.zeros(n_segments, bool)
    live[archive.segment_ids] = True
    dim, saved = manifest.encoder.dim, out / "vectors.ivf"
    index, seconds = timed(lambda: new_index(written, dim, settings, np.tile(live, copies), scratch=out))
    _, saving = timed(lambda: index.save(saved))
    n_probe, tuning = timed(lambda: tune_by_words(saved, dim, archive.encoder_path, RECALL))
    counts = {name: value * copies for name, value in asdict(manifest.counts).items()}
    next_ids = {"recording": n_recordings * copies, "segment": n_segments * copies, "shard": len(names)}
    replace(
        manifest,
        generation=1,
        settings={**manifest.settings, "vectors": asdict(replace(settings, n_probe=n_probe))},
        counts=replace(manifest.counts, **counts),
        next_ids=replace(manifest.next_ids, **next_ids),
        parts={
            "encoder": (seal(out, "encoder.safetensors"),),
            "catalog": (seal(out, "catalog.parquet"),),
            **{role: (seal(out, f"{role}.npy"),) for role in ("runs", "spans", "groups", "blocks")},
            "vectors": (seal(out, "vectors.ivf"),),
            "segments": tuple(seal(out, f"segments/{name}.parquet") for name in names),
            "frames": tuple(seal(out, f"frames/{name}.arrow") for name in names),
        },
    ).save(out)
    return {"index_cpu_seconds": round(seconds + saving, 1), "tune_cpu_seconds": round(tuning, 1)}


def nudged(block: QuantisedFrames, random: np.random.Generator) -> QuantisedFrames:
    """Frames of which each value is moved by one step or none."""
    moved = block.codes.astype(np.int16) + random.integers(-1, 2, block.codes.shape, np.int16)
    return replace(block, codes=moved.clip(0, 255).astype(np.uint8))


def measure(archive_path: Path, task_path: Path, n_terms: int, n_listed: int) -> dict[str, Any]:
    """Figures of one archive, in a process that has done nothing else."""
    reader = open_archive(archive_path)
    parts = list(reader.manifest.all_parts())
    if 2 * sum(part.bytes for part in parts) <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        for part in parts:
            (archive_path / part.name).read_bytes()
    texts = [request.text for request in Task.read(task_path).requests("text")]
    drawn = np.random.default_rng(0).permutation(len(texts))
    requests = [Request(f"KW-{i}", texts[i]) for i in drawn]
    asked, others = requests[:n_terms], requests[n_terms : 2 * n_terms]
    began = time.perf_counter()
    archive = Archive.open(archive_path)
    archive.search(others[0].text if others else texts[0], limit=SHOWN)
    opening = time.perf_counter() - began
    for request in [*others, *asked[:1]]:
        archive.search(request.text, limit=SHOWN)
    before = _read_bytes()
    first = [clocked(lambda text=request.text: archive.search(text, limit=SHOWN)) for request in asked]  # type: ignore[misc]
    read = _read_bytes() - before
    again = [clocked(lambda text=request.text: archive.search(text, limit=SHOWN)) for request in asked]  # type: ignore[misc]
    wall, cpu = np.transpose(first)
    depth, depth_shown = depth_for(reader.total_seconds), depth_for(reader.total_seconds, SHOWN)
    shown = [requests[i % len(requests)] for i in range(n_listed)]
    shown_wall, shown_cpu = clocked(lambda: list(archive.search_all(shown, limit=SHOWN)))
    listed = shown[: max(1, n_listed * FEWEST_PLACES // depth)]
    list_wall, list_cpu = clocked(lambda: list(archive.search_all(listed)))
    vectors = np.concatenate([archive.prepare(request).vectors[:1] for request in asked])
    k = SEGMENTS_A_PLACE * depth_shown
    nearest = [clocked(lambda vector=vector: archive.reader.nearest(vector[None], k)) for vector in vectors]  # type: ignore[misc]
    return {
        "hours": round(reader.total_seconds / 3600, 2),
        "segments": reader.n_segments,
        "vectors": dict(reader.settings["vectors"]),
        "terms": len(asked),
        "opening_seconds": round(opening, 2),
        "ms_p50": _percentile(wall, 50),
        "ms_p95": _percentile(wall, 95),
        "again_ms_p50": _percentile(np.array(again)[:, 0], 50),
        "again_ms_p95": _percentile(np.array(again)[:, 0], 95),
        "pages_read_a_term": round(read / PAGE / len(asked)),
        "cpu_ms_p50": _percentile(cpu, 50),
        "cpu_ms_p95": _percentile(cpu, 95),
        "nearest_cpu_ms_p50": _percentile(np.array(nearest)[:, 1], 50),
        "kwlist_terms": len(listed),
        "kwlist_ms_a_term": round(list_wall / len(listed), 2),
        "kwlist_cpu_ms_a_term": round(list_cpu / len(listed), 2),
        "kwlist_shown_terms": len(shown),
        "kwlist_shown_ms_a_term": round(shown_wall / len(shown), 2),
        "kwlist_shown_cpu_ms_a_term": round(shown_cpu / len(shown), 2),
        "depth": depth,
        "depth_shown": depth_shown,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "own_gib": round(_own_kib() / 2**20, 2),
    }


def _own_kib() -> int:
    """What the process holds in memory that is no page of a file."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0])


def _read_bytes() -> int:
    """What the disk has read for the process."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").split("\nread_bytes:")[1].split()[0])


def clocked(work: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds on the wall and of CPU, all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)


def _percentile(values: np.ndarray, percent: float) -> float:
    return round(float(np.percentile(values, percent)), 2)


def process(arguments: Sequence[str], runs: int) -> dict[str, float]:
    """Seconds that a process of Python takes, on the wall and of CPU: medians, and the least of either."""
    taken = []
    for _ in range(runs):
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        taken.append((time.perf_counter() - began, spent))
    wall, cpu = zip(*taken, strict=True)
    figures = {"seconds": statistics.median(wall), "seconds_min": min(wall)}
    figures |= {"cpu_seconds": statistics.median(cpu), "cpu_seconds_min": min(cpu)}
    return {name: round(value, 2) for name, value in figures.items()}


if __name__ == "__main__":
    main()
