"""The lists of an inverted file on disk: behind the index, which faiss writes without them, and memory-mapped.

faiss maps the lists of some kinds of index, but reads those of fast scan into memory, all of them for each process.
Here a search reads from the disk what it visits, processes that search one archive share it, and what changes an index
has one list at a time in memory. In the file come, all numbers little-endian:

- the index as faiss writes it, its lists empty, and zeros up to a multiple of 64 bytes
- of each list its codes, then its ids (int64), either filled up with zeros to whole blocks of 32
- how long each list is (int64), where the first begins, and MAGIC

Of fast scan, codes are in the order in which faiss scans a block of them.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import IO, Any, TypeVar

import faiss
import numpy as np

MAGIC = b"stdlists"
BLOCK = 32  # codes that fast scan scans at a time
_HALF_BLOCK = np.array([0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15])  # its codes, as they follow each other
_ALIGNED = 64  # bytes of a line of the cache
_END = struct.Struct("<q8s")
_PLACE = np.dtype([("size", np.uint64), ("capacity", np.uint64), ("offset", np.uint64)])  # as faiss's OnDiskOneList

Size = TypeVar("Size", int, np.ndarray)
Held = tuple[np.ndarray, np.ndarray]
"""What one list holds: its codes, bytes as they are stored, and its ids (n,)."""


@contextmanager
def without_lists(inverted: Any) -> Iterator[None]:
    """Inside, the lists of an inverted file of faiss are empty."""
    lists, empty = inverted.invlists, _in_memory(inverted)
    inverted.invlists = empty
    try:
        yield
    finally:
        inverted.invlists = lists


def empty_lists(inverted: Any) -> None:
    """Give an inverted file lists that are empty, in memory, where vectors can be added to them."""
    _give(inverted, _in_memory(inverted))


def map_lists(inverted: Any, path: Path) -> None:
    """Give an inverted file, read from path, the lists there, mapped; raises ValueError if they are not its own."""
    with path.open("rb") as file:
        places = _places(inverted, file, inverted.ntotal)
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


def held(inverted: Any, number: int) -> Held:
    """What a list of an inverted file holds, where it is."""
    lists: Any = inverted.invlists
    if not (size := lists.list_size(number)):
        return np.empty(0, np.uint8), np.empty(0, np.int64)
    codes = faiss.rev_swig_ptr(lists.get_codes(number), _stored(inverted, size) * inverted.code_size)
    return codes, faiss.rev_swig_ptr(lists.get_ids(number), size)


def remove_from_lists(inverted: Any, gone: np.ndarray) -> int:
    """Take out of the lists in memory the vectors whose ids a mask tells; how many these were."""
    before = after = 0
    for number in range(inverted.nlist):
        codes, ids = held(inverted, number)
        kept_codes, kept_ids = _without(inverted, (codes, ids), gone)
        before, after = before + len(ids), after + len(kept_ids)
        if len(kept_ids) < len(ids):
            inverted.invlists.resize(number, len(kept_ids))
            for place, kept in zip(held(inverted, number), (kept_codes, kept_ids), strict=True):
                place[:] = kept
    return before - after


class ListsInFile:
    """The lists of an inverted file that lie in a file, mapped, and from which vectors may be taken out."""

    def __init__(self, inverted: Any, file: IO[bytes], n_vectors: int) -> None:
        """Raises ValueError if the file does not hold such lists of so many vectors."""
        self._inverted, self._places = inverted, _places(inverted, file, n_vectors)
        self._content = np.memmap(file, np.uint8, "r")
        self._gone = np.zeros(0, bool)
        self._n_vectors = n_vectors

    def __len__(self) -> int:
        return self._n_vectors

    def held(self, number: int) -> Held:
        """What a list holds."""
        return _without(self._inverted, self._in_file(number), self._gone)

    def remove(self, gone: np.ndarray) -> int:
        """Take out the vectors whose ids a mask tells; how many these were."""
        all_gone = np.zeros(max(len(gone), len(self._gone)), bool)
        for some in (gone, self._gone):
            all_gone[: len(some)] |= some
        before, self._gone = self._n_vectors, all_gone
        kept = (_is_kept(self._in_file(number)[1], all_gone) for number in range(self._inverted.nlist))
        self._n_vectors = sum(int(np.count_nonzero(some)) for some in kept)
        return before - self._n_vectors

    def _in_file(self, number: int) -> Held:
        size, offset = int(self._places.sizes[number]), int(self._places.offsets[number])
        width = self._inverted.code_size
        codes, ids = self._content[offset:], self._content[offset + _padded(size) * width :]
        return codes[: _stored(self._inverted, size) * width], ids[: 8 * size].view(np.int64)


def write_lists(file: IO[bytes], inverted: Any, before: Sequence[ListsInFile] = ()) -> None:
    """Write lists behind what faiss has written: in each what those before hold, then what the inverted file does."""
    file.write(bytes(-file.tell() % _ALIGNED))
    start = file.tell()
    sizes = np.zeros(inverted.nlist, np.int64)
    for number in range(inverted.nlist):
        pieces = [*(lists.held(number) for lists in before), held(inverted, number)]
        codes, ids = reduce(lambda one, other: _joined(inverted, one, other), pieces)
        sizes[number] = len(ids)
        for values, width in ((codes, inverted.code_size), (ids, 8)):
            file.write(values.data)
            file.write(bytes(_padded(len(ids)) * width - values.nbytes))
    file.write(sizes.tobytes())
    file.write(_END.pack(start, MAGIC))


@dataclass(frozen=True, slots=True)
class _Places:
    """How long each list is, where in the file it begins, and the bytes of the file."""

    sizes: np.ndarray
    offsets: np.ndarray
    n_bytes: int


def _places(inverted: Any, file: IO[bytes], n_vectors: int) -> _Places:
    """From the end of a file; whatever stands there, no list reaches beyond it."""
    n_lists, width = inverted.nlist, inverted.code_size
    n_bytes = file.seek(0, os.SEEK_END)
    table = 8 * n_lists + _END.size
    file.seek(max(0, n_bytes - table))
    content = file.read()
    if len(content) != table or content[-8:] != MAGIC:
        raise ValueError("no lists at the end")
    start, _ = _END.unpack(content[-_END.size :])
    sizes = np.frombuffer(content, np.int64, n_lists)
    if sizes.min() < 0 or sizes.max() > n_bytes:
        raise ValueError("lists of no possible length")
    taken = (_padded(sizes) * (width + 8)).astype(np.float64)  # whose sum cannot overflow
    if not 0 <= start <= n_bytes or start + taken.sum() + table != n_bytes or sizes.sum() != n_vectors:
        raise ValueError("lists of another length")
    offsets = start + np.concatenate([[0], np.cumsum(taken[:-1])]).astype(np.int64)
    return _Places(sizes, offsets, n_bytes)


def _in_memory(inverted: Any) -> Any:
    """Empty lists of the kind that an inverted file adds to."""
    if _in_blocks(inverted):
        packer: Any = inverted.get_CodePacker()
        packer.this.disown()  # the lists free it
        return faiss.BlockInvertedLists(inverted.nlist, packer)  # type: ignore[attr-defined]
    return faiss.ArrayInvertedLists(inverted.nlist, inverted.code_size)


def _give(inverted: Any, lists: Any) -> None:
    """Put lists into an inverted file, which frees them from now on."""
    inverted.replace_invlists(lists, True)
    lists.this.disown()


def _in_blocks(inverted: Any) -> bool:
    """Whether its lists hold blocks of codes, as fast scan scans them."""
    return isinstance(inverted, faiss.IndexIVFFastScan)


def _padded(sizes: Size) -> Size:
    return -(-sizes // BLOCK) * BLOCK


def _stored(inverted: Any, size: int) -> int:
    """For how many codes a list of so many has room."""
    return _padded(size) if _in_blocks(inverted) else size


def _joined(inverted: Any, one: Held, other: Held) -> Held:
    """What two lists hold, as one."""
    if not len(one[1]) or not len(other[1]):
        return one if len(one[1]) else other
    (codes, ids), width = one, inverted.code_size
    whole = len(ids) // BLOCK * BLOCK  # codes in blocks that stay as they are
    rows = [_rows(inverted, codes[whole * width :], len(ids) - whole), _rows(inverted, other[0], len(other[1]))]
    joined = np.concatenate([codes[: whole * width], _as_stored(inverted, np.concatenate(rows))])
    return joined, np.concatenate([ids, other[1]])


def _without(inverted: Any, one: Held, gone: np.ndarray) -> Held:
    """What a list holds but for the vectors whose ids a mask tells."""
    codes, ids = one
    kept = _is_kept(ids, gone)
    if kept.all():
        return one
    return _as_stored(inverted, _rows(inverted, codes, len(ids))[kept]), ids[kept]


def _is_kept(ids: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Which ids (n,) are not among those that a mask tells; a damaged file may have ids beyond its end."""
    kept = (ids < 0) | (ids >= len(gone))
    kept[~kept] = ~gone[ids[~kept]]
    return kept


