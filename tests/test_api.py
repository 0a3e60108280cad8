"""What `import stdsearch` gives, as a notebook finds it."""

import subprocess
import sys

import stdsearch
from stdsearch.search import Archive


def test_all_names_are_listed_before_any_is_asked_for() -> None:
    program = "import stdsearch, sys; print(dir(stdsearch) == sorted(stdsearch.__all__), 'torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "True False\n"
    assert {"Archive", "Spoken"} <= set(stdsearch.__all__)


def test_every_name_is_there() -> None:
    assert all(getattr(stdsearch, name) for name in stdsearch.__all__)
    assert stdsearch.Archive is Archive


def test_an_archive_shows_what_it_holds(archive: Archive) -> None:
    counts = archive.reader.manifest.counts
    shown = f"<Archive '{archive.reader.path}': {counts.seconds / 3600:.2f} hours, {counts.recordings} recordings>"
    assert repr(archive) == shown
    assert f" {len(archive.reader.recordings)} recordings" in shown
