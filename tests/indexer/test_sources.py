import os
from pathlib import Path

import pytest

from indexer.sources import find_sources
from stdsearch.errors import StdSearchError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("one/b.wav", "one/a/z.FLAC", "one/a/notes.txt", "one/.hidden/c.wav", "two/b.wav", "two/c.mp3"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def names(*roots: Path) -> list[str]:
    return [source.path for source in find_sources(roots)]


def test_audio_below_a_folder_is_found_sorted(tree: Path) -> None:
    assert names(tree / "one") == ["a/z.FLAC", "b.wav"]
    assert names(tree) == ["one/a/z.FLAC", "one/b.wav", "two/b.wav", "two/c.mp3"]


def test_a_source_knows_its_file(tree: Path) -> None:
    _, source = find_sources([tree / "one"])
    assert source.file == tree / "one" / "b.wav"
    assert source.bytes == len("one/b.wav")
    assert source.mtime_ns == source.file.stat().st_mtime_ns


def test_a_file_named_itself_is_taken_whatever_it_is_called(tree: Path) -> None:
    assert names(tree / "one" / "a" / "notes.txt") == ["notes.txt"]


def test_a_folder_that_holds_nothing_is_refused_where_each_must_hold_some(tree: Path) -> None:
    (tree / "unmounted").mkdir()
    assert len(find_sources([tree / "one", tree / "unmounted"])) == 2
    with pytest.raises(StdSearchError, match=r"unmounted: no audio files, .* mount it, or leave it out"):
        find_sources([tree / "one", tree / "unmounted"], each=True)


def test_the_same_path_twice_counts_once(tree: Path) -> None:
    assert names(tree / "one", tree / "one", tree / "one" / "." / "b.wav") == ["a/z.FLAC", "b.wav"]


def test_names_that_clash_get_their_folder_in_front(tree: Path) -> None:
    assert names(tree / "one", tree / "two") == ["a/z.FLAC", "c.mp3", "one/b.wav", "two/b.wav"]
    assert names(tree / "one" / "b.wav", tree / "two" / "b.wav") == ["one/b.wav", "two/b.wav"]


def test_names_that_clash_still_are_refused(tree: Path) -> None:
    other = tree / "more" / "one" / "b.wav"
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(StdSearchError, match=r"one/b\.wav: is the name of two recordings"):
        names(tree / "one", tree / "more" / "one")


def test_links_are_followed_but_not_in_circles(tree: Path) -> None:
    (tree / "two" / "linked").symlink_to(tree / "one" / "a")
    (tree / "one" / "a" / "back").symlink_to(tree / "one")
    assert names(tree / "two") == ["b.wav", "c.mp3", "linked/back/b.wav", "linked/z.FLAC"]
    assert names(tree / "one") == ["a/z.FLAC", "b.wav"]


def test_nothing_to_index_is_an_error(tree: Path) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(StdSearchError, match="empty: no audio files"):
        names(tree / "empty")
    with pytest.raises(StdSearchError, match="nowhere: no such file or folder"):
        names(tree / "nowhere")


def test_a_folder_that_cannot_be_listed_does_not_look_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an update would take its recordings for gone."""
    for name in ("a/1.wav", "b/2.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    listed = os.scandir

    def scandir(folder: str) -> object:
        if str(folder).endswith("b"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(StdSearchError, match=r"b: cannot be listed \(Permission denied\)"):
        find_sources([tmp_path])
