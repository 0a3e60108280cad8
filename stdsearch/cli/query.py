"""`stdsearch query`: where terms are said in an archive."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.cli.clips import CONTEXT, cut_clips
from stdsearch.cli.options import Real
from stdsearch.cli.text import cell, clock, field
from stdsearch.errors import StdSearchError
from stdsearch.types import TermHits

if TYPE_CHECKING:
    from stdsearch.archive import ArchiveReader
    from stdsearch.formats.tables import Facts
    from stdsearch.search import Request

NORMALISATIONS = ("kst", "sto")  # of stdsearch.calibrate.normalise
FORMATS = ("table", "json", "csv", "kwslist")
SHOWN = 20  # hits for each term, where people read them
LEAST_SHOWN = 0.01  # probability of a hit on a terminal: of a rare term, most of 20 are less probable
SOME_FAILED = 3  # exit code

_file = click.Path(path_type=Path)


@click.command()
@click.argument("archive", type=_file)
@click.argument("terms", metavar="[TERM]...", nargs=-1)
@click.option(
    "--audio", "audios", multiple=True, metavar="FILE[@TBEG-TEND][@CHANNEL]",
    help="A spoken example of the term, or where in a recording one is: seconds or h:mm:ss, and the channel [default: "
    "the loudest there]. Repeat it for several examples.",
)  # fmt: skip
@click.option("--kwlist", type=_file, help="Search for every term of a KWList, or of text with a term a line.")
@click.option(
    "--examples", type=_file, help="Spoken examples of many terms: TSV with kwid, audio, tbeg, dur[, channel]."
)
@click.option("--lexicon", type=_file, help="Your own pronunciations, one `word PH PH PH` a line.")
@click.option("--verify", is_flag=True, help="Let the verifier that ships have a last look at every candidate.")
@click.option("--verifier", type=_file, metavar="FILE", help="The same by another verifier.")
@click.option(
    "--where",
    metavar="SQL",
    help='Search only in recordings for which this holds, as in "year < 1970". Scores move a little, for a place is '
    "weighed against the others of its term.",
)
@click.option("--channel", type=click.IntRange(min=1), help="Search only in this channel of recordings [default: all].")
@click.option(
    "--column", "columns", multiple=True, metavar="NAME",
    help="Show beside each hit what this column of the catalog says of its recording, as those of --metadata do. "
    "Repeat it for several columns.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help=f"Hits for each term [default: {SHOWN}; all in a KWSList].")
@click.option(
    "--depth", type=click.IntRange(min=1), metavar="N",
    help="Places of each term that are heard closely: more take longer and find more of a frequent term [default: "
    "30 for each hour, from 150 to 3000; fewer where --limit wants few hits, which moves scores a little].",
)  # fmt: skip
@click.option(
    "--threshold", type=Real(0, 1), help=f"Leave out hits that score less [default: 0; on a terminal {LEAST_SHOWN}]."
)
@click.option(
    "--beta", type=Real(min=0),
    help="What false alarms cost, by which YES is said: the β of NIST's term-weighted value [default: 999.9].",
)  # fmt: skip
@click.option(
    "--normalise", "normalisation", type=click.Choice(NORMALISATIONS),
    help="Scores that compare between terms, not probabilities: kst puts every term's threshold at 0.5, sto makes a "
    "term's scores sum to one.",
)  # fmt: skip
@click.option("--format", "format_", type=click.Choice(FORMATS), help="[default: by --output's name, else table]")
@click.option("--output", type=_file, help="Write the hits here instead of to the standard output, -.")
@click.option("--clips", type=_file, metavar="DIR", help="Cut each hit out, with context, as a WAV file in DIR.")
@click.option(
    "--context", type=Real(min=0), default=CONTEXT, show_default=True, metavar="SECONDS",
    help="How much of a recording goes into a clip before its hit, and behind.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
def query(
    archive: Path,
    terms: tuple[str, ...],
    audios: tuple[str, ...],
    kwlist: Path | None,
    examples: Path | None,
    lexicon: Path | None,
    verify: bool,
    verifier: Path | None,
    where: str | None,
    channel: int | None,
    columns: tuple[str, ...],
    limit: int | None,
    depth: int | None,
    threshold: float | None,
    beta: float | None,
    normalisation: str | None,
    format_: str | None,
    output: Path | None,
    clips: Path | None,
    context: float,
    threads: int | None,
) -> None:
    """Find where each TERM is said in ARCHIVE.

    A TERM is a word, a phrase in quotes, or phones as in "/S T AA R/". With --audio, the term is known from how it
    sounds; TERM and --audio together are two kinds of evidence for one term.

    A term of a list that cannot be searched for is reported and gets no hits, and hits whose recordings are gone get no
    clips; exit code 3 says that there were such.
    """
    from stdsearch.cli.progress import bars
    from stdsearch.formats.hits import Header, check_file_ids, file_id, guess_format, write_hits
    from stdsearch.formats.tables import Facts

    output = None if output == Path("-") else output
    format_ = format_ or (guess_format(output) if output else "table")
    if format_ not in FORMATS:
        raise click.UsageError(f"{output}: query writes {', '.join(FORMATS)}; `stdsearch convert` makes the others")
    if format_ == "table" and output:
        raise click.UsageError("a table is for the screen; name a --format for the --output")
    if columns and format_ == "kwslist":
        raise click.UsageError("a KWSList holds no --column; write csv or json")
    requests, kwlist_name, language = _requests(terms, audios, kwlist, examples)
    if limit is None and format_ != "kwslist":
        limit = SHOWN
    _check_writable(output, clips)
    failed: list[str] = []

    def report(request: "Request", error: StdSearchError) -> None:
        failed.append(request.kwid)
        click.echo(f"stdsearch: {request.kwid}: {error} (no hits)", err=True)

    with bars() as progress:
        waiting = progress.add_task("Opening the archive", total=None)
        from stdsearch.calibrate import BETA
        from stdsearch.search import Archive
        from stdsearch.threads import available_cores, set_threads

        judge = None
        if verify or verifier:
            from stdsearch.verifier import load_verifier  # with torch, which takes a second and more

            judge = load_verifier(verifier)
        set_threads(threads or available_cores())
        opened = Archive.open(archive, lexicon=lexicon, verifier=judge)
        columns = tuple(dict.fromkeys(columns))
        _check_columns(opened.reader, columns)
        if format_ == "kwslist":  # before a long search whose hits it could not tell apart
            searched = opened.reader.paths(opened.among(where, channel))
            check_file_ids({name: file_id(name) for name in searched})
        progress.update(waiting, description="Searching", total=len(requests))
        on_error = report if kwlist or examples else None
        found = opened.search_all(
            requests,
            where=where,
            channel=channel,
            limit=limit,
            depth=depth,
            threshold=threshold or 0.0,
            beta=BETA if beta is None else beta,
            normalisation=normalisation,
            on_error=on_error,
        )
        results = list(progress.track(found, task_id=waiting))

    heard_in = {hit.recording for result in results for hit in result.hits}
    facts = Facts(columns, opened.reader.values(sorted(heard_in), columns) if columns else {})
    if format_ == "table":
        least_shown = LEAST_SHOWN if threshold is None and normalisation is None else 0.0
        _print_table(results, least_shown, " ".join(audios), facts)
    elif format_ == "kwslist":
        header = Header(kwlist_filename=kwlist_name, language=language, system_id="stdsearch")
        write_hits(results, output or sys.stdout, format_, **header)
    else:
        write_hits(results, output or sys.stdout, format_, facts=facts)
    if clips:
        recordings = {recording.path: recording for recording in opened.reader.recordings.values()}
        with bars() as progress:
            failed += cut_clips(
                recordings, progress.track(results, description="Cutting clips"), clips, context=context
            )
    kind = ([] if where is None else [f"where {where!r}"]) + ([] if channel is None else [f"channel {channel}"])
    if kind and not heard_in and not len(opened.among(where, channel)):
        click.echo(f"stdsearch: {', '.join(kind)}: no recording is of that kind", err=True)
    if failed:
        click.get_current_context().exit(SOME_FAILED)


def _check_writable(output: Path | None, clips: Path | None) -> None:
    """Raise StdSearchError before a long search if what it finds could not be written; makes the folder of clips."""
    if output and (output.is_dir() or not os.access(output if output.exists() else output.parent, os.W_OK)):
        raise StdSearchError(f"{output}: cannot be written; choose a folder that exists and is yours to write")
    if clips:
        try:
            clips.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StdSearchError(f"{clips}: cannot be made ({error.strerror}); name another --clips") from None


def _check_columns(reader: "ArchiveReader", columns: Sequence[str]) -> None:
    """Raise StdSearchError before a long search for a column that is not there, or is called as one of a hit's own."""
    from stdsearch.formats.tables import COLUMNS

    if taken := [name for name in columns if name.lower() in COLUMNS]:
        raise StdSearchError(f"--column {taken[0]}: hits have a column of that name; call yours something else")
    if columns:
        reader.values((), columns)


