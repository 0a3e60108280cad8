"""archive.json: which parts belong to an archive, and what made them.

{"format": 1, "encoder": {"name", "fingerprint", "dim", "frame_width", "frame_seconds"}, "settings": {...},
 "counts": {"recordings", "channels", "segments", "seconds"},
 "parts": {"catalog": [part], "encoder": [part], "spans": [part], "vectors": [part],
           "segments": [part, ...], "frames": [part, ...]}}
where a part is {"name", "bytes", "sha256"}. segments and frames hold a part for each shard, in the order of their ids.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from stdsearch.archive.parts import Part, replace_file
from stdsearch.errors import StdSearchError

FORMAT = 1  # raised when an older stdsearch could no longer read the archive
FILE_NAME = "archive.json"
SINGLE_ROLES = ("catalog", "encoder", "spans", "vectors")
SHARD_ROLES = ("segments", "frames")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Counts:
    """How much an archive holds; channels are summed over recordings, seconds counted once per recording."""

    recordings: int
    channels: int
    segments: int
    seconds: float


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

    encoder: EncoderFacts
    settings: Mapping[str, Any]
    counts: Counts
    parts: Mapping[str, tuple[Part, ...]]

    def part(self, role: str) -> Part:
        """The one part of a role of which there is one."""
        (part,) = self.parts[role]
        return part

    def save(self, archive: Path) -> None:
        """Commit: from here on the archive is what this manifest says."""
        content = {
            "format": FORMAT,
            "encoder": asdict(self.encoder),
            "settings": dict(self.settings),
            "counts": asdict(self.counts),
            "parts": {role: [asdict(part) for part in parts] for role, parts in self.parts.items()},
        }
        replace_file(archive / FILE_NAME, (json.dumps(content, indent=1) + "\n").encode())


def load_manifest(archive: Path) -> Manifest:
    """The manifest of an archive, every value checked before it is believed.

    Raises StdSearchError if the directory holds no archive, a half-built one, or one of another format.
    """
    path = archive / FILE_NAME
    try:
        text = path.read_bytes()
    except OSError as error:
        raise StdSearchError(_why_no_archive(archive)) from error
    try:
        return _manifest(json.loads(text))
    except _NewerFormatError as error:
        raise StdSearchError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise StdSearchError(f"{path}: is damaged ({reason}); restore it or index again") from error


def _why_no_archive(archive: Path) -> str:
    if not archive.exists():
        return f"{archive}: no such archive; make one with `stdsearch index FOLDER --out {archive}`"
    if not archive.is_dir():
        return f"{archive}: is a file; an archive is the directory that `stdsearch index` makes"
    if (archive / "journal").is_dir():
        return f"{archive}: its indexing was interrupted; run the same `stdsearch index` again to finish it"
    return f"{archive}: holds no {FILE_NAME}, so it is no archive; name a directory that `stdsearch index` made"


class _NewerFormatError(ValueError):
    """The archive may be sound, but not for this version."""


def _manifest(content: object) -> Manifest:
    top = _typed(content, dict, "the top level")
    number = _typed(top.get("format"), int, "format")
    if number != FORMAT:
        raise _NewerFormatError(
            f"has archive format {number}, this stdsearch reads format {FORMAT}; "
            + ("use a newer stdsearch" if number > FORMAT else "index again")
        )
    encoder = _typed(top.get("encoder"), dict, "encoder")
    counts = _typed(top.get("counts"), dict, "counts")
    parts = _typed(top.get("parts"), dict, "parts")
    if set(parts) != {*SINGLE_ROLES, *SHARD_ROLES}:
        raise ValueError("parts are not the six that belong to an archive")
    manifest = Manifest(
        encoder=EncoderFacts(
            name=_typed(encoder.get("name"), str, "encoder.name"),
            fingerprint=_typed(encoder.get("fingerprint"), str, "encoder.fingerprint"),
            dim=_count(encoder, "dim"),
            frame_width=_count(encoder, "frame_width"),
            frame_seconds=_seconds(encoder, "frame_seconds"),
        ),
        settings=_typed(top.get("settings"), dict, "settings"),
        counts=Counts(
            recordings=_count(counts, "recordings"),
            channels=_count(counts, "channels"),
            segments=_count(counts, "segments"),
            seconds=_seconds(counts, "seconds"),
        ),
        parts={
            role: tuple(_part(part) for part in _typed(listed, list, f"parts.{role}")) for role, listed in parts.items()
        },
    )
    if any(len(manifest.parts[role]) != 1 for role in SINGLE_ROLES):
        raise ValueError(f"there is not one part each of {', '.join(SINGLE_ROLES)}")
    if len(manifest.parts["segments"]) != len(manifest.parts["frames"]):
        raise ValueError("segments and frames differ in their number of shards")
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
    if value < 0:
        raise ValueError(f"{name} is negative")
    return value


def _seconds(fields: dict[str, Any], name: str) -> float:
    value = float(_typed(fields.get(name), (int, float), name))
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is no duration")
    return value


def _typed(value: Any, kind: type[_T] | tuple[type[_T], ...], name: str) -> _T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is not what it must be")
    return value
