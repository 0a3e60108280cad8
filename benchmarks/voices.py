"""Synthetic speech with exact word times, from espeak-ng called as a library.

For the demo, and for archives whose reference is known to the millisecond. espeak-ng is GPL-3: it comes with the
extra `demo`, and is loaded by this script in a process of its own, never by the engine.

    python benchmarks/voices.py LINES.tsv FOLDER > words.tsv

LINES.tsv has the columns recording, voice, rate, pitch, text. FOLDER gets a WAV per recording; words.tsv has the
columns word, speaker, recording, tbeg, tend, in seconds.
"""

import csv
import ctypes
import re
import sys
import tempfile
import wave
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import espeakng_loader

SYNCHRONOUS, PHONEME_EVENTS, UTF8 = 2, 1, 1  # the names of speak_lib.h, its documentation of the calls below
RATE, PITCH = 1, 3
WORD, END, PHONEME = 1, 5, 7
OK = 0


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was spoken, with its times in seconds."""

    text: str
    tbeg: float
    tend: float


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT: text_position counts characters from 1, audio_position milliseconds from the start."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Espeak:
    """The library and what belongs to it; it keeps its state in C globals, so there is one of it in a process."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()  # a short way to the data: 160 characters are all espeak-ng keeps
        data = Path(self.folder.name) / "data"
        data.symlink_to(espeakng_loader.get_data_path())
        self.languages = {path.name.lower() for path in data.glob("lang/*/*")}
        self.variants = {path.name for path in data.glob("voices/!v/*")}
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate: int = self.library.espeak_Initialize(SYNCHRONOUS, 0, str(data).encode(), PHONEME_EVENTS)


_espeak = cache(_Espeak)


def render(text: str, voice: str, path: Path, *, rate: int = 175, pitch: int = 50) -> list[Word]:
    """The words of text with their times, as voice says them in the WAV file written to path.

    voice is a language of espeak-ng and, after a plus, a variant: `en-us`, `en-gb-scotland+f3`. rate is in words a
    minute, 80 to 450; pitch goes from 0 to 99. A word's time ends where the next one begins, or at the pause before it.
    Words that espeak-ng says as one (`of the`) come back as one; write numbers out, its events for digits are late.
    The same renderings in the same order in a process are the same samples.
    """
    espeak = _espeak()
    language, _, variant = voice.partition("+")
    if language not in espeak.languages or (variant and variant not in espeak.variants):
        raise ValueError(f"espeak-ng has no voice {voice!r}")
    samples = bytearray()
    events: list[tuple[int, int, float, bool]] = []

    @_CALLBACK
    def collect(block, n_samples, event) -> int:  # type: ignore[no-untyped-def]
        samples.extend(ctypes.string_at(block, 2 * n_samples) if n_samples else b"")
        i = 0
        while kind := event[i].type:
            silent = kind == PHONEME and event[i].id.string.startswith(b"_")
            events.append((kind, event[i].text_position - 1, event[i].audio_position / 1000, silent))
            i += 1
        return 0

    espeak.library.espeak_SetSynthCallback(collect)
    espeak.library.espeak_SetVoiceByName(voice.encode())
    espeak.library.espeak_SetParameter(RATE, rate, 0)
    espeak.library.espeak_SetParameter(PITCH, pitch, 0)
    encoded = text.encode()
    espeak.library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # of a voice's breath; else it is the time of day
    if espeak.library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, UTF8, None, None) != OK:
        raise RuntimeError(f"espeak-ng could not say {text!r}")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, espeak.sample_rate, 0, "NONE", ""))
        file.writeframes(samples)
    return _words(text, events)


def _words(text: str, events: list[tuple[int, int, float, bool]]) -> list[Word]:
    """Words from espeak-ng's events (type, character, seconds, whether it is a pause)."""
    tokens = [match.span() for match in re.finditer(r"\S+", text)]
    starts = [start for start, _ in tokens]
    times: dict[int, list[float]] = {}  # by token, in the order of speech
    current = None
    for kind, character, seconds, silent in events:
        if current is not None:  # what follows a word ends it: the next word, a pause, the end of the sentence
            times[current][1] = seconds
        if kind == WORD:
            character += len(text[character:]) - len(text[character:].lstrip())  # a split word's parts begin at blanks
            current = bisect_right(starts, character) - 1
            times.setdefault(current, [seconds, seconds])
        elif silent or kind == END:
            current = None
    ends = [*times, len(tokens)][1:]
    said = (text[tokens[first][0] : tokens[last - 1][1]] for first, last in zip(times, ends, strict=True))
    return [Word(re.sub(r"^\W+|\W+$", "", word), *span) for word, span in zip(said, times.values(), strict=True)]


def main() -> None:
    """Render the lines of a table, a recording each, and print the words."""
    lines, folder = Path(sys.argv[1]), Path(sys.argv[2])
    table = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    table.writerow(("word", "speaker", "recording", "tbeg", "tend"))
    with lines.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file, delimiter="\t"):
            path = folder / f"{line['recording']}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            for word in render(line["text"], line["voice"], path, rate=int(line["rate"]), pitch=int(line["pitch"])):
                times = f"{word.tbeg:.3f}", f"{word.tend:.3f}"
                table.writerow((word.text.lower(), line["voice"], line["recording"], *times))


if __name__ == "__main__":
    main()
