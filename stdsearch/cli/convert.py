"""`stdsearch convert`: hits from one format into another."""

import sys
from dataclasses import replace
from typing import TextIO

import click

from stdsearch.cli.options import Real
from stdsearch.cli.text import cell
from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.formats.hits import FORMATS, guess_format, read_hits, select, write_hits
from stdsearch.formats.kwlist import read_kwlist
from stdsearch.formats.names import numbers_by_name
from stdsearch.types import TermHits

SHOWN = 5  # recordings, where none is of the name given
READABLE = [name for name, entry in FORMATS.items() if entry.read]


@click.command(epilog=f"Formats: {', '.join(FORMATS)}. Read: {', '.join(READABLE)}.")
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--from", "source_format", type=click.Choice(READABLE), help="Format of INPUT [default: by name].")
@click.option("--to", "target_format", type=click.Choice(list(FORMATS)), help="Format of OUTPUT [default: by name].")
@click.option("--kwlist", metavar="FILE", help="KWList that tells the terms of a KWSList, which has their ids only.")
@click.option(
    "--recording", metavar="NAME",
    help="Hits in this recording only, by its path or base name; for labels, the recording they are of.",
)  # fmt: skip
@click.option("--decision", type=click.Choice(["yes", "all"]), default="all", show_default=True, help="Hits to keep.")
@click.option("--min-score", type=Real(), metavar="SCORE", help="Keep hits that score at least this.")
@click.option("--language", help="Language named in a KWSList [default: as in INPUT].")
@click.option("--system-id", help="System named in a KWSList [default: as in INPUT].")
def convert(
    source: str,
    target: str,
    source_format: str | None,
    target_format: str | None,
    kwlist: str | None,
    recording: str | None,
    decision: str,
    min_score: float | None,
    language: str | None,
    system_id: str | None,
) -> None:
    """Turn the hits in INPUT into another format, told by OUTPUT's extension or --to.

    INPUT may be - for the standard input, OUTPUT for the standard output. Label formats (audacity, textgrid, eaf, srt,
    vtt) hold one recording: for hits in several, give a directory (OUTPUT/) or choose one with --recording.
    """
    from rich.console import Console

    source_format = source_format or guess_format(source)
    target_format = target_format or guess_format(target)
    output: str | TextIO = sys.stdout if target == "-" else target
    with Console(stderr=True).status(f"Converting {cell(source)}"):
        results, header = read_hits(source, source_format, recording=recording)
        if recording is not None:
            recording = _meant(recording, results, source)
        results = select(results, recording=recording, min_score=min_score, accepted=decision == "yes")
        if kwlist is not None:
            results = _named(results, kwlist)
        if language is not None:
            header["language"] = language
        if system_id is not None:
            header["system_id"] = system_id
        write_hits(results, output, target_format, have_file_ids=FORMATS[source_format].file_ids, **header)


def _meant(name: str, results: list[TermHits], source: str) -> str:
    """The recording with hits that the name means: its path, or a base name that is its alone."""
    recordings = sorted({hit.recording for result in results for hit in result.hits})
    matches = numbers_by_name(recordings)(name)
    if len(matches) > 1:
        raise StdSearchError(f"{source}: {name!r} is the name of {len(matches)} recordings; give the path of one")
    if not matches:
        some = ", ".join(recordings[:SHOWN]) + (", ..." if len(recordings) > SHOWN else "")
        hint = f"it has hits in {in_a_line(some)}" if some else "nor in any other"
        raise StdSearchError(f"{source}: has no hit in the recording {name!r}; {hint}")
    return recordings[matches[0]]


def _named(results: list[TermHits], kwlist: str) -> list[TermHits]:
    """The results with the terms that the KWList tells."""
    texts = {term.kwid: term.text for term in read_kwlist(kwlist).terms}
    if unknown := [result.kwid for result in results if result.kwid not in texts]:
        raise StdSearchError(f"{kwlist}: has no term {unknown[0]!r}; give the KWList that was searched")
    return [replace(result, term=texts[result.kwid]) for result in results]
