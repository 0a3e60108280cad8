"""`stdsearch spot`: keywords in files, or in audio as it comes."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.cli.options import Real
from stdsearch.cli.text import clock, field
from stdsearch.errors import StdSearchError, is_utf8

if TYPE_CHECKING:
    from stdsearch.encoder import Encoder
    from stdsearch.spotter import Detection, Spotter
    from stdsearch.types import Spoken
    from stdsearch.verifier import Verifier

STREAM = "-"
FILE_HOP = 20.0  # seconds of a file looked at together
BLOCK_SECONDS = 10.0  # decoded at a time
SOME_FAILED = 3  # exit code

_file = click.Path(path_type=Path)
Report = Callable[[str, int, "Detection"], None]  # source, channel, what is said there


@click.command()
@click.argument("arguments", metavar="KEYWORD... AUDIO...", nargs=-1)
@click.option(
    "--example", "examples", multiple=True, metavar="KEYWORD=FILE[@TBEG-TEND][@CHANNEL]",
    help="How a KEYWORD sounds; of a name that is no KEYWORD, all that is known of it. Times are seconds or h:mm:ss; "
    "without a CHANNEL it is the loudest there. Repeatable.",
)  # fmt: skip
@click.option("--kwlist", type=_file, help="The keywords: the terms of a KWList, or of text with a term a line.")
@click.option("--threshold", type=Real(0, 1), help="Leave out what is less probable [default: 0.3].")
@click.option(
    "--format", "format_", type=click.Choice(["table", "json", "csv"]), help="[default: table; json in a pipe]"
)
@click.option("--lexicon", type=_file, help="Your own pronunciations, one `word PH PH PH` a line.")
@click.option("--encoder", metavar="MODEL", type=_file, help="An encoder of your own.")
@click.option("--verifier", metavar="FILE", type=_file, help="Who has the last word [default: the one that ships].")
@click.option("--no-verify", is_flag=True, help="Do without a verifier.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
def spot(
    arguments: tuple[str, ...],
    examples: tuple[str, ...],
    kwlist: Path | None,
    threshold: float | None,
    format_: str | None,
    lexicon: Path | None,
    encoder: Path | None,
    verifier: Path | None,
    no_verify: bool,
    threads: int | None,
) -> None:
    """Report each place in AUDIO where a KEYWORD is said, as soon as it is known.

    A KEYWORD is a word, a phrase in quotes, or phones as in "/S T AA R/". AUDIO are files, at the end of the line, or -
    for raw audio on the standard input: 16 kHz, one channel, signed 16 bits, little-endian.

    A detection in the stream is reported within a second of its end, of a phrase of more than 20 sounds within two; of
    overlapping ones of a keyword the best is. JSON is an object a line, at once: source, channel, keyword, tbeg, dur,
    score, which is the probability. CSV has the columns of `stdsearch query`, for `stdsearch convert` to read; keywords
    are numbered in their order, from KW-1, or as the --kwlist has them.

    A file that cannot be read, or a term of a list that cannot be searched for, is reported and the others are looked
    at; exit code 3 says that there were such.
    """
    keywords, audios = _split(arguments)
    if keywords and kwlist:
        raise click.UsageError(f"give either KEYWORDs or --kwlist; {keywords[-1]!r} is no audio")
    kwids = _listed(kwlist) if kwlist else {keyword: f"KW-{i}" for i, keyword in enumerate(keywords, start=1)}
    spoken = _spoken(examples)
    for name in spoken:
        if kwlist and name not in kwids:
            raise StdSearchError(f"--example {name}: is no term of {kwlist}; add it there")
        kwids.setdefault(name, f"KW-{len(kwids) + 1}")
    if not audios:
        raise click.UsageError("no audio: end with files, or with - for raw audio on the standard input")
    if not kwids:
        raise click.UsageError("no keyword: give keywords before the audio, a --kwlist, or an --example NAME=FILE")
    if verifier and no_verify:
        raise click.UsageError("give either --verifier or --no-verify")
    if STREAM in audios and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("the standard input is no pipe: send raw audio to it, or name files")

    from stdsearch.encoder import load_encoder
    from stdsearch.enrol import enrol
    from stdsearch.pronounce import Pronouncer
    from stdsearch.slicing import SlicingSettings
    from stdsearch.spotter import Spotter, SpotterSettings
    from stdsearch.threads import available_cores, set_threads

    set_threads(threads or available_cores())
    model, pronouncer = load_encoder(encoder), Pronouncer(lexicon)
    judge = None if no_verify else _verifier(verifier, model)
    longest = SlicingSettings().longest
    queries, refused = {}, {}
    for name in kwids:
        text = name if kwlist or name in keywords else ""
        try:
            queries[name] = enrol(text, spoken.get(name, ()), model, pronouncer, longest=longest)
        except StdSearchError as error:
            refused[name] = error
    if refused and not (kwlist and queries):
        raise next(iter(refused.values()))
    for name, why in refused.items():
        click.echo(f"stdsearch: {kwids[name]}: {why} (not listened for)", err=True)
    failed = bool(refused)
    live = SpotterSettings() if threshold is None else SpotterSettings(threshold=threshold)
    report = _reporter(format_ or ("table" if sys.stdout.isatty() else "json"), kwids)
    new_spotter = partial(Spotter, queries, model, verifier=judge)
    for source in audios:
        try:
            if source == STREAM:
                _listen(new_spotter(settings=live), report)
            else:
                _search(source, partial(new_spotter, settings=replace(live, hop=FILE_HOP)), report)
        except StdSearchError as error:
            if len(audios) == 1:
                raise
            failed = True
            click.echo(f"stdsearch: {error}", err=True)
    if failed:
        click.get_current_context().exit(SOME_FAILED)


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The keywords, and the audio: what stands at the end and is a file or -."""
    n_keywords = len(arguments)
    while n_keywords and (arguments[n_keywords - 1] == STREAM or os.path.isfile(arguments[n_keywords - 1])):
        n_keywords -= 1
    keywords, audios = arguments[:n_keywords], arguments[n_keywords:]
    for keyword in keywords:
        if keyword == STREAM or (_is_file_name(keyword) and os.path.isfile(keyword)):
            raise click.UsageError(f"{keyword}: keywords go first, then the audio, but {keywords[-1]} is no file")
        if _is_file_name(keyword):
            problem = "is a folder; name files in it" if os.path.isdir(keyword) else "no such file; check the path"
            raise StdSearchError(f"{keyword}: {problem}")
    if audios.count(STREAM) > 1:
        raise click.UsageError("- is there more than once, but there is one standard input")
    return keywords, audios


