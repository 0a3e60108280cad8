"""Hits cut out of their recordings, to listen to."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.errors import StdSearchError
from stdsearch.types import Hit, TermHits

if TYPE_CHECKING:
    import numpy as np

    from stdsearch.archive import Recording

CONTEXT = 1.0  # seconds before and after the hit, if not said otherwise
LONGEST_NAME = 90  # bytes of a term, and of a recording's path, in a name that may have 255


def cut_clips(
    recordings: Mapping[str, "Recording"], results: Iterable[TermHits], folder: Path, *, context: float = CONTEXT
) -> list[str]:
    """Write FOLDER/TERM-RANK-RECORDING-TBEG.wav for each hit; recordings by their paths, context in seconds.

    Returns the recordings that cannot be read any longer, each of which is told once.
    Raises StdSearchError if a clip cannot be written.
    """
    from stdsearch.audio import write_wav

    check_once = cache(_check)
    unread: list[str] = []
    for result in results:
        for rank, hit in enumerate(result.hits, start=1):
            if hit.recording in unread:
                continue
            recording = recordings[hit.recording]
            try:
                check_once(recording)
                clip = _clip(Path(recording.source), hit, context)
            except StdSearchError as error:
                unread.append(hit.recording)
                click.echo(f"stdsearch: {error} (no clips)", err=True)
            else:
                write_wav(folder / _name(result.term or result.kwid, rank, hit), clip)
    return unread


def _check(recording: "Recording") -> None:
    """Raise StdSearchError if a recording's file is not what was indexed; read only if its times do not tell."""
    source = Path(recording.source)
    try:
        facts = source.stat()
        is_same = facts.st_size == recording.bytes
        if is_same and facts.st_mtime_ns != recording.mtime_ns:
            with source.open("rb") as file:
                is_same = hashlib.file_digest(file, "sha256").hexdigest() == recording.sha256
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StdSearchError(
            f"{source}: is gone since it was indexed; bring it back, or where its folder was moved, tell the archive "
            "by `stdsearch index --update NEWPLACE --out ARCHIVE`"
        ) from error
    except OSError as error:
        raise StdSearchError(f"{source}: cannot be reached ({error.strerror}); mend that") from error
    if not is_same:
        raise StdSearchError(f"{source}: has changed since it was indexed; run index --update")


def _clip(source: Path, hit: Hit, context: float) -> "np.ndarray":
    """The hit's channel (n,) at 16 kHz, with the context that there is."""
    from stdsearch import audio

    begin = max(0.0, hit.tbeg - context)
    end = min(audio.probe(source).duration, hit.tbeg + hit.dur + context)
    return audio.read(source, channel=hit.channel, tbeg=begin, dur=end - begin)


def _name(term: str, rank: int, hit: Hit) -> str:
    """What a clip is called: of a term its begin, of a recording's path its end.

    >>> _name("evening star", 1, Hit("news/long.wav", 1, 2.0, 0.5, 0.9, True))
    'evening_star-001-news_long.wav-2.00.wav'
    """
    begin = term.encode()[:LONGEST_NAME].decode(errors="ignore")
    end = hit.recording.encode()[-LONGEST_NAME:].decode(errors="ignore")
    return re.sub(r"[^\w.-]+", "_", f"{begin}-{rank:03d}-{end}-{hit.tbeg:.2f}") + ".wav"
