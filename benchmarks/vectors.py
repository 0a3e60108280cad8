"""What the kinds of vector index cost and lose, against exhaustive exact search.

    python benchmarks/vectors.py ARCHIVE ../shared/speech/dev [--terms 400]
    python benchmarks/vectors.py ARCHIVE ../shared/speech/dev --copies 6

Each kind is made anew over the archive's embeddings and tuned as indexing does. Then its nearest segments are compared
with those of the exact kind, and the terms of the task, or --terms of them, are searched for in the archive with that
index and scored.

With --copies, one index of the kind that the rule gives over so many copies of the archive's embeddings, so that there
are as many as in a larger archive. In a copy each embedding is moved by the difference of two neighbouring slices of
the archive, drawn at random, and brought back to length 1: as far, and in such directions, as embeddings of nearly the
same stretch of speech differ. Exact search runs over the same copies.

Times are of the process (CPU), one thread, one query vector at a time unless told otherwise: the machine may be busy.
Writes benchmarks/results/vectors.json, or vectors_copies.json.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from measure import write_result
from std_task import Task, figures, report, search

from indexer.vectors import new_index, tune_by_words
from stdsearch.archive import ArchiveReader, open_archive
from stdsearch.archive.parts import seal
from stdsearch.search import Archive
from stdsearch.threads import set_threads
from stdsearch.vector_settings import KINDS, RECALL, VectorSettings
from stdsearch.vectors import TARGETS, FaissIndex

_T = TypeVar("_T")
SEGMENTS = 3000  # looked at for each query
N_QUERIES = 200  # compared with exhaustive search, --copies: 50


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("task", type=Path)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--terms", type=int, help="search for so many of the task's terms [default: all]")
    parser.add_argument("--copies", type=int, default=0)
    arguments = parser.parse_args()
    set_threads(1)
    archive, task = Archive.open(arguments.archive), Task.read(arguments.task)
    requests = task.requests("text")
    drawn = np.random.default_rng(0).permutation(len(requests))
    requests = [requests[number] for number in drawn]
    queries = np.concatenate([archive.prepare(request).vectors for request in requests[:N_QUERIES]])
    if arguments.copies:
        name, result = "vectors_copies", copies(archive.reader, queries[:50], arguments.copies)
    else:
        asked = requests[: arguments.terms]
        name, result = "vectors", {"terms": len(asked), "vectors": archive.reader.n_segments, "kinds": {}}
        _, nearest = made(archive.reader, "exact")[0].nearest(queries, SEGMENTS)
        for kind in arguments.kinds:
            index, facts = made(archive.reader, kind)
            facts |= compared(index, queries, nearest)
            with tempfile.TemporaryDirectory() as folder:
                other = with_index(archive.reader, index, Path(folder))
                facts["bytes_per_vector"] = round(other.manifest.part("vectors").bytes / len(index), 1)
                found = search(Archive(other, archive.encoder, archive.pronouncer), asked, Path(folder) / "hits.xml")
            scored = figures(report(task, found, {request.kwid for request in asked}))
            result["kinds"][kind] = facts | {name: scored[name] for name in ("mtwv", "atwv", "map", "stwv")}
            print(kind, result["kinds"][kind], flush=True)
    print(write_result(name, result, threads=1).read_text(encoding="utf-8"))


def made(reader: ArchiveReader, kind: str) -> tuple[FaissIndex, dict[str, Any]]:
    """An index over an archive, and what it took."""
    settings = VectorSettings.for_size(reader.n_segments, kind)
    shards = [reader.segments_file(shard) for shard in sorted(reader.recordings_of_shard)]
    live = np.zeros(reader.manifest.next_ids.segment, bool)
    live[reader.segment_ids] = True
    dim = reader.manifest.encoder.dim
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.ivf"
        index, seconds = timed(lambda: new_index(shards, dim, settings, live, scratch=path.parent))
        index.save(path)
        n_probe, tuning = timed(lambda: tune_by_words(path, dim, reader.encoder_path, RECALL))
        index = FaissIndex.load(path, dim)
    facts = {"n_lists": settings.n_lists, "n_probe": n_probe}
    return index, facts | {"made_seconds": round(seconds, 1), "tuned_seconds": round(tuning, 1)}


def compared(index: FaissIndex, queries: np.ndarray, nearest: np.ndarray) -> dict[str, float]:
    """Recall against the nearest (q, SEGMENTS) of an exhaustive search, and milliseconds a query."""
    (_, ids), together = timed(lambda: index.nearest(queries, SEGMENTS))
    _, apart = timed(lambda: [index.nearest(query[None], SEGMENTS) for query in queries])
    half = np.random.default_rng(0).random(int(nearest.max()) + 1) < 0.5
    _, masked = timed(lambda: index.nearest(queries, SEGMENTS, allowed=half))
    return {
        f"of_{TARGETS}_among_{TARGETS}": recall(ids[:, :TARGETS], nearest[:, :TARGETS]),
        f"of_{TARGETS}_among_{SEGMENTS}": recall(ids, nearest[:, :TARGETS]),
        f"of_{SEGMENTS}_among_{SEGMENTS}": recall(ids, nearest),
        "ms": round(1000 * apart / len(queries), 2),
        "ms_in_a_batch": round(1000 * together / len(queries), 2),
        "ms_in_a_batch_half_masked": round(1000 * masked / len(queries), 2),
    }


def recall(ids: np.ndarray, nearest: np.ndarray) -> float:
    """The share of nearest (q, k) that is found among ids (q, n)."""
    return round(float(np.mean([np.isin(wanted, found).mean() for wanted, found in zip(nearest, ids, strict=True)])), 4)


def with_index(reader: ArchiveReader, index: FaissIndex, folder: Path) -> ArchiveReader:
    """An archive with another vector index: links to its parts in a folder, beside an archive.json."""
    for part in reader.manifest.all_parts():
        path = folder / part.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to((reader.path / part.name).resolve())
    index.save(folder / "other.ivf")
    parts = {**reader.manifest.parts, "vectors": (seal(folder, "other.ivf"),)}
    replace(reader.manifest, parts=parts).save(folder)
    return open_archive(folder)


def copies(reader: ArchiveReader, queries: np.ndarray, n_copies: int) -> dict[str, Any]:
    """The index of an archive so many times as large, and what it takes and finds."""
    n, dim = reader.n_segments * n_copies, reader.manifest.encoder.dim
    settings = VectorSettings.for_size(n)
    every = max(1, n // settings.training_vectors)
    sample = np.concatenate([block[::every].copy() for _, block in copied(reader, n_copies)])
    index, training = timed(lambda: FaissIndex.empty(dim, settings, sample))
    began, nearest = time.process_time(), Nearest(queries, SEGMENTS)
    exact_seconds = 0.0
    for ids, block in copied(reader, n_copies):
        index.add(ids, block)
        _, seconds = timed(lambda ids=ids, block=block: nearest.add(ids, block))  # type: ignore[misc]
        exact_seconds += seconds
    adding = time.process_time() - began - exact_seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.ivf"
        index.save(path)
        n_probe, tuning = timed(lambda: tune_by_words(path, dim, reader.encoder_path, RECALL))
        index, n_bytes = FaissIndex.load(path, dim), path.stat().st_size
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            loading, resident = pool.submit(loaded, path, queries).result()
    facts = compared(index, queries, nearest.ranked())
    _, some = next(copied(reader, 1))
    return {
        "vectors": n,
        "copies": n_copies,
        "cosine_of_neighbours": round(float((some[:-1] * some[1:]).sum(axis=1).mean()), 3),
        "cosine_of_copies": round(float((some * moved(some, 1)).sum(axis=1).mean()), 3),
        "kind": settings.kind,
        "n_lists": settings.n_lists,
        "n_probe": n_probe,
        "bytes_per_vector": round(n_bytes / n, 1),
        "resident_bytes_per_vector": round(resident / n, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "training_seconds": round(training, 1),
        "adding_seconds": round(adding, 1),
        "tuning_seconds": round(tuning, 1),
        "loading_seconds": round(loading, 2),
        "exhaustive_ms_in_a_batch": round(1000 * exact_seconds / len(queries), 1),
    } | facts


def copied(reader: ArchiveReader, n_copies: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids and embeddings of the copies, block by block; the first copy is as it was."""
    for copy in range(n_copies):
        for shard in sorted(reader.recordings_of_shard):
            for ids, block in reader.segments_file(shard).embeddings():
                yield ids + copy * reader.n_segments, moved(block, copy) if copy else block