def _rows(inverted: Any, codes: np.ndarray, n: int) -> np.ndarray:
    """Stored codes, each as a row (n, width)."""
    width = inverted.code_size
    return _unpacked(codes, width)[:n] if _in_blocks(inverted) else codes.reshape(n, width)


def _as_stored(inverted: Any, rows: np.ndarray) -> np.ndarray:
    """Codes, a row for each, as they are stored."""
    return _packed(rows) if _in_blocks(inverted) else rows.ravel()


def _unpacked(blocks: np.ndarray, width: int) -> np.ndarray:
    """The codes in blocks of fast scan, a row for each: (m, width), m a multiple of BLOCK.

    A block has 32 bytes for each byte of a code: 16 for its low four bits, 16 for its high ones, in either the low four
    bits from the block's first half of codes, the high ones from its second, each in the order of _HALF_BLOCK.
    """
    bits = blocks.reshape(-1, width, 2, 16)
    by_half = np.stack([bits & 15, bits >> 4], axis=2)  # block, byte, half of the block, low or high bits, code
    codes = by_half[:, :, :, 0] | by_half[:, :, :, 1] << 4
    return codes[..., np.argsort(_HALF_BLOCK)].reshape(-1, width, BLOCK).swapaxes(1, 2).reshape(-1, width)


def _packed(rows: np.ndarray) -> np.ndarray:
    """Codes (n, width) in blocks of fast scan, bytes, the last filled up with zeros: see `_unpacked`."""
    n, width = rows.shape
    filled = np.zeros((_padded(n), width), np.uint8)
    filled[:n] = rows
    codes = filled.reshape(-1, BLOCK, width).swapaxes(1, 2).reshape(-1, width, 2, 16)[..., _HALF_BLOCK]
    first, second = codes[:, :, 0], codes[:, :, 1]  # half of the block
    return np.stack([first & 15 | second << 4, first >> 4 | second & 0xF0], axis=2).ravel()
