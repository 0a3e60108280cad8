"""Files mapped into memory: a page is read when it is first looked at."""

import ctypes
import mmap
from pathlib import Path

import pyarrow as pa


class MappedFile:
    """The bytes of a file, which is not kept open, for there may be thousands; raises OSError.

    Around a page that is looked at, kernels read up to megabytes in advance. Here they read what is looked at, as
    search looks here and there, until `read_through`.
    """

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source:
            first = source.read_buffer(1)  # which keeps the map; of a buffer of the whole file, Arrow has all read
            self.bytes: pa.Buffer = pa.foreign_buffer(first.address, source.size(), first)
        self._advise("MADV_RANDOM")

    def read_through(self) -> None:
        """Have it read in advance: it will be looked at from one end to the other."""
        self._advise("MADV_NORMAL")

    def _advise(self, name: str) -> None:
        advice = getattr(mmap, name, None)  # which some systems do not take
        if self.bytes.size and advice is not None:
            ctypes.CDLL(None).madvise(ctypes.c_void_p(self.bytes.address), ctypes.c_size_t(self.bytes.size), advice)
