"""Nearest vectors by inner product, behind one narrow interface that more than FAISS could stand behind.

Embeddings are L2-normalised: an inner product is a cosine. The kinds of index, named as FAISS names them:

- exact: every vector in float32, compared with every query.
- ivf-flat: an inverted file, of whose lists a query visits a few; vectors in float16.
- ivf-sq8: an inverted file with 8 bits a dimension.
- ivf-pq: an inverted file with 4 bits for each principal axis, of as many axes as hold ENERGY of the vectors, scanned
  in registers (fast scan: André et al., VLDB 2015). Its cosines are rounded: among 3,000 are the best 100, but not in
  their order, for which the embeddings themselves have to be looked at.

Which kind an archive gets is told in `vector_settings`. Where faiss is its build for GPUs and there is one, it learns
the lists of an inverted file, and finds the list of each vector that is added to ivf-pq, for which a CPU looks at
groups of lists first; searching stays with the CPU.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from math import ceil, sqrt
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

import faiss
import numpy as np

from stdsearch.errors import StdSearchError
from stdsearch.inverted_lists import (
    BLOCK,
    ListsInFile,
    empty_lists,
    held,
    map_lists,
    remove_from_lists,
    without_lists,
    write_lists,
)
from stdsearch.vector_settings import VectorSettings

ENERGY = 0.965  # of the mean square of the vectors: what the axes of ivf-pq keep
GROUPED_FROM = 8192  # lists: of fewer, a vector that is added is compared with the centres of all
GROUPS_VISITED = 8  # of twice as many as the root of the lists: the nearest centre is in these for nine in ten
TARGETS = 100  # nearest vectors that recall is measured by
MOST_MORE = 4  # times as many lists are visited, at most, where only some ids are allowed
SMALL = 64 << 20  # bytes that any index may take, which its file need not have: tables of ivf-pq
_READING = threading.Lock()  # the limits of `_bounded` are those of the process


class VectorIndex(Protocol):
    """What the engine asks of a vector store; ids are int64, vectors float32 (n, dim)."""

    def __len__(self) -> int: ...

    @property
    def is_exact(self) -> bool:
        """Whether it misses nothing and its scores are not rounded."""

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Add vectors under ids that are not there yet."""

    def remove(self, ids: np.ndarray) -> None:
        """Remove the vectors of these ids; those that are not there are passed over."""

    def nearest(
        self, queries: np.ndarray, k: int, *, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best for each query: inner products (q, k) float32, descending, and ids (q, k) int64.

        allowed is a mask over ids, True where an id may be returned; without it, all may. Where fewer than k are found,
        ids are -1 and scores -inf. Many queries at once take less time than one by one.
        """


@contextmanager
def _bounded(n_bytes: int) -> Iterator[None]:
    """Inside, faiss allocates no more than so many bytes at a time for what it reads; else it would a terabyte."""
    with _READING:
        before = faiss.get_deserialization_loop_limit(), faiss.get_deserialization_vector_byte_limit()
        faiss.set_deserialization_loop_limit(n_bytes)
        faiss.set_deserialization_vector_byte_limit(n_bytes)
        try:
            yield
        finally:
            faiss.set_deserialization_loop_limit(before[0])
            faiss.set_deserialization_vector_byte_limit(before[1])


@contextmanager
def _threads_for(n_queries: int) -> Iterator[None]:
    """Inside, faiss takes no more threads than queries: two at one exact query take five times as long in all."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(min(threads, max(1, n_queries)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


@cache
def _gpu() -> Any:
    """What faiss needs to use a GPU, None if it cannot; it takes some of the GPU's memory, once for the process."""
    can = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus()
    return faiss.StandardGpuResources() if can else None  # type: ignore[attr-defined]


def _on_gpu(index: Any) -> Any:
    """A copy of an index on the first GPU, None if there is none."""
    gpu = _gpu()
    return gpu and faiss.index_cpu_to_gpu(gpu, 0, index)  # type: ignore[attr-defined]


def _grouped(quantizer: Any) -> Any:
    """The centres of a quantizer, of which those in the nearest groups are looked at."""
    centres = quantizer.reconstruct_n(0, quantizer.ntotal)
    groups = _factory(quantizer.d, f"IVF{round(2 * sqrt(len(centres)))},Flat")
    groups.cp.min_points_per_centroid = 1  # faiss warns below 39
    groups.train(centres)
    groups.add(centres)
    groups.nprobe = GROUPS_VISITED
    return groups


def _is_ours(index: Any) -> bool:
    """Whether an index is of the kinds that `empty` makes: a file could hold any of some fifty, nested as it likes."""
    inverted: Any = None
    if isinstance(index, faiss.IndexIDMap2):
        is_one, flat = index.id_map.size() == index.ntotal, index.index
    elif isinstance(index, faiss.IndexPreTransform):
        inverted = faiss.downcast_index(index.index)
        chain: Any = index.chain
        is_one = type(inverted) is faiss.IndexIVFPQFastScan and chain.size() == 1
        is_one = is_one and _is_projection(faiss.downcast_VectorTransform(chain.at(0)), index.d, inverted.d)
        is_one = is_one and inverted.ntotal == index.ntotal and _is_fast_scan_of_blocks(inverted)
        flat = inverted.quantizer if is_one else index
    else:
        is_one, inverted = type(index) is faiss.IndexIVFScalarQuantizer, index
        is_one = is_one and index.code_size == index.sq.code_size and index.sq.d == index.d
        flat = index.quantizer if is_one else index
    is_one = is_one and type(faiss.downcast_index(flat)) is faiss.IndexFlatIP
    is_one = is_one and flat.d == (inverted or index).d and (inverted is None or flat.ntotal == inverted.nlist)
    return bool(is_one) and index.metric_type == flat.metric_type == faiss.METRIC_INNER_PRODUCT


def _is_projection(transform: Any, dim: int, n_axes: int) -> bool:
    """Whether it takes vectors to as many axes as the index behind it has, by a matrix that is all there."""
    fits = type(transform) is faiss.LinearTransform and not transform.have_bias
    return bool(fits and (transform.d_in, transform.d_out) == (dim, n_axes) and transform.A.size() == dim * n_axes)


def _is_fast_scan_of_blocks(inverted: Any) -> bool:
    """Whether its codes take the space that the lists in a file leave them."""
    pq = inverted.pq
    fits = inverted.code_size == pq.code_size and 2 * pq.code_size == inverted.M2 == pq.M
    return bool(fits and inverted.bbs == BLOCK and pq.nbits == 4 and pq.d == inverted.d)


class FaissIndex:
    """A VectorIndex by FAISS.

    What is added is in memory, until it is set down in a file; an index of which some lies in files can be searched
    once it was saved and loaded.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        inverted: Any = faiss.try_extract_index_ivf(index)  # None of an exact index
        self._inverted: Any = inverted and faiss.downcast_index(inverted)
        self._set_down: list[ListsInFile] = []

    @classmethod
    def empty(cls, dim: int, settings: VectorSettings, sample: np.ndarray | None = None) -> "FaissIndex":
        """An index that holds nothing yet; of an inverted file, sample (n, dim) tells how vectors are distributed."""
        if settings.kind == "exact":
            return cls(faiss.IndexIDMap2(faiss.IndexFlatIP(dim)))
        if sample is None:
            raise ValueError(f"an index of kind {settings.kind} needs a sample")
        sample = np.ascontiguousarray(sample, np.float32)
        if settings.kind == "ivf-pq":
            axes = _principal_axes(sample)
            inverted = _factory(len(axes), f"IVF{settings.n_lists},PQ{len(axes)}x4fs")
            projection = faiss.LinearTransform(dim, len(axes), False)
            faiss.copy_array_to_vector(axes.ravel(), projection.A)
            projection.is_trained = True
            index: Any = faiss.IndexPreTransform(projection, inverted)
        else:
            code = {"ivf-flat": "SQfp16", "ivf-sq8": "SQ8"}[settings.kind]
            index = _factory(dim, f"IVF{settings.n_lists},{code}")
        trained = cls(index)
        inverted = trained._inverted
        learner = _on_gpu(inverted.quantizer)
        inverted.clustering_index = learner  # none: the quantizer learns by itself
        index.train(sample)
        inverted.clustering_index = None
        inverted.nprobe = settings.n_probe or settings.n_lists
        return trained

    @classmethod
    def load(cls, path: Path, dim: int, *, writable: bool = False) -> "FaissIndex":
        """An index that was saved, its lists memory-mapped, to be searched or, if writable, to be changed.

        Raises StdSearchError if the file is none of `dim`.
        """
        try:
            path.open("rb").close()  # which tells why it cannot be
        except OSError as error:
            raise StdSearchError(f"{path}: cannot be read ({error.strerror}); mend that, or restore it") from error
        try:
            with _bounded(max(path.stat().st_size, SMALL)):
                index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        except (RuntimeError, MemoryError, OSError) as error:
            raise StdSearchError(f"{path}: no vector index that this faiss reads; restore it or index again") from error
        if index.d != dim:
            raise StdSearchError(f"{path}: has vectors of {index.d} dimensions, not {dim}; restore it or index again")
        if not _is_ours(index):
            raise StdSearchError(f"{path}: is no vector index of an archive; restore it or index again")
        loaded = cls(index)
        inverted = loaded._inverted
        if inverted is not None:
            try:
                if writable:
                    with path.open("rb") as file:
                        loaded._set_down.append(ListsInFile(inverted, file, inverted.ntotal))
                    empty_lists(inverted)
                else:
                    map_lists(inverted, path)
            except ValueError as error:
                raise StdSearchError(f"{path}: has {error}; restore it or index again") from error
            except (RuntimeError, MemoryError, OSError) as error:
                raise StdSearchError(f"{path}: its lists cannot be read; free memory and try again") from error
            inverted.nprobe = min(max(inverted.nprobe, 1), inverted.nlist)
        return loaded

    def save(self, path: Path) -> None:
        """Write the index to a file; raises OSError if that cannot be."""
        with path.open("wb") as file:
            if self._inverted is None:
                _write(self._index, file)
            else:
                self._write_head(file)
                write_lists(file, self._inverted, self._set_down)

    def save_n_probe(self, path: Path) -> None:
        """Write into a file to which the index was saved how many lists are visited, as `tune` has set it."""
        if self._inverted is not None:
            with path.open("r+b") as file:
                self._write_head(file)

    def set_down(self, folder: Path) -> None:
        """Move what an inverted file has in memory into a file of the folder, which has no name and goes with it."""
        n_vectors = self._n_in_memory
        with TemporaryFile(dir=folder) as file:
            write_lists(file, self._inverted)
            file.flush()
            self._set_down.append(ListsInFile(self._inverted, file, n_vectors))
        empty_lists(self._inverted)

    @property
    def bytes_in_memory(self) -> int:
        """What `set_down` would free; nothing of an exact index."""
        return 0 if self._inverted is None else self._n_in_memory * (self._inverted.code_size + 8)

    @property
    def _n_in_memory(self) -> int:
        return len(self) - sum(map(len, self._set_down))

    def _write_head(self, file: IO[bytes]) -> None:
        with without_lists(self._inverted):
            _write(self._index, file)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> Iterator[np.ndarray]:
        """The ids (n,) int64 of all vectors, some at a time, in any order."""
        if self._inverted is None:
            yield faiss.vector_to_array(self._index.id_map)
            return
        for number in range(self._inverted.nlist):
            for lists in self._set_down:
                yield lists.held(number)[1]
            yield held(self._inverted, number)[1].copy()

    @property
    def is_exact(self) -> bool:
        """See VectorIndex."""
        return self._inverted is None

    def tune(self, queries: np.ndarray, recall: float) -> int:
        """Set, and return, how many lists to visit: the fewest that find the share `recall` of the TARGETS nearest.

        What is nearest is what visiting every list finds, on average over queries (q, dim); for an inverted file only.
        """
        n_lists = self._inverted.nlist
        self._inverted.nprobe = n_lists
        least = self.nearest(queries, TARGETS)[0][:, -1:]

        def found(n_probe: int) -> float:
            self._inverted.nprobe = n_probe
            return float((self.nearest(queries, TARGETS)[0] >= least).mean())

        too_few, most = 0, 1  # a few lists take a small part of the time of all
        while most < n_lists and found(most) < recall:
            too_few, most = most, min(2 * most, n_lists)
        self._inverted.nprobe = 1 + bisect_left(range(1, most), recall, lo=too_few, key=found)
        return int(self._inverted.nprobe)

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """See VectorIndex."""
        with self._finding_lists():
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.asarray(ids, np.int64))

    def remove(self, ids: np.ndarray) -> None:
        """See VectorIndex."""
        if not len(ids):
            return
        if self._inverted is None:
            self._index.remove_ids(np.asarray(ids, np.int64))
            return
        gone = np.zeros(np.max(ids) + 1, bool)
        gone[ids] = True
        n_gone = remove_from_lists(self._inverted, gone) + sum(lists.remove(gone) for lists in self._set_down)
        self._inverted.ntotal -= n_gone
        self._index.ntotal = self._inverted.ntotal

    def nearest(
        self, queries: np.ndarray, k: int, *, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See VectorIndex; raises ValueError if some of the vectors lie in files."""
        if self._set_down:
            raise ValueError("an index of which some lies in files can be searched once it was saved and loaded")
        parameters: Any = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            parameters = self._parameters(selector, np.count_nonzero(allowed) / max(1, len(self)))
        with _threads_for(len(queries)) if self.is_exact else nullcontext():
            scores, ids = self._index.search(np.ascontiguousarray(queries, np.float32), k, params=parameters)
        scores[ids < 0] = -np.inf
        return scores, ids

    @contextmanager
    def _finding_lists(self) -> Iterator[None]:
        """Inside, `_finder` finds the lists of vectors, if there is one: the longest part of adding them."""
        if self._finder is None:
            yield
            return
        own = self._inverted.quantizer
        self._inverted.quantizer = self._finder
        try:
            yield
        finally:
            self._inverted.quantizer = own

    @cached_property
    def _finder(self) -> Any:
        """What finds lists sooner than the quantizer: a GPU, else groups of many lists; None if there is neither.

        For ivf-pq only: the other kinds keep what a vector is more than its list's centre, which they would fetch from
        there each time.
        """
        if not isinstance(self._inverted, faiss.IndexIVFFastScan):
            return None
        of_gpu = _on_gpu(self._inverted.quantizer)
        if of_gpu is not None or self._inverted.nlist < GROUPED_FROM:
            return of_gpu
        return _grouped(self._inverted.quantizer)

    def _parameters(self, selector: Any, share: float) -> Any:
        """What tells this kind of index to look at selected ids alone, which are a share of all.

        The nearest of a few lie in more lists than the nearest of all.
        """
        if self._inverted is None:
            return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        more = min(MOST_MORE, max(share, 1e-9) ** -0.5)
        n_probe = min(self._inverted.nlist, ceil(self._inverted.nprobe * max(1, more)))
        of_lists: Any = faiss.SearchParametersIVF(sel=selector, nprobe=n_probe)  # type: ignore[call-arg]
        if isinstance(self._index, faiss.IndexPreTransform):
            return faiss.SearchParametersPreTransform(index_params=of_lists)  # type: ignore[call-arg]
        return of_lists


def _write(index: Any, file: IO[bytes]) -> None:
    """As faiss writes it; faiss itself says nothing when the end of a file is not written."""
    failed: list[OSError] = []

    def write(block: bytes) -> int:
        try:
            return file.write(block)
        except OSError as error:
            failed.append(error)
            return 0

    try:
        faiss.write_index(index, faiss.PyCallbackIOWriter(write))  # type: ignore[attr-defined]
    except RuntimeError:
        if not failed:
            raise
    if failed:
        raise failed[0]


def _factory(dim: int, description: str) -> Any:
    return faiss.index_factory(dim, description, faiss.METRIC_INNER_PRODUCT)


def _principal_axes(sample: np.ndarray) -> np.ndarray:
    """The fewest axes (k, dim), orthonormal, that keep ENERGY of the sample's mean square; k a multiple of 8, or dim.

    Of an odd dim one less, for fast scan takes codes in pairs. The mean stays in: inner products are kept, not
    distances from a centre.
    """
    energy, axes = np.linalg.eigh(sample.T @ sample)  # ascending
    share = np.cumsum(energy[::-1]) / energy.sum()
    n_axes = min(8 * (int(np.searchsorted(share, ENERGY)) // 8 + 1), len(axes) // 2 * 2)
    return np.ascontiguousarray(axes[:, ::-1].T[:n_axes], np.float32)
