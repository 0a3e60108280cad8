"""The generations of an archive: each commit replaces archive.json, and what nobody needs any longer goes away.

A part's name is never given twice, so nothing that was committed is ever overwritten. The archive.json that a commit
replaces stays as past/GENERATION.json, the same file under another name, and its parts stay, as long as a reader holds
it (`stdsearch.archive.manifest.hold_manifest`).
"""

import errno
import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from indexer import journal
from indexer.writer import NOTE
from stdsearch.archive.manifest import FILE_NAME, Manifest, load_manifest, parse_manifest
from stdsearch.archive.parts import sync_directory
from stdsearch.errors import StdSearchError

SINGLE = {  # the files of which there is one, in the first generation
    "blocks": "blocks.npy",
    "catalog": "catalog.parquet",
    "encoder": "encoder.safetensors",
    "groups": "groups.npy",
    "runs": "runs.npy",
    "spans": "spans.npy",
    "vectors": "vectors.ivf",
}

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}


def part_name(role: str, generation: int) -> str:
    """What the one file of a role is called if a generation makes it.

    >>> part_name("spans", 1), part_name("spans", 12)
    ('spans.npy', 'spans-12.npy')
    """
    name = Path(SINGLE[role])
    return name.name if generation == 1 else f"{name.stem}-{generation}{name.suffix}"


def publish(archive: Path, manifest: Manifest) -> None:
    """Commit a generation whose parts are on the disk, then remove what it has made needless."""
    current = archive / FILE_NAME
    if current.exists():
        past = archive / "past"
        past.mkdir(exist_ok=True)
        try:
            os.link(current, past / f"{load_manifest(archive).generation}.json")
            sync_directory(past)
        except FileExistsError:  # by a commit that was interrupted
            pass
        except OSError as error:  # without links, readers that are open keep only what they have opened
            if error.errno not in _NO_LINKS:
                raise
    manifest.save(archive)
    sweep(archive)


def sweep(archive: Path) -> None:
    """Remove what no reader holds, and what an interrupted writer left but for shards that its journal can go on from.

    For the sole writer of an archive that is there.
    """
    manifest = load_manifest(archive)
    needed = {part.name for part in manifest.all_parts()} | _held(archive)
    noted = journal.noted(archive, manifest.next_ids)
    if noted is None:
        journal.discard(archive)
    for folder, suffix in (("segments", ".parquet"), ("frames", ".arrow")):
        for path in _below(archive / folder, f"[0-9]*{suffix}"):
            waiting = noted and path.stem in noted and not path.is_symlink()  # to what is not the archive's
            if f"{folder}/{path.name}" not in needed and not waiting:
                _unlink(path)
    for name in map(Path, SINGLE.values()):
        for path in [*archive.glob(name.name), *archive.glob(f"{name.stem}-[0-9]*{name.suffix}")]:
            if path.name not in needed:
                _unlink(path)
    (archive / f"{FILE_NAME}.new").unlink(missing_ok=True)
    (archive / f"{NOTE}.new").unlink(missing_ok=True)


def clear(out: Path) -> None:
    """Remove what a first build has left that comes to nothing; its journal last, which says whose it was."""
    for folder in ("segments", "frames"):
        shutil.rmtree(out / folder, ignore_errors=True)
    journal.discard(out)


def _held(archive: Path) -> set[str]:
    """The names of the parts of past generations that readers hold; the other generations are forgotten."""
    past = archive / "past"
    needed: set[str] = set()
    for path in _below(past, "[0-9]*.json"):
        if not path.is_file() or path.samefile(archive / FILE_NAME) or not _is_locked(path):
            _unlink(path)
            continue
        with suppress(StdSearchError):
            needed |= {part.name for part in parse_manifest(path, path.read_bytes()).all_parts()}
    with suppress(OSError):  # not empty, or not there
        past.rmdir()
    return needed


def _unlink(path: Path) -> None:
    """Remove a file or a link; a directory is not the archive's."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()


def _below(folder: Path, pattern: str) -> list[Path]:
    """The files of an archive's folder; none where it is a link, which may lead to what is not the archive's."""
    return [] if folder.is_symlink() else sorted(folder.glob(pattern))


def _is_locked(path: Path) -> bool:
    mode = "r+b" if os.access(path, os.W_OK) else "rb"  # NFS locks for one alone only what may be written
    with path.open(mode) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no locks on this file system
            return False
    return False
