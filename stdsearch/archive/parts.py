"""The files an archive is made of: their names, sizes and checksums, and how they reach the disk.

A part is complete and on the disk before archive.json names it; archive.json itself replaces its
predecessor in one step. So whatever is interrupted, what archive.json names is whole.
"""

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from stdsearch.errors import StdSearchError, in_a_line

_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?\.[a-z0-9]+", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an archive; `name` is its path below the archive, with a forward slash."""

    name: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{in_a_line(self.name, longest=80)!r} is no name of a part")
        if self.bytes < 0 or not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"the size or checksum of {self.name} is not valid")

    def check_size(self, archive: Path) -> Path:
        """The part's file; raises StdSearchError if it is missing or not as long as it was."""
        path = archive / self.name
        try:
            facts = path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StdSearchError(f"{path}: a part of the archive is missing; restore it or index again") from error
        except OSError as error:
            raise damaged(path, error) from error
        if not stat.S_ISREG(facts.st_mode):  # a pipe or a device, which may never end
            raise damaged(path, "it is no file")
        if facts.st_size != self.bytes:
            raise StdSearchError(f"{path}: has {facts.st_size} bytes, not {self.bytes}; restore it or index again")
        return path

    def check(self, archive: Path) -> None:
        """Raise StdSearchError if the part's file is missing or has other bytes than it had."""
        path = self.check_size(archive)
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise damaged(path, error) from error
        if sha256 != self.sha256:
            raise damaged(path, "its checksum is not what it was")


def seal(archive: Path, name: str) -> Part:
    """The part that `name` has become, after its bytes and its directory entry have been forced to the disk."""
    path = archive / name
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
        n_bytes = file.tell()
    sync_directory(path.parent)
    return Part(name, n_bytes, digest.hexdigest())


def damaged(path: Path, reason: object) -> StdSearchError:
    """The error for a part that cannot be what was written, or that somebody else only may read."""
    if isinstance(reason, PermissionError):
        return StdSearchError(f"{path}: cannot be read ({reason.strerror}); give yourself the right to it")
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    return StdSearchError(f"{path}: is damaged ({in_a_line(reason)}); restore it or index again")


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that at any moment the old file or the new one is there, whole."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)  # which may be a link to what is not ours
    with fresh.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Force a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
