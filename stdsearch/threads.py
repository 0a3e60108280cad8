"""How many cores this process may use, set for torch, faiss and numba in one place."""

import os


def available_cores() -> int:
    """The cores this process may run on, which containers and task sets make fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(n_threads: int) -> None:
    """Give torch's operators, faiss' searches and numba's kernels n_threads each.

    Each of the three keeps a pool of its own, so all are set, and the number holds for each of them.
    """
    if n_threads < 1:
        raise ValueError(f"n_threads is {n_threads}; it must be at least 1")
    import faiss
    import numba
    import torch

    torch.set_num_threads(n_threads)
    faiss.omp_set_num_threads(n_threads)
    numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