def moved(block: np.ndarray, seed: int) -> np.ndarray:
    """Unit vectors (n, dim), each moved by the difference of two that are neighbours in the block."""
    random = np.random.default_rng((seed, len(block)))
    first = random.integers(len(block) - 1, size=len(block))
    other = block + block[first + 1] - block[first]
    return other / np.linalg.norm(other, axis=1, keepdims=True)


class Nearest:
    """The k nearest of queries by exhaustive search, block after block."""

    def __init__(self, queries: np.ndarray, k: int) -> None:
        self._queries, self._k = queries, k
        self._scores = np.empty((len(queries), 0), np.float32)
        self._ids = np.empty((len(queries), 0), np.int64)

    def add(self, ids: np.ndarray, block: np.ndarray) -> None:
        """Look at some more vectors."""
        scores = np.hstack([self._scores, self._queries @ block.T])
        ids = np.hstack([self._ids, np.broadcast_to(ids, (len(self._queries), len(ids)))])
        best = np.argpartition(-scores, min(self._k, scores.shape[1] - 1), axis=1)[:, : self._k]
        self._scores, self._ids = np.take_along_axis(scores, best, 1), np.take_along_axis(ids, best, 1)

    def ranked(self) -> np.ndarray:
        """The ids (q, k) of the nearest so far, best first."""
        return np.take_along_axis(self._ids, np.argsort(-self._scores, axis=1), 1)


def timed(work: Callable[[], _T]) -> tuple[_T, float]:
    """What work gives, and the seconds of CPU that it took."""
    began = time.process_time()
    return work(), time.process_time() - began


def loaded(path: Path, queries: np.ndarray) -> tuple[float, int]:
    """Seconds that loading an index takes, and the bytes that it adds to a process of its own by searching."""
    before = _resident()
    index, seconds = timed(lambda: FaissIndex.load(path, queries.shape[1]))
    index.nearest(queries, SEGMENTS)
    return seconds, _resident() - before


def _resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
