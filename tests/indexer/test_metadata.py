import json
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer.metadata import read_metadata
from stdsearch.errors import StdSearchError

RECORDINGS = ["a/1.wav", "a/2.wav", "b/1.wav", "b/007.flac"]


def columns(path: Path, text: str) -> dict[str, list[object]]:
    path.write_text(text)
    found: dict[str, list[object]] = read_metadata(path, RECORDINGS).columns.to_pydict()
    return found


@pytest.mark.parametrize("name", ["b/007.flac", "b/007", "007.flac", "007"])
@pytest.mark.parametrize("key", ["recording", "path", "file", "Path"])
def test_a_row_names_its_recording(tmp_path: Path, key: str, name: str) -> None:
    assert columns(tmp_path / "table.csv", f"{key},year\n{name},1960\n") == {"year": [None, None, None, 1960]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table.csv", "file;year;who\n2;1960;al\n"),
        ("table.tsv", "file\tyear\twho\n2\t1960\tal\n"),
        ("table.json", '[{"file": "2", "year": 1960, "who": "al"}]'),
        ("table.jsonl", '{"file": "2.wav", "year": 1960, "who": "al"}\n{"file": "007", "year": null}\n'),
    ],
)
def test_types_are_inferred_from_any_table(tmp_path: Path, name: str, text: str) -> None:
    assert columns(tmp_path / name, text) == {"year": [None, 1960, None, None], "who": [None, "al", None, None]}


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_names_that_look_like_times_or_numbers_are_names(tmp_path: Path, suffix: str) -> None:
    names = ["1962-03-01T10:00:00", "1962-03-02T10:00:00"]
    rows = [{"file": name, "when": "1962-03-01"} for name in names]
    text = json.dumps(rows) if suffix == "json" else "file,when\n" + "".join(f"{name},1962-03-01\n" for name in names)
    path = tmp_path / f"table.{suffix}"
    path.write_text(text)
    found = read_metadata(path, [f"{name}.wav" for name in names])
    assert found.unmatched == ()
    assert found.columns["when"].to_pylist() == [date(1962, 3, 1)] * 2


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"recording": ["2"], "year": pa.array([1960], pa.int16())}), path)
    assert read_metadata(path, RECORDINGS).columns.schema == pa.schema([("year", pa.int16())])


def test_text_that_an_old_writer_left_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"recording": [b"2"], "place": [b"Bern"]}), path)
    assert read_metadata(path, RECORDINGS).columns["place"].drop_null().to_pylist() == ["Bern"]


def test_a_kind_that_parquet_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT '2' AS file, INTERVAL 3 DAY AS gap) TO '{path}'")
    with pytest.raises(StdSearchError, match=r"has a column 'gap' of a kind that cannot be kept .* make it text"):
        read_metadata(path, RECORDINGS)


def test_a_whole_path_goes_before_a_base_name(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("file,year\nx.wav,1960\n")
    assert read_metadata(path, ["a/x.wav", "x.wav"]).columns.to_pydict() == {"year": [None, 1960]}


def test_rows_for_no_recording_are_told(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("file,year\nelsewhere.wav,1960\n2,1961\n")
    assert read_metadata(path, RECORDINGS).unmatched == ("elsewhere.wav",)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("t.csv", "name,year\n2,1960\n", "has no column recording, path or file .* its columns are name, year"),
        ("t.csv", "", "has no column recording"),
        ("t.csv", "file,year\n1,1960\n", "'1' is the name of 2 recordings; give their paths"),
        ("t.csv", "file,year\n2,1960\na/2.wav,1961\n", "has two rows for 'a/2.wav'"),
        ("t.csv", "file,year\nother,1960\n,1961\n", "no row names a recording, the first names 'other'"),
        ("t.csv", "file,Duration\n2,1960\n", "the catalog has a column 'Duration' of its own"),
        ("t.csv", 'file,"year\nof print"\n2,1960\n', r"has a column 'year\\nof print', which no condition could name"),
        ("t.csv", "file,..\n2,1960\n", "has a column '..', which no condition could name"),
        ("t.csv", "file,year\n2,1960\n007.flac,1,2,3\nc,d,e\n", "one column is 'file,year'; a table whose"),
        ("t.csv", b"file,year\n\xe4,1960\n", "CSV Error on Line: 2 .* not utf-8 .*; save it as UTF-8$"),
        ("t.csv", b"file,year\n%s\xe4,1960\n" % (b"a" * 300), "; save it as UTF-8$"),
        ("t.json", b'[{"file": "\xe4"}]', "; save it as UTF-8$"),
        ("t.json", "{{{", "is no table that DuckDB reads .*; mend it$"),
        ("t.parquet", "PAR1", "is no table that DuckDB reads"),
        ("t.xlsx", "", "metadata is read from .csv, .tsv"),
    ],
)
def test_a_table_that_does_not_serve_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str | bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StdSearchError, match=complaint) as caught:
        read_metadata(tmp_path / name, RECORDINGS)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="no such file"):
        read_metadata(tmp_path / "nowhere.csv", RECORDINGS)


def test_a_name_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "m[1].csv").write_text("file,year\n2,1111\n")
    (tmp_path / "m1.csv").write_text("file,year\n2,2222\n")
    assert read_metadata(tmp_path / "m[1].csv", RECORDINGS).columns["year"].to_pylist() == [None, 1111, None, None]


def test_what_comes_late_in_a_long_table_is_read_as_well(tmp_path: Path) -> None:
    """DuckDB guesses columns and types from 20,480 rows unless told otherwise."""
    rows = [f'{{"recording": "r{number}"}}' for number in range(21_000)]
    (tmp_path / "late.jsonl").write_text("\n".join([*rows, '{"recording": "a.wav", "year": 1962}']))
    assert read_metadata(tmp_path / "late.jsonl", ["a.wav"]).columns.to_pylist() == [{"year": 1962}]
    rows = [f"r{number}," for number in range(21_000)]
    (tmp_path / "late.csv").write_text("\n".join(["recording,year", *rows, "a.wav,1962"]))
    assert read_metadata(tmp_path / "late.csv", ["a.wav"]).columns.to_pylist() == [{"year": 1962}]


def test_moments_are_in_utc_wherever_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    (tmp_path / "t.csv").write_text("file,moment\n2,1962-05-04 10:00:00+02\n")
    (moment,) = read_metadata(tmp_path / "t.csv", RECORDINGS).columns["moment"].drop_null().unique()
    assert str(moment.type) == "timestamp[us, tz=UTC]"
    assert moment.as_py() == datetime(1962, 5, 4, 8, tzinfo=UTC)


def test_letters_may_be_put_together_otherwise_and_no_key_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("recording,year\ncaf\u00e9.wav,1962\n,5\n")
    found = read_metadata(tmp_path / "names.csv", ["cafe\u0301.wav", "None.wav"])
    assert found.columns.to_pylist() == [{"year": 1962}, {"year": None}]
