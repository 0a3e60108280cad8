import fcntl
import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from indexer.removal import remove_recordings
from stdsearch.archive import open_archive
from stdsearch.archive.sql import select
from stdsearch.cli.sql import sql
from stdsearch.errors import StdSearchError
from stdsearch.search import Archive


def ask(archive: Path, statement: str, *options: str) -> Result:
    return CliRunner().invoke(sql, [str(archive), statement, *options])


@pytest.fixture
def path(archive_folder: Path) -> Path:
    return archive_folder / "archive"


def test_recordings_with_the_users_columns_as_tsv(path: Path) -> None:
    result = ask(path, "SELECT path, channels, year FROM recordings WHERE year >= 1970 ORDER BY path")
    assert result.exit_code == 0
    assert result.stdout == "path\tchannels\tyear\nshort.wav\t1\t1970\ntwo.wav\t2\t1980\n"


def test_segments_are_those_of_the_archive(path: Path, archive: Archive) -> None:
    answer = select(archive.reader, "SELECT segment_id, recording_id, channel, tbeg, dur FROM segments ORDER BY 1")
    assert answer.columns == ("segment_id", "recording_id", "channel", "tbeg", "dur")
    rows = list(answer.rows)
    assert [row[0] for row in rows] == archive.reader.segment_ids.tolist()
    at = archive.reader.segments(archive.reader.segment_ids)
    columns = (at.recording_id, at.channel, at.tbeg, at.dur)
    assert [row[1:] for row in rows] == list(zip(*(column.tolist() for column in columns), strict=True))


def test_the_archive_is_held_until_the_last_row(path: Path, tmp_path: Path) -> None:
    """As by the command, which keeps only the answer; until then no writer removes its files."""
    path = Path(shutil.copytree(path, tmp_path / "archive"))
    answer = select(open_archive(path), "SELECT segment_id FROM segments")
    assert is_held(path)
    first = next(answer.rows)
    assert is_held(path)
    assert first not in list(answer.rows)
    assert not is_held(path)


def is_held(path: Path) -> bool:
    with (path / "archive.json").open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_json_is_a_list_of_objects(path: Path) -> None:
    statement = """
        SELECT path, count(*) AS n, NULL AS nothing, 'NaN'::FLOAT AS nan, [1, 2] AS list, DATE '2020-01-01' AS day,
            '2020-01-01 00:00:00+00'::TIMESTAMPTZ AS time
        FROM segments JOIN recordings USING (recording_id) GROUP BY path ORDER BY path LIMIT 2
    """
    rows = json.loads(ask(path, statement, "--json").stdout)
    assert [row.pop("path") for row in rows] == ["news/long.wav", "odd.wav"]
    assert rows[0].pop("n") > rows[1].pop("n") > 0
    assert datetime.fromisoformat(rows[0].pop("time")) == datetime.fromisoformat(rows[1].pop("time"))
    assert rows == 2 * [{"nothing": None, "nan": None, "list": [1, 2], "day": "2020-01-01"}]
    assert ask(path, "FROM recordings WHERE false", "--json").stdout == "[]\n"


def test_columns_of_one_name_are_told_apart_in_json(path: Path) -> None:
    result = ask(path, "SELECT 1 AS a, 2 AS a", "--json")
    assert isinstance(result.exception, StdSearchError)
    assert "two columns are called 'a'" in str(result.exception)


def test_a_table_on_a_terminal(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert sql.callback is not None
    sql.callback(path, "SELECT path, '[b]' AS markup, NULL AS nothing FROM recordings ORDER BY path", as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in lines[1].strip("┃").split("┃")] == ["path", "markup", "nothing"]
    assert "news/long.wav │ [b]" in lines[3]


def test_removed_recordings_have_no_segments(path: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(path, tmp_path / "archive")
    remove_recordings(tmp_path / "archive", ["odd.wav"])
    statement = "SELECT DISTINCT recording_id FROM segments ORDER BY 1"
    assert ask(tmp_path / "archive", statement).stdout.split() == ["recording_id", "0", "2", "3"]
    remove_recordings(tmp_path / "archive", ["long", "short", "two"])
    assert ask(tmp_path / "archive", "SELECT count(*) AS n FROM segments").stdout == "n\n0\n"


def test_what_else_is_a_question(path: Path) -> None:
    assert ask(path, "SHOW TABLES").stdout.split() == ["name", "recordings", "segments"]
    counts = ask(path, "PIVOT (SELECT channels FROM recordings) ON channels USING count(*)", "--json")
    assert sum(json.loads(counts.stdout)[0].values()) == 4
    assert "physical_plan" in ask(path, "EXPLAIN SELECT path FROM recordings").stdout


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("", "is empty"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELEKT 1", "syntax error"),
        ("SELECT yeer FROM recordings", "there is no column 'yeer'; the views are recordings and segments"),
        ("SELECT * FROM others", "others does not exist.*; the views are"),
        ("DROP TABLE recordings", "is no SELECT"),
        ("UPDATE recordings SET year = 1", "is no SELECT"),
        ("SET enable_external_access = true", "is no SELECT"),
        ("COPY recordings TO '/tmp/stolen.csv'", "is no SELECT"),
        ("ATTACH '/tmp/other.db'", "is no SELECT"),
        ("INSTALL httpfs", "is no SELECT"),
        ("EXPLAIN ANALYZE COPY recordings TO '/tmp/stolen.csv'", "disabled"),
        ("SELECT * FROM read_text('/etc/hostname')", "disabled"),
        ("SELECT * FROM '/etc/hostname'", "the views are|disabled"),
        ("SELECT * FROM statement", "statement does not exist"),
        ("SELECT error('no')", "no"),
        ("SELECT path::INTEGER FROM recordings", "Conversion Error"),
    ],
)
def test_what_is_no_question_is_refused_in_one_line(path: Path, statement: str, complaint: str) -> None:
    with pytest.raises(StdSearchError, match=complaint) as caught:
        list(select(open_archive(path), statement).rows)
    assert "\n" not in str(caught.value)


def test_damaged_segments_are_told(path: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(path, tmp_path / "archive")
    shard = tmp_path / "archive" / "segments" / "00000.parquet"
    shard.write_bytes(b"x" * shard.stat().st_size)
    result = ask(tmp_path / "archive", "SELECT count(*) FROM segments")
    assert isinstance(result.exception, StdSearchError)
    assert "\n" not in str(result.exception)


def test_decimals_are_numbers_in_json(path: Path) -> None:
    assert json.loads(ask(path, "SELECT 1.5 AS x", "--json").stdout) == [{"x": 1.5}]
