"""Files mapped into memory: a page is read when it is first looked at."""

import ctypes
import mmap
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow as pa


class MappedFile:
    """The bytes of a file, which is not kept open, for there may be thousands; raises OSError.

    Around a page that is looked at, kernels read up to megabytes in advance. scattered: it will be looked at here and
    there, so they read no more than that, until `read_through`.
    """

    def __init__(self, path: Path, *, scattered: bool = False) -> None:
        with pa.memory_map(str(path)) as source:
            first = source.read_buffer(1)  # which keeps the map; of a buffer of the whole file, Arrow has all read
            self.bytes: pa.Buffer = pa.foreign_buffer(first.address, source.size(), first)
        self._scattered = scattered
        if scattered:
            self._advise(mmap.MADV_RANDOM)

    def read_through(self) -> None:
        """It will be looked at from one end to the other."""
        if self._scattered:
            self._advise(mmap.MADV_NORMAL)

    def _advise(self, advice: int) -> None:
        if self.bytes.size:  # a hint: what it returns does not matter
            _madvise()(ctypes.c_void_p(self.bytes.address), ctypes.c_size_t(self.bytes.size), advice)


@cache
def _madvise() -> Callable[..., int]:
    """That of the C library, which takes as long to look up as to map a file."""
    madvise: Callable[..., int] = ctypes.CDLL(None).madvise
    return madvise
