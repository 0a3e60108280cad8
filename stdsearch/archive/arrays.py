"""Arrays on disk: .npy files of one dtype, as memory maps; a header is compared with what it must be, not evaluated."""

import io
from pathlib import Path

import numpy as np

from stdsearch.archive.maps import MappedFile
from stdsearch.archive.parts import damaged

_START = 10  # bytes before the text of a .npy header: a mark, the version, and the text's length in two bytes


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array (n,) as a .npy file."""
    with path.open("wb") as file:
        file.write(header(array.dtype, len(array)) + array.tobytes())


def map_array(path: Path, dtype: np.dtype, n_rows: int | None = None, *, scattered: bool = False) -> np.ndarray:
    """A .npy file of so many rows, or of any number, as a read-only memory map; scattered: as in `MappedFile`.

    Raises StdSearchError if it is none.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_START)
            text = file.read(int.from_bytes(start[-2:], "little"))
            n_bytes = path.stat().st_size - len(start) - len(text)
        if n_rows is None:
            n_rows = max(0, n_bytes) // dtype.itemsize
        expected = header(dtype, n_rows)
        # but for the header's padding
        is_right = start[:-2] == expected[: _START - 2] and text.split() == expected[_START:].split()
        if not is_right or n_bytes != n_rows * dtype.itemsize:
            raise ValueError(f"it does not have the {n_rows} rows that it should")
        return np.frombuffer(MappedFile(path, scattered=scattered).bytes, dtype, n_rows, len(start) + len(text))
    except (ValueError, OSError) as error:
        raise damaged(path, error) from error


def header(dtype: np.dtype, n_rows: int) -> bytes:
    """What a .npy file of so many rows begins with."""
    text = io.BytesIO()
    what = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (n_rows,)}
    np.lib.format.write_array_header_1_0(text, what)
    return text.getvalue()
