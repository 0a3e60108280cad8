"""Features of utterances on disk: made once, by all cores, and memory-mapped: hours of speech need no memory."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from stdsearch.errors import StdSearchError

T = TypeVar("T")
AT_ONCE = 64  # items computed before any of them is written
ROW_BYTES = 2  # of each value of a row


def cached_rows(
    cache: Path,
    name: str,
    width: int,
    items: Sequence[T],
    compute: Callable[[T], np.ndarray],
    progress: Callable[[Sequence[T]], Iterable[T]],
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, width) float16 of all items end to end, and where each item's begin, and n (items + 1,).

    compute gives the rows of an item, and progress passes the items on; neither is called where the cache holds the
    name already. The rows are a memory
    map that may be changed without changing the file. Two runs that share a cache may fill it at the same time.
    """
    file, index = cache / f"{name}.f16", cache / f"{name}.npy"
    offset = _read_index(file, index, width)
    if offset is None:
        _write(file, index, progress(items), compute)
        offset = np.load(index)
    shape = (int(offset[-1]), width)
    # copy-on-write, for torch takes no array that cannot be written to
    return np.memmap(file, np.float16, "c", shape=shape) if shape[0] else np.empty(shape, np.float16), offset


def _read_index(file: Path, index: Path, width: int) -> np.ndarray | None:
    """Where each item's rows begin; None if they have to be made, for something is missing or not whole."""
    try:
        offset: np.ndarray = np.load(index)
        return offset if file.stat().st_size == int(offset[-1]) * width * ROW_BYTES else None
    except (OSError, EOFError, ValueError):
        return None


def _write(file: Path, index: Path, items: Iterable[T], compute: Callable[[T], np.ndarray]) -> None:
    """Write the rows as they are computed and, last, the index."""
    lengths, threads = [0], torch.get_num_threads()
    partial = file.with_suffix(f".{os.getpid()}")
    torch.set_num_threads(1)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as out, ThreadPoolExecutor(threads) as pool:
            some: list[T] = []
            for item in chain(items, [None]):
                some += [item] if item is not None else []
                if len(some) == AT_ONCE or item is None:
                    for rows in pool.map(compute, some):
                        lengths.append(len(rows))
                        out.write(rows.astype(np.float16).tobytes())
                    some = []
        partial.replace(file)
        with open(partial, "wb") as out:
            np.save(out, np.cumsum(lengths))
        partial.replace(index)
    except OSError as error:
        reason = error.strerror or error
        raise StdSearchError(
            f"{file}: features cannot be written ({reason}); make room, or name another --cache"
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        torch.set_num_threads(threads)
