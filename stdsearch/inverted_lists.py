"""The lists of an inverted file on disk: behind the index, which faiss writes without them, and memory-mapped.

faiss maps the lists of some kinds of index, but reads those of fast scan into memory, all of them for each process.
Here a search reads from the disk what it visits, and processes that search one archive share it. In the file come, all
numbers little-endian:

- the index as faiss writes it, its lists empty, and zeros up to a multiple of 64 bytes
- of each list its codes, then its ids (int64), either filled up with zeros to whole blocks of 32
- how long each list is (int64), where the first begins, and MAGIC

Of fast scan, codes are in the order in which faiss scans a block of them.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import faiss
import numpy as np

MAGIC = b"stdlists"
BLOCK = 32  # codes that fast scan scans at a time
_ALIGNED = 64  # bytes of a line of the cache
_END = struct.Struct("<q8s")
_PLACE = np.dtype([("size", np.uint64), ("capacity", np.uint64), ("offset", np.uint64)])  # as faiss's OnDiskOneList


@contextmanager
def without_lists(inverted: Any) -> Iterator[None]:
    """Inside, the lists of an inverted file of faiss are empty."""
    lists, empty = inverted.invlists, _in_memory(inverted)
    inverted.invlists = empty
    try:
        yield
    finally:
        inverted.invlists = lists


def write_lists(file: IO[bytes], inverted: Any) -> None:
    """Write the lists of an inverted file at the end of a file that faiss has written it to."""
    lists = inverted.invlists
    sizes = np.array([lists.list_size(number) for number in range(lists.nlist)], np.int64)
    file.write(bytes(-file.tell() % _ALIGNED))
    start = file.tell()
    for number, size in enumerate(sizes):
        if size:
            for values, width in ((_codes(inverted, lists, number), inverted.code_size), (_ids(lists, number), 8)):
                file.write(values.data)
                file.write(bytes(int(_padded(size)) * width - values.nbytes))
    file.write(sizes.tobytes())
    file.write(_END.pack(start, MAGIC))


def map_lists(inverted: Any, path: Path) -> None:
    """Give an inverted file, read from path, the lists there, mapped; raises ValueError if they are not its own."""
    places = _places(inverted, path)
    lists: Any = faiss.OnDiskInvertedLists()
    lists.nlist, lists.code_size = len(places.sizes), inverted.code_size
    lists.filename, lists.totsize, lists.read_only = str(path), places.n_bytes, True
    lists.prefetch_nthread = 0  # to start threads for each search takes longer than most searches
    lists.lists.resize(lists.nlist)
    table = np.empty(lists.nlist, _PLACE)
    table["size"], table["capacity"], table["offset"] = places.sizes, _padded(places.sizes), places.offsets
    faiss.memcpy(lists.lists.data(), faiss.swig_ptr(table.view(np.uint8)), table.nbytes)
    lists.do_mmap()
    _give(inverted, lists)


def load_lists(inverted: Any, path: Path) -> None:
    """As `map_lists`, but in memory, where they can be changed."""
    places, lists = _places(inverted, path), _in_memory(inverted)
    content = np.memmap(path, np.uint8, "r")
    for number, (size, offset) in enumerate(zip(places.sizes, places.offsets, strict=True)):
        if size:
            lists.resize(number, int(size))
            codes, ids = _codes(inverted, lists, number), _ids(lists, number)
            codes[:] = content[offset : offset + len(codes)]
            at = offset + _padded(size) * inverted.code_size
            ids[:] = content[at : at + ids.nbytes].view(np.int64)
    _give(inverted, lists)


@dataclass(frozen=True, slots=True)
class _Places:
    """How long each list is, where in the file it begins, and the bytes of the file."""

    sizes: np.ndarray
    offsets: np.ndarray
    n_bytes: int


def _places(inverted: Any, path: Path) -> _Places:
    """From the end of a file; whatever stands there, no list reaches beyond it."""
    n_lists, width = inverted.nlist, inverted.code_size
    n_bytes = path.stat().st_size
    table = 8 * n_lists + _END.size
    with path.open("rb") as file:
        file.seek(max(0, n_bytes - table))
        content = file.read()
    if len(content) != table or content[-8:] != MAGIC:
        raise ValueError("no lists at the end")
    start, _ = _END.unpack(content[-_END.size :])
    sizes = np.frombuffer(content, np.int64, n_lists)
    if sizes.min() < 0 or sizes.max() > n_bytes:
        raise ValueError("lists of no possible length")
    taken = (_padded(sizes) * (width + 8)).astype(np.float64)  # whose sum cannot overflow
    if not 0 <= start <= n_bytes or start + taken.sum() + table != n_bytes or sizes.sum() != inverted.ntotal:
        raise ValueError("lists of another length")
    offsets = start + np.concatenate([[0], np.cumsum(taken[:-1])]).astype(np.int64)
    return _Places(sizes, offsets, n_bytes)


def _in_memory(inverted: Any) -> Any:
    """Empty lists of the kind that an inverted file adds to."""
    if isinstance(inverted, faiss.IndexIVFFastScan):
        packer: Any = inverted.get_CodePacker()
        packer.this.disown()  # the lists free it
        return faiss.BlockInvertedLists(inverted.nlist, packer)  # type: ignore[attr-defined]
    return faiss.ArrayInvertedLists(inverted.nlist, inverted.code_size)


def _give(inverted: Any, lists: Any) -> None:
    """Put lists into an inverted file, which frees them from now on."""
    inverted.replace_invlists(lists, True)
    lists.this.disown()


def _padded(sizes: np.ndarray) -> np.ndarray:
    return -(-sizes // BLOCK) * BLOCK


def _codes(inverted: Any, lists: Any, number: int) -> np.ndarray:
    """The codes of a list that is not empty, bytes: where they are."""
    size = lists.list_size(number)
    held = _padded(size) if isinstance(inverted, faiss.IndexIVFFastScan) else size
    return faiss.rev_swig_ptr(lists.get_codes(number), held * inverted.code_size)


def _ids(lists: Any, number: int) -> np.ndarray:
    return faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number))
