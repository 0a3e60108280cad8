from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer import shards
from indexer.build import Report, build_archive, update_archive
from indexer.sources import find_sources
from stdsearch.archive import ArchiveReader, open_archive
from stdsearch.encoder import SpanEncoder
from stdsearch.search import Archive
from stdsearch.slicing import SlicingSettings

Record = Callable[..., Path]


@pytest.fixture
def audio(tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four recordings, two of which fill a shard."""
    monkeypatch.setattr(shards, "SHARD_SECONDS", 3.0)
    for number in range(4):
        record(f"{number}.wav", 2, seed=number)
    return tmp_path / "audio"


@pytest.fixture
def build(tmp_path: Path, encoder: SpanEncoder, encoder_file: Path) -> Callable[..., Report]:
    """Indexes tmp_path / FOLDER into tmp_path / NAME."""

    def run(name: str = "archive", folder: str = "audio", **options: Any) -> Report:
        options = {"settings": SlicingSettings(speech_only=False), "encoder_file": encoder_file, **options}
        sources = find_sources([tmp_path / folder])
        return build_archive(sources, tmp_path / name, options.pop("encoder", encoder), **options)

    return run


@pytest.fixture
def update(tmp_path: Path, encoder: SpanEncoder) -> Callable[..., Report]:
    """Updates tmp_path / "archive" from tmp_path / "audio"."""

    def run(**options: Any) -> Report:
        return update_archive(find_sources([tmp_path / "audio"]), tmp_path / "archive", encoder, **options)

    return run


def hits(archive: Path | Archive, text: str = "evening") -> list[tuple[object, ...]]:
    found = (archive if isinstance(archive, Archive) else Archive.open(archive)).search(text).hits
    return sorted((hit.recording, hit.channel, hit.tbeg, hit.dur, hit.score, hit.decision) for hit in found)


def segments(archive: ArchiveReader) -> list[tuple[Any, ...]]:
    """Every segment by the name of its recording; that the vector index holds these and no others is asserted."""
    ids = archive.segment_ids
    at, embeddings = archive.segments(ids), archive.embeddings(ids)
    if len(ids):
        scores, nearest = archive.nearest(embeddings, 1)
        assert (scores > 0.99).all()
        assert set(nearest.ravel()) <= set(ids)
    paths = [archive.recordings[recording].path for recording in at.recording_id.tolist()]
    rows = zip(paths, at.channel.tolist(), at.tbeg.tolist(), at.dur.tolist(), embeddings.tolist(), strict=True)
    return sorted(rows)


def files(path: Path) -> set[str]:
    """The names of all files of an archive's directory."""
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}


def named(path: Path) -> set[str]:
    """The names of the files that an archive ought to have."""
    return {part.name for part in open_archive(path).manifest.all_parts()} | {"archive.json"}


def change(record: Record, audio: Path) -> None:
    """0 is as it was, 1 is longer, 2 other samples of the same number, 3 gone, a.wav new."""
    record("1.wav", 3, seed=11)
    record("2.wav", 2, seed=12)
    (audio / "3.wav").unlink()
    record("a.wav", 1, seed=13)
