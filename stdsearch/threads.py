"""How many cores this process may use, set for torch, faiss, numba and numpy in one place."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain, islice
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import LibController

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def available_cores() -> int:
    """The cores this process may run on, which containers and task sets make fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(n_threads: int) -> None:
    """Give torch's operators, faiss' searches, numba's kernels and numpy's products of matrices n_threads each.

    Each of them keeps a pool of its own, so all are set, and the number holds for each of them. For torch it
    holds if that is imported by now; else see `give_torch_its_threads`.
    """
    if n_threads < 1:
        raise ValueError(f"n_threads is {n_threads}; it must be at least 1")
    import numba

    of_numba = min(n_threads, numba.config.NUMBA_NUM_THREADS)
    _give(_Threads(n_threads, n_threads, of_numba, (n_threads,) * len(_blas())))


class _Threads(NamedTuple):
    """How many threads each pool has, of numpy's libraries those that are loaded."""

    torch: int
    faiss: int
    numba: int
    blas: tuple[int, ...]

    @classmethod
    def now(cls) -> "_Threads":
        """What they have now; asks numba last, for to ask it first starts it, which gives torch and faiss all cores."""
        import faiss
        import numba

        of_faiss = faiss.omp_get_max_threads()
        of_torch = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else of_faiss
        return cls(of_torch, of_faiss, numba.get_num_threads(), tuple(pool.num_threads for pool in _blas()))


def _give(threads: _Threads) -> None:
    import faiss
    import numba

    numba.set_num_threads(threads.numba)  # at first, gives the next two all cores
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads.torch)
    faiss.omp_set_num_threads(threads.faiss)
    for pool, n_threads in zip(_blas(), threads.blas, strict=True):  # whose threads, idle, keep a core busy for a while
        pool.set_num_threads(n_threads)


def give_torch_its_threads() -> None:
    """In this thread, as many as faiss has: torch is imported late, or never, and begins with all cores."""
    import faiss
    import torch

    torch.set_num_threads(faiss.omp_get_max_threads())


@cache
def _blas() -> "list[LibController]":
    """Those of the libraries that are loaded, as torch, faiss and numpy are by now; to look for them takes 3 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


@contextmanager
def given_threads(n_threads: int) -> Iterator[None]:
    """Inside, what `set_threads` gives; after it, what was given before."""
    before = _Threads.now()
    set_threads(n_threads)
    try:
        yield
    finally:
        _give(before)


def n_threads() -> int:
    """What `set_threads` gave, also while `shared_out` gives each thread one core."""
    import faiss

    return _sharing.found.faiss if _sharing.found else int(faiss.omp_get_max_threads())


def shared_out(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """What work makes of each item, in their order, by as many threads as `set_threads` gave, which take a core each.

    For items that are too small to be worth sharing: threads that wait for each other take longer than one alone.
    """
    rest = iter(items)
    first = list(islice(rest, 2))
    with _one_each() as threads:
        if threads == 1 or len(first) < 2:
            yield from map(work, chain(first, rest))
            return
        with ThreadPoolExecutor(threads, initializer=set_threads, initargs=(1,)) as pool:
            waiting: deque[Future[_Result]] = deque()
            for item in chain(first, rest):
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


class _Sharing:
    """How many uses of `shared_out` there are now, and what the first of them found; None where there is none."""

    users = 0
    found: _Threads | None = None


_sharing, _counting = _Sharing(), Lock()


@contextmanager
def _one_each() -> Iterator[int]:
    """Inside, each pool of `set_threads` has one thread; gives how many they had, and gives these back.

    Several may overlap, in one thread or in many, and end in any order.
    """
    with _counting:
        _sharing.found = before = _sharing.found or _Threads.now()
        _sharing.users += 1
    set_threads(1)
    try:
        yield before.faiss
    finally:
        _give(before)
        with _counting:
            _sharing.users -= 1
            if not _sharing.users:
                _sharing.found = None
