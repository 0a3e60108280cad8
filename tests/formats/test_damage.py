"""Damaged files: whatever a file holds, a reader returns or refuses it in one line; it never fails otherwise."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.ecf import read_ecf
from stdsearch.formats.hits import FORMATS, read_hits, write_hits
from stdsearch.formats.kwlist import read_kwlist
from stdsearch.formats.rttm import read_rttm
from stdsearch.types import Hit, TermHits

HITS = (Hit("talk", 1, 1.5, 0.5, 0.75, True), Hit("talk", 1, 2.5, 0.5, -0.25, False))
ECF = b"""<ecf source_signal_duration="9.5" language="english" version="1">
<excerpt audio_filename="a.sph" channel="1" tbeg="0.000" dur="9.5" source_type="bnews"/></ecf>"""
KWLIST = b"""<kwlist ecf_filename="e" version="1" language="l" encoding="UTF-8" compareNormalize="lowercase">
<kw kwid="1"><kwtext>a b</kwtext><kwinfo><attr><name>n</name><value>v</value></attr></kwinfo></kw></kwlist>"""
RTTM = b"LEXEME talk 1 0.5 0.25 yes lex Ann 0.5\nSPEAKER talk 1 0 9 <NA> <NA> Ann <NA> ;; end\n"
READABLE = [name for name, entry in FORMATS.items() if entry.read]


def sound_file(name: str, path: Path) -> bytes:
    write_hits([TermHits("1", "ski", HITS, 0.5)], path, name)
    return path.read_bytes()


def hits_reader(name: str) -> Callable[[Path], object]:
    return lambda path: read_hits(path, name, recording="talk")


@pytest.fixture(
    params=[(read_ecf, ECF), (read_kwlist, KWLIST), (read_rttm, RTTM), *READABLE],
    ids=["ecf", "kwlist", "rttm", *READABLE],
)
def reader_and_file(request, tmp_path):
    """A reader and the bytes of a file it reads."""
    if isinstance(request.param, str):
        return hits_reader(request.param), sound_file(request.param, tmp_path / "sound")
    return request.param


def read_or_refuse(reader, path, content):
    path.write_bytes(content)
    try:
        reader(path)
    except StdSearchError as refusal:
        message = str(refusal)
        if not message.startswith(str(path)) or len(message.splitlines()) != 1:
            raise AssertionError(f"not one line that starts with the file: {message!r}") from refusal


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_few_bytes_changed(reader_and_file, tmp_path, data):
    reader, content = reader_and_file
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    read_or_refuse(reader, tmp_path / "damaged", bytes(damaged))


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\0", b"\xff\xfe", b"\x1f\x8b", b"\x1f\x8b\x08\0garbage", b"[]", b"{}"]
)
def test_something_else(reader_and_file, tmp_path, content):
    read_or_refuse(reader_and_file[0], tmp_path / "other", content)


def test_cut_short_anywhere(reader_and_file, tmp_path):
    reader, content = reader_and_file
    for length in range(0, len(content), 1 + len(content) // 40):
        read_or_refuse(reader, tmp_path / "cut", content[:length])