def _listed(kwlist: Path) -> dict[str, str]:
    """The texts of a KWList's terms, and their kwids, of terms alike that of the first."""
    from stdsearch.formats.kwlist import read_kwlist

    kwids: dict[str, str] = {}
    for term in read_kwlist(kwlist).terms:
        kwids.setdefault(term.text, term.kwid)
    return kwids


def _is_file_name(argument: str) -> bool:
    """Whether nobody would say it: it has the suffix of audio or a path's separator, and is no phones in slashes."""
    from stdsearch.audio import SUFFIXES

    is_phones = argument.startswith("/") and argument.endswith("/")
    return Path(argument).suffix.lower() in SUFFIXES or (os.sep in argument and not is_phones)


def _spoken(examples: Sequence[str]) -> dict[str, tuple["Spoken", ...]]:
    """The examples of each keyword."""
    from stdsearch.types import Spoken

    spoken: dict[str, tuple[Spoken, ...]] = {}
    for example in examples:
        keyword, equals, file = example.partition("=")
        if not is_utf8(keyword):
            raise StdSearchError(f"--example {keyword!a}: its name is no UTF-8; write it so")
        if not (keyword.strip() and equals and file):
            raise click.UsageError(f"--example {example}: is not of the form KEYWORD=FILE[@TBEG-TEND][@CHANNEL]")
        spoken[keyword] = (*spoken.get(keyword, ()), Spoken.parse(file))
    return spoken