def _requests(
    terms: Sequence[str], audios: Sequence[str], kwlist: Path | None, examples: Path | None
) -> tuple[list["Request"], str, str]:
    """What is asked for, the name of the KWList, and its language."""
    from stdsearch.archive.manifest import FILE_NAME
    from stdsearch.formats.examples import read_examples
    from stdsearch.formats.kwlist import read_kwlist
    from stdsearch.search import Request
    from stdsearch.types import Spoken

    if (kwlist or examples) and (terms or audios):
        raise click.UsageError("give either TERM and --audio, or --kwlist and --examples")
    for term in terms:
        if os.path.isfile(os.path.join(term, FILE_NAME)):
            raise click.UsageError(f"{term}: one ARCHIVE at a time; merge them, or query each")
    if audios:
        if len(terms) > 1:
            raise click.UsageError("--audio is of one term: give one TERM with it, or none")
        spoken = tuple(Spoken.parse(audio) for audio in audios)
        return [Request("KW-1", terms[0] if terms else "", spoken)], "", "english"
    if terms:
        return [Request(f"KW-{i}", term) for i, term in enumerate(terms, start=1)], "", "english"
    if not kwlist and not examples:
        raise click.UsageError("nothing to search for: give a TERM, --audio, --kwlist or --examples")
    listed = read_kwlist(kwlist) if kwlist else None
    texts = {term.kwid: term.text for term in listed.terms} if listed else {}
    spoken_of = read_examples(examples) if examples else {}
    if listed and (unknown := spoken_of.keys() - texts.keys()):
        raise StdSearchError(f"{examples}: {min(unknown)} is no kwid of {kwlist}; give the KWList it belongs to")
    requests = [Request(kwid, texts.get(kwid, ""), spoken_of.get(kwid, ())) for kwid in texts or spoken_of]
    return requests, str(kwlist or ""), (listed and listed.language) or "english"


