"""Hits as subtitles of one recording: SubRip (.srt) and WebVTT (.vtt)."""

import html
from collections.abc import Sequence
from typing import TextIO

from stdsearch.formats.labels import labels
from stdsearch.types import TermHits


def write_srt(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write SubRip subtitles; "-->" cannot stand in a text and becomes "->"."""
    for number, label in enumerate(labels(results), start=1):
        times = f"{_clock(label.tbeg, ',')} --> {_clock(label.tend, ',')}"
        stream.write(f"{number}\n{times}\n{label.text.replace('-->', '->')}\n\n")


def write_vtt(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write WebVTT subtitles."""
    stream.write("WEBVTT\n\n")
    for label in labels(results):
        times = f"{_clock(label.tbeg, '.')} --> {_clock(label.tend, '.')}"
        stream.write(f"{times}\n{html.escape(label.text, quote=False)}\n\n")


def _clock(time: float, point: str) -> str:
    """The time as hours:minutes:seconds and milliseconds.

    >>> _clock(3661.5, ",")
    '01:01:01,500'
    """
    minutes, milliseconds = divmod(round(1000 * time), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"
