"""A LibriSpeech tree: SPLIT/SPEAKER/CHAPTER/ holding SPEAKER-CHAPTER.trans.txt and an audio file per utterance."""

import re
from collections.abc import Iterator
from pathlib import Path

from stdsearch.audio import SUFFIXES
from stdsearch.errors import StdSearchError
from train.prepare.source import SourceUtterance, checked, text_lines

_PART = re.compile(r"(train|dev|test)-\w[\w-]*")  # train-clean-100, dev-other ...


def read_librispeech(path: Path) -> list[SourceUtterance]:
    """The utterances of all `*.trans.txt` at or below a folder, which may be the tree or any folder in it.

    The split is the first word of the part's name: train-clean-100 is train.
    """
    if not path.is_dir():
        raise StdSearchError(f"{path}: no such folder; give the LibriSpeech tree or a folder of it")
    transcripts = sorted(path.resolve().rglob("*.trans.txt"))
    return checked(path, (utterance for transcript in transcripts for utterance in _chapter(transcript)))


def _chapter(transcript: Path) -> Iterator[SourceUtterance]:
    parts = [part for part in map(_PART.fullmatch, transcript.parts) if part]
    files = sorted(file for file in transcript.parent.iterdir() if file.suffix.lower() in SUFFIXES)
    audio = {file.stem: file for file in files if not file.name.startswith(".")}
    for place, line in text_lines(transcript):
        utterance, _, text = line.partition(" ")
        yield SourceUtterance(
            utterance=utterance,
            split=parts[-1][1] if parts else "",
            corpus=f"librispeech/{parts[-1][0]}" if parts else "librispeech",
            speaker=utterance.split("-")[0],
            audio=audio.get(utterance, transcript.parent / f"{utterance}.flac"),
            channel=1,
            tbeg=0.0,
            dur=None,
            text=text.strip(),
            place=place,
        )
