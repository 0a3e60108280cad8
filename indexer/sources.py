"""The recordings to index: which files, and what they are called in the archive."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stdsearch.audio import SUFFIXES
from stdsearch.errors import StdSearchError


@dataclass(frozen=True, slots=True)
class Source:
    """A file to index: path is its name in the archive, bytes and mtime_ns tell whether it has changed since."""

    path: str
    file: Path
    bytes: int
    mtime_ns: int


def find_sources(roots: Sequence[Path], *, each: bool = False) -> list[Source]:
    """The audio files among and below some files and folders, sorted by name; none twice.

    A recording is called by its path below the folder given. Where two folders give the same name, the names that
    clash get the folder's name in front. Raises StdSearchError if a root is missing or a folder cannot be listed, if
    none holds audio, or, for each, one does not, as where a disk is not mounted, or if names still clash.
    """
    found: dict[Path, tuple[Path, str]] = {}
    for root in roots:
        folder = Path(os.path.abspath(root))  # links keep their names
        if not folder.exists():
            raise StdSearchError(f"{root}: no such file or folder; check the path")
        files = [folder] if folder.is_file() else list(_audio_below(folder))
        if each and not files:
            raise StdSearchError(f"{root}: no audio files, so that all it held would go; mount it, or leave it out")
        for file in files:
            base = folder.parent if file == folder else folder
            found.setdefault(file, (base, file.relative_to(base).as_posix()))
    if not found:
        listed = ", ".join(str(root) for root in roots)
        raise StdSearchError(f"{listed}: no audio files; name folders that hold {' '.join(SUFFIXES[:4])} ...")

    uses = Counter(name for _, name in found.values())
    names = {file: name if uses[name] == 1 else f"{base.name}/{name}" for file, (base, name) in found.items()}
    clashing = [name for name, n in Counter(names.values()).items() if n > 1]
    if clashing:
        raise StdSearchError(
            f"{min(clashing)}: is the name of two recordings; index the folder that holds both instead"
        )
    return sorted((_source(name, file) for file, name in names.items()), key=lambda source: source.path)


def _audio_below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:  # else what lies below would look as if it were gone
        raise StdSearchError(f"{error.filename}: cannot be listed ({error.strerror}); mend that, or leave it out")

    visited = set()
    for directory, below, files in os.walk(folder, followlinks=True, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        real = os.path.realpath(directory)
        if real in visited:  # a link that leads back
            below.clear()
            continue
        visited.add(real)
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(directory, name)


def _source(name: str, file: Path) -> Source:
    try:
        facts = file.stat()
    except OSError:  # a dangling link: reading it will say so
        return Source(name, file, 0, 0)
    return Source(name, file, facts.st_size, facts.st_mtime_ns)