def _verifier(path: Path | None, encoder: "Encoder") -> "Verifier | None":
    """The verifier at path, or the one that ships, if there is one and it is of this encoder."""
    from stdsearch.verifier import load_verifier
    from stdsearch.verifier.storage import default_verifier_path

    if path is None and not default_verifier_path().is_file():
        return None
    verifier = load_verifier(path)
    if verifier.encoder_fingerprint == encoder.fingerprint:
        return verifier
    if path is None:
        return None
    raise StdSearchError(
        f"{path}: was trained on encoder {verifier.encoder_fingerprint}, but this is {encoder.fingerprint}; "
        "give a verifier of this encoder, or --no-verify"
    )


def _reporter(format_: str, kwids: Mapping[str, str]) -> Report:
    """Prints a detection of one of the keywords, which have kwids: an object a line, or a row below a head.

    The cells of a table are parted by tabs in a pipe.
    """
    if format_ == "json":

        def report(source: str, channel: int, detection: "Detection") -> None:
            times = {"tbeg": round(detection.tbeg, 3), "dur": round(detection.dur, 3)}
            line = {"source": source, "channel": channel, "keyword": detection.keyword, **times}
            click.echo(json.dumps({**line, "score": round(detection.score, 6)}, ensure_ascii=False))

        return report

    if format_ == "csv":
        from stdsearch.formats.tables import CSV_HEAD, csv_row
        from stdsearch.types import Hit

        def write(source: str, channel: int, detection: "Detection") -> None:
            span = round(detection.tbeg, 3), round(detection.dur, 3)
            hit = Hit(source, channel, *span, round(detection.score, 6), decision=True)
            click.echo(csv_row(kwids[detection.keyword], detection.keyword, hit))

        click.echo(CSV_HEAD)
        return write

    head = ("keyword", "from", "dur", "score", "ch", "source")
    width = max(map(len, map(field, (*kwids, head[0]))))

    def show(*cells: str) -> None:
        cells = tuple(map(field, cells))
        keyword, begin, dur, score, channel, source = cells
        aligned = f"{keyword:{width}}  {begin:>10}  {dur:>5}  {score:>5}  {channel:>2}  {source}"
        click.echo(aligned if sys.stdout.isatty() else "\t".join(cells))

    show(*head)
    return lambda source, channel, detection: show(
        detection.keyword,
        clock(detection.tbeg),
        f"{detection.dur:.2f}",
        f"{detection.score:.3f}",
        str(channel),
        source,
    )


def _listen(spotter: "Spotter", report: Report) -> None:
    """Report what is said on the standard input, until it ends or the user ends it."""
    from stdsearch.audio import raw_blocks

    try:
        for block in raw_blocks(sys.stdin.buffer):
            _tell(spotter.feed(block), STREAM, 1, report)
    except KeyboardInterrupt:
        _tell(spotter.finish(), STREAM, 1, report)
        raise
    _tell(spotter.finish(), STREAM, 1, report)


def _search(source: str, new_spotter: Callable[[], "Spotter"], report: Report) -> None:
    """Report what is said in each channel of a file."""
    from rich.console import Console
    from rich.progress import Progress

    from stdsearch import audio

    spotters: list[Spotter] = []
    # on a terminal the bar gives way to what is printed; else printing is not for the bar to redirect
    console, visible = Console(stderr=True), sys.stderr.isatty()
    with Progress(console=console, transient=True, disable=not visible, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(Path(source).name, total=audio.probe(source).duration)
        for block in audio.blocks(source, seconds=BLOCK_SECONDS):
            spotters = spotters or [new_spotter() for _ in block]
            for channel, (spotter, samples) in enumerate(zip(spotters, block, strict=True), start=1):
                _tell(spotter.feed(samples), source, channel, report)
            bar.advance(task, block.shape[1] / audio.SAMPLE_RATE)
    for channel, spotter in enumerate(spotters, start=1):
        _tell(spotter.finish(), source, channel, report)


def _tell(detections: Sequence["Detection"], source: str, channel: int, report: Report) -> None:
    for detection in detections:
        report(source, channel, detection)