def _print_table(results: Sequence[TermHits], least_shown: float, heard: str, facts: "Facts") -> None:
    """A table for a terminal, where NO of less than a score only counts; tab-separated lines of all hits for a pipe.

    heard: what the user played, which names a term without text on the terminal.
    """
    from rich.console import Console
    from rich.table import Table

    from stdsearch.formats.tables import COLUMNS

    if not sys.stdout.isatty():
        click.echo("\t".join(map(field, (*COLUMNS, *facts.names))))
        for row in _rows(results, facts):
            click.echo("\t".join(map(field, row)))
        return
    console = Console()
    n_left_out = 0
    for result in results:
        heading = cell(result.term or heard or result.kwid)
        shown = [hit for hit in result.hits if hit.decision or hit.score >= least_shown]
        n_left_out += len(result.hits) - len(shown)
        if not shown:
            console.print(f"[bold]{heading}[/bold]: no hit")
            continue
        table = Table(title=f"{heading} [dim]({1000 * result.search_seconds:.0f} ms)[/dim]", title_justify="left")
        for name, justify in (("recording", "left"), ("ch", "right"), ("from", "right"), ("to", "right"),
                              ("score", "right"), ("", "left")):  # fmt: skip
            table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for name in facts.names:
            table.add_column(cell(name), overflow="fold")
        for hit in shown:
            style = "bold" if hit.decision else "dim"
            begin, end = clock(hit.tbeg), clock(hit.tbeg + hit.dur)
            decision = "YES" if hit.decision else ""
            cells = (cell(hit.recording), str(hit.channel), begin, end, f"{hit.score:.3f}", decision)
            table.add_row(*cells, *map(cell, facts.of_hit(hit)), style=style)
        console.print(table)
    if n_left_out:
        console.print(f"[dim]{n_left_out} less probable left out; --threshold 0 shows all[/dim]", highlight=False)


def _rows(results: Sequence[TermHits], facts: "Facts") -> Iterator[list[object]]:
    from stdsearch.formats.values import decimal

    for result in results:
        for hit in result.hits:
            decision = "YES" if hit.decision else "NO"
            times = [str(hit.channel), f"{hit.tbeg:.3f}", f"{hit.dur:.3f}", decimal(hit.score), decision]
            yield [result.kwid, result.term, hit.recording, *times, *facts.of_hit(hit)]
