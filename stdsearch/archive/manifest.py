"""archive.json: which parts belong to an archive, and what made them.

{"format": 5, "generation": 1,
 "encoder": {"name", "fingerprint", "dim", "frame_width", "frame_seconds"}, "settings": {...},
 "counts": {"recordings", "channels", "segments", "seconds"}, "next_ids": {"recording", "segment", "shard"},
 "parts": {"blocks": [part], "catalog": [part], "encoder": [part], "groups": [part], "runs": [part],
           "spans": [part], "vectors": [part], "segments": [part, ...], "frames": [part, ...]}}
where a part is {"name", "bytes", "sha256"}. segments and frames hold a part for each shard, in the order of their ids.
Each commit is one generation; counts are of what has not been removed.
"""

import fcntl
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from stdsearch.archive.parts import Part, damaged, replace_file
from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.slicing import LONGEST_SLICE

FORMAT = 5  # raised when an older stdsearch could no longer read the archive
FILE_NAME = "archive.json"
SINGLE_ROLES = ("blocks", "catalog", "encoder", "groups", "runs", "spans", "vectors")
SHARD_ROLES = ("segments", "frames")
LARGEST_BYTES = 64 << 20  # of archive.json: some 200,000 shards of half an hour
LARGEST_COUNT = 1 << 48  # of anything that is counted
WIDEST = 1 << 16  # values of an embedding or a frame

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Counts:
    """How much an archive holds; channels are summed over recordings, seconds counted once per recording."""

    recordings: int
    channels: int
    segments: int
    seconds: float


@dataclass(frozen=True, slots=True)
class NextIds:
    """The ids that come next; none below was ever given twice, until compacting counts anew (but not the shards)."""

    recording: int = 0
    segment: int = 0
    shard: int = 0


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """What there is to know of the archive's encoder without loading it.

    Embeddings have dim values, frames frame_width every frame_seconds.
    """

    name: str
    fingerprint: str
    dim: int
    frame_width: int
    frame_seconds: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of archive.json."""

    generation: int
    encoder: EncoderFacts
    settings: Mapping[str, Any]
    counts: Counts
    next_ids: NextIds
    parts: Mapping[str, tuple[Part, ...]]

    def part(self, role: str) -> Part:
        """The one part of a role of which there is one."""
        (part,) = self.parts[role]
        return part

    def all_parts(self) -> Iterator[Part]:
        """Every part of every role."""
        return itertools.chain.from_iterable(self.parts.values())

    def save(self, archive: Path) -> None:
        """Commit: from here on the archive is what this manifest says."""
        content = {
            "format": FORMAT,
            "generation": self.generation,
            "encoder": asdict(self.encoder),
            "settings": dict(self.settings),
            "counts": asdict(self.counts),
            "next_ids": asdict(self.next_ids),
            "parts": {role: [asdict(part) for part in parts] for role, parts in self.parts.items()},
        }
        text = (json.dumps(content, indent=1) + "\n").encode()
        parse_manifest(archive / FILE_NAME, text)  # what could not be opened must not replace what can
        replace_file(archive / FILE_NAME, text)


def load_manifest(archive: Path) -> Manifest:
    """The manifest of an archive, every value checked before it is believed.

    Raises StdSearchError if the directory holds no archive, a half-built one, or one of another format.
    """
    path = archive / FILE_NAME
    try:
        with _open(path) as file:
            return parse_manifest(path, file.read(LARGEST_BYTES + 1))
    except OSError as error:
        raise _no_archive(archive, error) from error


def hold_manifest(archive: Path) -> tuple[Manifest, BinaryIO]:
    """The manifest, and the open file that keeps its parts from being deleted by a writer until it is closed.

    The hold is a shared lock on archive.json itself, which a writer replaces but does not change. Where the file
    system knows no locks, there is no hold. Raises as `load_manifest`.
    """
    path = archive / FILE_NAME
    while True:
        try:
            file = _open(path)
        except OSError as error:
            raise _no_archive(archive, error) from error
        try:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if _is_still(path, file):  # else it was replaced before the lock was there
                return parse_manifest(path, file.read(LARGEST_BYTES + 1)), file
        except BaseException:
            file.close()
            raise
        file.close()


def _open(path: Path) -> BinaryIO:
    if not path.is_file():  # nothing, or a pipe, which would keep who opens it waiting
        raise FileNotFoundError(path)
    return path.open("rb")


def _is_still(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def parse_manifest(path: Path, text: bytes) -> Manifest:
    """The manifest that `path` holds as text; raises as `load_manifest`."""
    if len(text) > LARGEST_BYTES:
        raise damaged(path, f"it has more than {LARGEST_BYTES} bytes")
    try:
        return _manifest(json.loads(text))
    except _OtherFormatError as error:
        raise StdSearchError(f"{path}: {in_a_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error


def _no_archive(archive: Path, error: OSError) -> StdSearchError:
    """Why archive.json cannot be read."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return StdSearchError(f"{archive / FILE_NAME}: cannot be read ({error.strerror}); mend that, or restore it")
    if not archive.exists():
        reason = f"no such archive; make one with `stdsearch index FOLDER --out {archive}`"
    elif not archive.is_dir():
        reason = "is a file; an archive is the directory that `stdsearch index` makes"
    elif (archive / "journal").is_dir():
        reason = "it was interrupted while being made; run the same command again to finish it"
    else:
        reason = f"holds no {FILE_NAME}, so it is no archive; name a directory that `stdsearch index` made"
    return StdSearchError(f"{archive}: {reason}")


