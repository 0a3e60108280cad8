"""One writer at a time: the lock on an archive, and the note of who holds it.

The lock is the system's, on the directory, and ends with the process however that ends. ARCHIVE/writer.json only tells
others who it is.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from stdsearch.archive.parts import replace_file, sync_directory
from stdsearch.errors import StdSearchError

NOTE = "writer.json"
FOLDERS = ("segments", "frames", "journal", "past")  # in which a writer makes and removes files


@contextmanager
def sole_writer(archive: Path) -> Iterator[None]:
    """While inside, no other process can write the archive; the directory is made where there is none.

    Raises StdSearchError, naming process and time, if another process writes it, and if it cannot be written.
    """
    try:
        if not archive.exists():
            archive.mkdir(parents=True, exist_ok=True)
            sync_directory(archive.parent)
        descriptor = os.open(archive, os.O_RDONLY)
        try:
            _lock(archive, descriptor)
            for folder in FOLDERS:
                if (archive / folder).is_symlink():
                    raise StdSearchError(f"{archive / folder}: is a link; an archive is written only where it lies")
            writer = {"process": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():%F %T}"}
            replace_file(archive / NOTE, json.dumps(writer).encode())
            try:
                yield
            finally:
                (archive / NOTE).unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = error.strerror or error
        raise StdSearchError(
            f"{archive}: cannot be written ({reason}); mend that, and the same command goes on"
        ) from error


def _lock(archive: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StdSearchError(f"{archive}: {_who_writes(archive)}; wait until it ends") from error


def _who_writes(archive: Path) -> str:
    try:
        writer = json.loads((archive / NOTE).read_bytes())
        return f"process {writer['process']} on {writer['host']} has been writing this archive since {writer['since']}"
    except (OSError, ValueError, TypeError, KeyError):  # it has only just begun, or is about to end
        return "another process is writing this archive"
