import io

import pytest

from stdsearch.errors import StdSearchError
from stdsearch.formats.hits import FORMATS, file_id, guess_format, read_hits, select, write_hits
from stdsearch.types import Hit, TermHits

YES = Hit("tapes/a.2.wav", 1, 1.0, 0.5, 0.9, True)
NO = Hit("tapes/b.wav", 2, 3.0, 0.5, 0.1, False)
RESULTS = [TermHits("KW-1", "salt lake", (YES, NO), 0.25), TermHits("KW-2", "ski", ())]


def test_a_kwslist_names_recordings_by_file_id_and_keeps_its_header(tmp_path):
    path = tmp_path / "hits.xml"
    write_hits(RESULTS, path, "kwslist", kwlist_filename="k.xml", language="english", system_id="s", max_score=1.0)
    results, header = read_hits(path, "kwslist")
    assert [(r.kwid, r.term, r.search_seconds) for r in results] == [("KW-1", "", 0.25), ("KW-2", "", 0.0)]
    assert [(hit.recording, hit.channel) for hit in results[0].hits] == [("a.2", 1), ("b", 2)]
    assert header == {
        "kwlist_filename": "k.xml",
        "language": "english",
        "system_id": "s",
        "min_score": None,
        "max_score": 1.0,
    }


@pytest.mark.parametrize("name", ["kwslist", "stdlist"])
def test_file_ids_stay_as_they_are(tmp_path, name):
    results, header = [TermHits("1", "", (Hit("talk.2019", 1, 0.0, 1.0, 0.5, True),))], {"language": "welsh"}
    write_hits(results, tmp_path / "hits.xml", name, have_file_ids=True, **header)
    assert read_hits(tmp_path / "hits.xml", name)[0] == results


@pytest.mark.parametrize("name", ["kwslist", "rttm", "ctm"])
def test_two_recordings_must_not_become_one(name):
    results = [TermHits("1", "x", (Hit("one/a.wav", 1, 0.0, 1.0, 0.5, True), Hit("two/a.wav", 1, 0.0, 1.0, 0.5, True)))]
    with pytest.raises(StdSearchError, match=r"'one/a\.wav' and 'two/a\.wav': both have the file id 'a'"):
        write_hits(results, io.StringIO(), name)


@pytest.mark.parametrize("name", [name for name, entry in FORMATS.items() if entry.one_recording])
def test_labels_of_several_recordings_need_a_directory(tmp_path, name):
    with pytest.raises(StdSearchError, match="the hits lie in 2 recordings"):
        write_hits(RESULTS, tmp_path / "labels", name)
    with pytest.raises(StdSearchError, match="the hits lie in 2 recordings"):
        write_hits(RESULTS, io.StringIO(), name)
    write_hits(RESULTS, f"{tmp_path}/labels/", name)
    suffix = FORMATS[name].suffixes[0]
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {f"a.2{suffix}", f"b{suffix}"}
    assert "salt lake 0.900" in (tmp_path / "labels" / f"a.2{suffix}").read_text()
    assert "0.900" not in (tmp_path / "labels" / f"b{suffix}").read_text()


def test_two_file_ids_must_not_become_one_file(tmp_path):
    results = [TermHits("1", "x", (Hit("one/a", 1, 0.0, 1.0, 0.5, True), Hit("two/a", 1, 0.0, 1.0, 0.5, True)))]
    with pytest.raises(StdSearchError, match="'one/a' and 'two/a': both have the file id 'a'"):
        write_hits(results, f"{tmp_path}/labels/", "textgrid", have_file_ids=True)


def test_text_that_is_none_is_told_in_a_stream_too():
    results = [TermHits("\ud800", "x", (Hit("a", 1, 0.0, 1.0, 0.5, True),))]
    with pytest.raises(StdSearchError, match="not valid Unicode text"):
        write_hits(results, io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), "csv")


def test_a_recording_cannot_name_a_file_outside_the_directory(tmp_path):
    (tmp_path / "labels").mkdir()
    results = [TermHits("1", "x", (Hit("../../a", 1, 0.0, 1.0, 0.5, True),))]
    write_hits(results, tmp_path / "labels", "srt", have_file_ids=True)
    assert [path.name for path in tmp_path.rglob("*.srt")] == ["a.srt"]
    assert (tmp_path / "labels" / "a.srt").exists()


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_writes_no_hits_and_one_hit_to_a_stream(name):
    for results in ([], [TermHits("1", "ski", (YES,))]):
        buffer = io.BytesIO()
        stream = io.TextIOWrapper(buffer, encoding="utf-8")
        write_hits(results, stream, name)
        stream.flush()
        assert buffer.getvalue() or not results


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.xml", "kwslist"),
        ("a.xml.gz", "kwslist"),
        ("a.TEXTGRID", "textgrid"),
        ("a.ndjson", "jsonl"),
        ("a.txt", "audacity"),
    ],
)
def test_the_name_tells_the_format(path, name):
    assert guess_format(path) == name


@pytest.mark.parametrize("path", ["hits", "-", "a.doc", ".xml"])
def test_a_name_that_does_not_tell(path):
    with pytest.raises(StdSearchError, match="the name does not tell the format"):
        guess_format(path)


def test_written_only():
    with pytest.raises(StdSearchError, match=r"a\.srt: srt is written, not read; hits are read from kwslist"):
        read_hits("a.srt", "srt")


def test_select():
    assert select(RESULTS) == RESULTS
    assert select(RESULTS, accepted=True)[0].hits == (YES,)
    assert select(RESULTS, min_score=0.1)[0].hits == (YES, NO)
    assert select(RESULTS, min_score=0.2)[0].hits == (YES,)
    assert select(RESULTS, recording="tapes/b.wav")[0].hits == (NO,)
    assert [result.kwid for result in select(RESULTS, recording="none")] == ["KW-1", "KW-2"]


@pytest.mark.parametrize(
    ("recording", "expected"),
    [("a.wav", "a"), ("d.e/a", "a"), ("/d/a.b.wav", "a.b"), (".wav", ".wav"), ("a", "a")],
)
def test_file_id(recording, expected):
    assert file_id(recording) == expected


@pytest.mark.parametrize("name", ["hits.xml", "hits.xml.gz"])
def test_a_file_that_was_there_stays_if_hits_cannot_be_written(tmp_path, name):
    (tmp_path / name).write_text("precious")
    hits = (Hit("a", 1, 0.0, 1.0, 0.5, True),)
    with pytest.raises(StdSearchError):
        write_hits([TermHits("1", "ski", hits), TermHits("2\x01", "sky", hits)], tmp_path / name, "kwslist")
    assert (tmp_path / name).read_text() == "precious"
