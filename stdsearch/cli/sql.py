"""`stdsearch sql`: an archive's recordings and segments asked about in SQL."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.cli.text import cell, field
from stdsearch.errors import StdSearchError

if TYPE_CHECKING:
    from stdsearch.archive.sql import Answer


@click.command()
@click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.argument("statement", metavar='"SELECT ..."')
@click.option("--json", "as_json", is_flag=True, help="A JSON list of one object for each row.")
def sql(archive: Path, statement: str, as_json: bool) -> None:
    """Ask about ARCHIVE in one SELECT of DuckDB's SQL, over the views recordings and segments.

    recordings has path, source, sha256, bytes, duration, channels, sample_rate and the columns of --metadata; segments
    has segment_id, recording_id, channel, tbeg and dur. "DESCRIBE recordings" lists all columns. Nothing can be
    changed, and no other file is seen. A table on a terminal, tab-separated lines in a pipe.
    """
    from stdsearch.archive import open_archive
    from stdsearch.archive.sql import select

    answer = select(open_archive(archive), statement)
    if as_json:
        _print_json(answer)
    elif sys.stdout.isatty():
        _print_table(answer)
    else:
        click.echo("\t".join(map(field, answer.columns)))
        for row in answer.rows:
            click.echo("\t".join(map(field, row)))


def _print_json(answer: "Answer") -> None:
    names = answer.columns
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise StdSearchError(f"two columns are called {twice!r}, which JSON cannot tell apart; rename one with AS")
    click.echo("[" + ",\n ".join(_objects(answer)) + "]")


def _objects(answer: "Answer") -> Iterator[str]:
    from stdsearch.formats.values import plain

    for row in answer.rows:
        values = {name: plain(value) for name, value in zip(answer.columns, row, strict=True)}
        yield json.dumps(values, ensure_ascii=False)


def _print_table(answer: "Answer") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in answer.columns:
        table.add_column(cell(name), overflow="fold")
    for row in answer.rows:
        table.add_row(*map(cell, row))
    Console().print(table)
