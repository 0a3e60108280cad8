import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from indexer import copying
from indexer.build import Report
from indexer.copying import compact_archive, merge_archives
from indexer.metadata import Metadata
from indexer.removal import remove_recordings
from stdsearch.archive import open_archive
from stdsearch.encoder import SpanEncoder, load_encoder, save_encoder
from stdsearch.errors import StdSearchError
from stdsearch.slicing import SlicingSettings
from tests.indexer.conftest import change, files, hits, named, segments

Build = Callable[..., Report]
Record = Callable[..., Path]


def interrupt(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def sums(path: Path, *, catalog: bool = False) -> dict[str, list[str]]:
    """Checksums of the parts of each role; the catalog has the names of the shards in it."""
    parts = open_archive(path).manifest.parts
    return {role: [part.sha256 for part in listed] for role, listed in parts.items() if catalog or role != "catalog"}


def test_a_compact_archive_has_the_bytes_of_a_fresh_build(
    tmp_path: Path, audio: Path, build: Build, update: Build, record: Record
) -> None:
    build()
    change(record, audio)
    update()
    record("b.wav", 2, seed=14)
    update()
    remove_recordings(tmp_path / "archive", ["a"])
    before = segments(open_archive(tmp_path / "archive"))
    counts = compact_archive(tmp_path / "archive")
    (audio / "a.wav").unlink()
    assert counts == build("fresh").counts
    assert sums(tmp_path / "archive") == sums(tmp_path / "fresh")
    archive = open_archive(tmp_path / "archive")
    assert segments(archive) == before
    assert archive.segment_ids.tolist() == list(range(archive.n_segments))
    assert [recording.path for recording in archive.recordings.values()] == ["0.wav", "1.wav", "2.wav", "b.wav"]
    assert hits(tmp_path / "archive") == hits(tmp_path / "fresh")
    assert files(tmp_path / "archive") == named(tmp_path / "archive")


def test_what_is_compact_stays_as_it_is(tmp_path: Path, audio: Path, build: Build, update: Build) -> None:
    build()
    assert compact_archive(tmp_path / "archive") is None
    (audio / "3.wav").unlink()
    update()
    assert compact_archive(tmp_path / "archive") is not None
    assert compact_archive(tmp_path / "archive") is None
    assert open_archive(tmp_path / "archive").manifest.generation == 3


def test_an_archive_goes_on_after_it_was_compacted(
    tmp_path: Path, audio: Path, build: Build, update: Build, record: Record
) -> None:
    build(metadata=Metadata(pa.table({"year": [1960, 1961, 1962, 1963]}), unmatched=()))
    remove_recordings(tmp_path / "archive", ["0"])
    compact_archive(tmp_path / "archive")
    reader = open_archive(tmp_path / "archive")
    assert reader.metadata["year"].to_pylist() == [1961, 1962, 1963]
    expected = segments(reader)
    reader = open_archive(tmp_path / "archive")
    change(record, audio)
    update()
    compact_archive(tmp_path / "archive")
    assert segments(reader) == expected
    build("fresh")
    assert segments(open_archive(tmp_path / "archive")) == segments(open_archive(tmp_path / "fresh"))


def test_damage_is_not_copied(tmp_path: Path, audio: Path, build: Build) -> None:
    build()
    remove_recordings(tmp_path / "archive", ["0"])
    path = tmp_path / "archive" / "frames" / "00001.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StdSearchError, match=r"frames/00001.arrow: is damaged \(its checksum"):
        compact_archive(tmp_path / "archive")
    assert open_archive(tmp_path / "archive").manifest.generation == 2


@pytest.fixture
def halves(tmp_path: Path, audio: Path, build: Build) -> tuple[Path, Path]:
    """Archives of 1.wav and 3.wav, and of 0.wav and 2.wav."""
    for name, gone in (("odd", ("0.wav", "2.wav")), ("even", ("1.wav", "3.wav"))):
        shutil.copytree(audio, tmp_path / "whole", dirs_exist_ok=True)
        for file in gone:
            (audio / file).unlink()
        build(name)
        for file in gone:
            shutil.copy2(tmp_path / "whole" / file, audio / file)
    return tmp_path / "odd", tmp_path / "even"


def test_merged_archives_are_what_one_build_makes(tmp_path: Path, halves: tuple[Path, Path], build: Build) -> None:
    counts = merge_archives(halves, tmp_path / "merged")
    assert counts == build("fresh").counts
    assert sums(tmp_path / "merged", catalog=True) == sums(tmp_path / "fresh", catalog=True)
    assert hits(tmp_path / "merged") == hits(tmp_path / "fresh") != []
    assert files(tmp_path / "merged") == named(tmp_path / "merged")


def test_columns_are_merged(tmp_path: Path, audio: Path, build: Build, record: Record) -> None:
    build(metadata=Metadata(pa.table({"year": [1, 2, 3, 4], "who": list("abcd")}), unmatched=()))
    shutil.move(audio, tmp_path / "first")
    record("x.wav", 1)
    build("other", metadata=Metadata(pa.table({"year": [0.5], "where": ["here"]}), unmatched=()))
    merge_archives([tmp_path / "other", tmp_path / "archive"], tmp_path / "merged")
    assert open_archive(tmp_path / "merged").metadata.to_pydict() == {
        "year": [1, 2, 3, 4, 0.5],
        "where": [None, None, None, None, "here"],
        "who": ["a", "b", "c", "d", None],
    }


def test_a_column_that_is_empty_in_one_archive_is_of_the_others_type(
    tmp_path: Path, build: Build, record: Record, audio: Path
) -> None:
    """What is in no row of a table has a type that was guessed from nothing."""
    build(metadata=Metadata(pa.table({"year": [1, 2, 3, 4]}), unmatched=()))
    shutil.move(audio, tmp_path / "first")
    record("x.wav", 1)
    build("other", metadata=Metadata(pa.table({"year": pa.array([None], pa.string())}), unmatched=()))
    merge_archives([tmp_path / "other", tmp_path / "archive"], tmp_path / "merged")
    assert open_archive(tmp_path / "merged").metadata.to_pydict() == {"year": [1, 2, 3, 4, None]}


@pytest.mark.parametrize(
    ("one", "other", "complaint"),
    [
        ({"year": [1]}, {"year": ["soon"]}, "the columns of the archives have types that differ"),
        ({"n": [Decimal(10**37)]}, {"n": [Decimal("1" * 37 + ".1")]}, "the column 'n' have too many digits together"),
        ({"year": [1], "a": [1]}, {"Year": [1], "b": [1]}, "the columns Year, year differ in capitals alone"),
    ],
)
def test_columns_that_do_not_go_together_are_refused(
    tmp_path: Path, build: Build, record: Record, one: dict[str, list], other: dict[str, list], complaint: str
) -> None:
    record("a.wav", 1)
    build("a", metadata=Metadata(pa.table(one), unmatched=()))
    (tmp_path / "audio" / "a.wav").rename(tmp_path / "audio" / "b.wav")
    build("b", metadata=Metadata(pa.table(other), unmatched=()))
    with pytest.raises(StdSearchError, match=complaint) as caught:
        merge_archives([tmp_path / "a", tmp_path / "b"], tmp_path / "merged")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "merged").exists()


def test_paths_that_clash_are_named(tmp_path: Path, audio: Path, build: Build) -> None:
    build()
    (audio / "3.wav").unlink()
    build("other")
    with pytest.raises(
        StdSearchError, match=r"other: 3 of its recordings have .*/archive: '0.wav', '1.wav', '2.wav'; "
    ):
        merge_archives([tmp_path / "archive", tmp_path / "other"], tmp_path / "merged")


def test_other_encoders_or_slices_are_refused(
    tmp_path: Path, build: Build, record: Record, encoder_file: Path, encoder: SpanEncoder
) -> None:
    record("a.wav", 1)
    build()
    build("sliced", settings=SlicingSettings(hop=0.5, speech_only=False))
    other = load_encoder(encoder_file)
    other.log_prior[0] += 1
    save_encoder(other, tmp_path / "other.safetensors")
    build("encoded", encoder=load_encoder(tmp_path / "other.safetensors"), encoder_file=tmp_path / "other.safetensors")
    for name, complaint in (("sliced", "its slices have hop 0.5, but those of"), ("encoded", "was made by encoder")):
        with pytest.raises(StdSearchError, match=complaint):
            merge_archives([tmp_path / "archive", tmp_path / name], tmp_path / "merged")
    assert json.loads((tmp_path / "archive" / "archive.json").read_bytes())["generation"] == 1


def test_a_merge_keeps_an_index_that_was_interrupted(
    tmp_path: Path, halves: tuple[Path, Path], build: Build, encoder: SpanEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "frames", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build()
    before = files(tmp_path / "archive")
    with pytest.raises(StdSearchError, match="holds an index that was interrupted; go on with it"):
        merge_archives(halves, tmp_path / "archive")
    assert files(tmp_path / "archive") == before


def test_an_interrupted_merge_is_made_anew(
    tmp_path: Path, halves: tuple[Path, Path], build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(copying, "commit_first", interrupt)
        with pytest.raises(KeyboardInterrupt):
            merge_archives(halves, tmp_path / "merged")
    with pytest.raises(StdSearchError, match="interrupted while being made; run the same command again"):
        open_archive(tmp_path / "merged")
    merge_archives(halves, tmp_path / "merged")
    build("fresh")
    assert sums(tmp_path / "merged", catalog=True) == sums(tmp_path / "fresh", catalog=True)
    assert files(tmp_path / "merged") == named(tmp_path / "merged")
