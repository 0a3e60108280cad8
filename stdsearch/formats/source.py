"""Files in and out: gzip or plain, UTF-8, and what goes wrong as one clear line."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from stdsearch.errors import StdSearchError

STANDARD_INPUT = 0  # as the system numbers it
GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def open_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """A stream of the file's bytes, unpacked if it is gzip (told by its first bytes, not by its name).

    The name - stands for the standard input. Raises StdSearchError if the file cannot be opened or read, or its
    compression is damaged.
    """
    try:
        with open(STANDARD_INPUT if path == "-" else path, "rb", closefd=path != "-") as raw:
            if raw.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
                with gzip.open(raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise StdSearchError(f"{path}: damaged gzip data ({error}); copy or compress the file again") from error
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise StdSearchError(f"{path}: cannot be read ({reason}); check the path") from error


@contextmanager
def open_lines(path: str | Path) -> Iterator[Iterator[str]]:
    """The file's lines with their line ends; a byte order mark is skipped.

    Raises StdSearchError as `open_bytes`, or if a line is not UTF-8.
    """
    with open_bytes(path) as stream:
        yield decoded(path, stream)


def decoded(path: str | Path, stream: BinaryIO) -> Iterator[str]:
    """As `open_lines`, of the file opened already."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise StdSearchError(f"{path}:{number}: not UTF-8 text; convert the file to UTF-8") from error


@contextmanager
def open_output(path: str | Path) -> Iterator[TextIO]:
    """A UTF-8 text stream that becomes the file at the end, packed by gzip if its name ends in .gz.

    A file that is there stays as it was if writing the text fails. Raises StdSearchError if the file cannot be written,
    or a text has no UTF-8 form (a lone surrogate).
    """
    try:
        text = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
        yield text
        text.flush()
        with open(path, "wb") as raw:
            binary = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) if str(path).endswith(".gz") else raw
            with cast(BinaryIO, binary):
                binary.write(text.buffer.getbuffer())
    except OSError as error:
        raise StdSearchError(f"{path}: cannot be written ({error.strerror or error}); name another path") from error
    except UnicodeEncodeError as error:
        raise StdSearchError(f"{path}: cannot be written, a name or term is not valid Unicode text") from error