class _OtherFormatError(ValueError):
    """The archive may be sound, but not for this version."""


def _manifest(content: object) -> Manifest:
    top = _typed(content, dict, "the top level")
    number = _typed(top.get("format"), int, "format")
    if number != FORMAT:
        raise _OtherFormatError(
            f"has archive format {number}, this stdsearch reads format {FORMAT}; "
            + ("use a newer stdsearch" if number > FORMAT else "index again")
        )
    encoder = _typed(top.get("encoder"), dict, "encoder")
    counts = _typed(top.get("counts"), dict, "counts")
    parts = _typed(top.get("parts"), dict, "parts")
    next_ids = _typed(top.get("next_ids"), dict, "next_ids")
    if set(parts) != {*SINGLE_ROLES, *SHARD_ROLES}:
        raise ValueError("parts are not the nine that belong to an archive")
    manifest = Manifest(
        generation=_count(top, "generation"),
        encoder=EncoderFacts(
            name=_plain(encoder.get("name"), "encoder.name"),
            fingerprint=_plain(encoder.get("fingerprint"), "encoder.fingerprint"),
            dim=_count(encoder, "dim"),
            frame_width=_count(encoder, "frame_width"),
            frame_seconds=_seconds(encoder, "frame_seconds"),
        ),
        settings=_settings(_typed(top.get("settings"), dict, "settings")),
        counts=Counts(
            recordings=_count(counts, "recordings"),
            channels=_count(counts, "channels"),
            segments=_count(counts, "segments"),
            seconds=_seconds(counts, "seconds"),
        ),
        next_ids=NextIds(
            recording=_count(next_ids, "recording"),
            segment=_count(next_ids, "segment"),
            shard=_count(next_ids, "shard"),
        ),
        parts={
            role: tuple(_part(part) for part in _typed(listed, list, f"parts.{role}")) for role, listed in parts.items()
        },
    )
    if any(len(manifest.parts[role]) != 1 for role in SINGLE_ROLES):
        raise ValueError(f"there is not one part each of {', '.join(SINGLE_ROLES)}")
    if len(manifest.parts["segments"]) != len(manifest.parts["frames"]):
        raise ValueError("segments and frames differ in their number of shards")
    names = [part.name for part in manifest.all_parts()]
    if len(set(names)) < len(names):
        raise ValueError("a file is two parts")
    numbers = [re.fullmatch(r".*-([0-9]+)\..*", manifest.part(role).name) for role in SINGLE_ROLES]
    if any(number and int(number[1]) > manifest.generation for number in numbers):
        raise ValueError("it has parts of generations to come")
    stems = [Path(part.name).stem for role in SHARD_ROLES for part in manifest.parts[role]]
    if any(stem.isdecimal() and int(stem) >= manifest.next_ids.shard for stem in stems):
        raise ValueError("it has shards that are still to come")
    facts = manifest.encoder
    if not (0 < facts.dim <= WIDEST and 0 < facts.frame_width <= WIDEST and 1e-3 <= facts.frame_seconds <= 10):
        raise ValueError("no encoder has such embeddings and frames")
    counted, ids = manifest.counts, manifest.next_ids
    if counted.recordings > ids.recording or counted.segments > ids.segment:
        raise ValueError("there are more recordings or segments than ids")
    return manifest


def _part(content: object) -> Part:
    fields = _typed(content, dict, "a part")
    return Part(
        name=_typed(fields.get("name"), str, "a part's name"),
        bytes=_count(fields, "bytes"),
        sha256=_typed(fields.get("sha256"), str, "a part's sha256"),
    )


def _count(fields: dict[str, Any], name: str) -> int:
    value = _typed(fields.get(name), int, name)
    if not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"{name} is no count")
    return value


def _plain(value: object, name: str) -> str:
    text = _typed(value, str, name)
    if not text.isprintable() or len(text) > 255:
        raise ValueError(f"{name} is no name")
    return text


def _settings(groups: dict[str, Any]) -> dict[str, Any]:
    """Groups of plain values by name; of that of slices what search goes by is checked, the rest by who goes by it."""
    for name, group in groups.items():
        for key, value in _typed(group, dict, f"settings.{in_a_line(name)}").items():
            _plain(name, "the name of settings")
            _plain(key, "the name of a setting")
            if isinstance(value, str):
                _plain(value, f"settings.{key}")
            elif value is not None and not isinstance(value, bool):
                _typed(value, (int, float), f"settings.{key}")
    if not 0 < _seconds(_typed(groups.get("slicing"), dict, "settings.slicing"), "longest") <= LONGEST_SLICE:
        raise ValueError("settings.slicing.longest is no length of a slice")
    return groups


def _seconds(fields: dict[str, Any], name: str) -> float:
    value = _typed(fields.get(name), (int, float), name)
    if not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"{name} is no duration")
    return float(value)


def _typed(value: Any, kind: type[_T] | tuple[type[_T], ...], name: str) -> _T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is not what it must be")
    return value
