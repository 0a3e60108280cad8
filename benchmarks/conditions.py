"""What noise, rooms, codecs and telephone lines make of a recording.

What was said at 1.2 s is said at 1.2 s afterwards; MP3 of low rates begins 69 ms later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from scipy.signal import butter, fftconvolve, sosfilt, sosfiltfilt

from stdsearch.audio import SAMPLE_RATE, read
from stdsearch.errors import StdSearchError
from train.prepare.table import read_table

SOUND = 343.0  # m/s
TELEPHONE_HZ, TELEPHONE_RATE = (300.0, 3400.0), 8000
MP3_LEVELS = {16: 0.95, 8: 0.99}  # of libsndfile, for kbit/s at 16 kHz
OPUS_KBITS = (6.0, 256.0)  # what libsndfile's compression levels 1 and 0 mean for a channel
BABBLE_VOICES, BABBLE_SECONDS = 6, 60
SILENCE = 4  # times as long as the speech before it
LOUDER = 20  # dB


@dataclass(frozen=True, slots=True)
class Speech:
    """A waveform (n,) at 16 kHz and where words are said in it, (m, 2) in seconds."""

    waveform: np.ndarray
    words: np.ndarray

    def power(self) -> float:
        """Mean power within words, or over all where there is none."""
        said = np.zeros(len(self.waveform), bool)
        for begin, end in np.round(self.words * SAMPLE_RATE).astype(int):
            said[begin:end] = True
        return float(np.mean(self.waveform[said] ** 2) if said.any() else np.mean(self.waveform**2))


Change = Callable[[Speech, np.random.Generator], np.ndarray]
Write = Callable[[Path, np.ndarray], None]


def write_float(path: Path, waveform: np.ndarray) -> None:
    """A WAV of floats: nothing is clipped."""
    soundfile.write(path, waveform, SAMPLE_RATE, format="WAV", subtype="FLOAT")


@dataclass(frozen=True, slots=True)
class Condition:
    """A change of waveforms, and how they are then written: to files with a suffix."""

    name: str
    change: Change
    write: Write = write_float
    suffix: str = ".wav"


@dataclass(frozen=True)
class Room:
    """A box with a talker and a microphone in it: places in metres, (length, width, height).

    Each wall throws back the same share of a wave's amplitude, the reflection; the sound is followed for some seconds.
    """

    size: tuple[float, float, float]
    talker: tuple[float, float, float]
    microphone: tuple[float, float, float]
    reflection: float
    seconds: float

    @cached_property
    def response(self) -> np.ndarray:
        """The impulse response (n,) at 16 kHz from the direct sound on, which is 1.

        By the image-source method of Allen and Berkley (JASA 1979): each reflection comes straight from a mirror image
        of the talker, rounded to a sample. Waves below 50 Hz, an artefact of that rounding, are filtered out.
        """
        n_samples = round(self.seconds * SAMPLE_RATE)
        axes = [
            self._images(*places, reach=SOUND * self.seconds + float(np.linalg.norm(self.size)))
            for places in zip(self.size, self.talker, self.microphone, strict=True)
        ]
        (x, x_walls), (y, y_walls), (z, z_walls) = axes
        distance = np.sqrt(x[:, None, None] ** 2 + y[None, :, None] ** 2 + z[None, None, :] ** 2).ravel()
        walls = (x_walls[:, None, None] + y_walls[None, :, None] + z_walls[None, None, :]).ravel()
        direct = np.linalg.norm(np.subtract(self.talker, self.microphone))
        at = np.round((distance - direct) / SOUND * SAMPLE_RATE).astype(int)
        heard = at < n_samples
        amplitude = direct / distance[heard] * self.reflection ** walls[heard]
        response = np.bincount(at[heard], weights=amplitude, minlength=n_samples)
        return sosfilt(butter(2, 50, "highpass", fs=SAMPLE_RATE, output="sos"), response)

    @staticmethod
    def _images(size: float, talker: float, microphone: float, *, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Along one axis: how far the images within reach are from the microphone, and by how many walls they came."""
        n = int(np.ceil(reach / (2 * size)))
        m, mirrored = np.repeat(np.arange(-n, n + 1), 2), np.tile([0, 1], 2 * n + 1)
        return (1 - 2 * mirrored) * talker + 2 * m * size - microphone, np.abs(m - mirrored) + np.abs(m)


ROOMS = {
    "small": Room((4.2, 3.1, 2.5), (1.2, 1.4, 1.5), (2.6, 1.9, 1.1), reflection=0.85, seconds=0.4),
    "large": Room((12.3, 9.1, 4.2), (3.4, 3.7, 1.6), (7.1, 5.2, 1.2), reflection=0.865, seconds=1.2),
}


def reverberation_time(response: np.ndarray) -> float:
    """T60 in seconds of an impulse response (n,), from where Schroeder's integral falls from -5 to -25 dB."""
    energy = np.cumsum(response[::-1] ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0])
    begin, end = (int(np.argmax(level < below)) for below in (-5, -25))
    slope = np.polyfit(np.arange(begin, end) / SAMPLE_RATE, level[begin:end], 1)[0]
    return float(-60 / slope)


def direct_to_reverberant(response: np.ndarray) -> float:
    """How many dB the first 2.5 ms of an impulse response (n,) are above the rest."""
    direct = round(0.0025 * SAMPLE_RATE)
    return float(10 * np.log10(np.sum(response[:direct] ** 2) / np.sum(response[direct:] ** 2)))


def unchanged(speech: Speech, random: np.random.Generator) -> np.ndarray:
    """The waveform as it is."""
    return speech.waveform


def in_noise(speech: Speech, random: np.random.Generator, *, noises: list[np.ndarray], snr: float) -> np.ndarray:
    """The waveform with a stretch of one of the noises; snr in dB, of the speech within words to that stretch."""
    noise = noises[random.integers(len(noises))]
    start = random.integers(len(noise))
    stretch = np.take(noise, np.arange(start, start + len(speech.waveform)), mode="wrap")
    gain = np.sqrt(speech.power() / np.mean(stretch**2) / 10 ** (snr / 10))
    return (speech.waveform + gain * stretch).astype(np.float32)


def before_silence(speech: Speech, random: np.random.Generator) -> np.ndarray:
    """The waveform and SILENCE times as much of nothing, as on one side of a conversation over a network."""
    return np.append(speech.waveform, np.zeros(SILENCE * len(speech.waveform), np.float32))


def before_louder(speech: Speech, random: np.random.Generator, *, voice: np.ndarray) -> np.ndarray:
    """The waveform LOUDER dB weaker, then as much of another voice at full power: who asks has the microphone."""
    start = random.integers(len(voice))
    other = np.take(voice, np.arange(start, start + len(speech.waveform)), mode="wrap")
    other = other * np.sqrt(speech.power() / np.mean(other**2))
    return np.append(speech.waveform * 10 ** (-LOUDER / 20), other).astype(np.float32)


def in_room(speech: Speech, random: np.random.Generator, *, room: Room) -> np.ndarray:
    """The waveform as the room's microphone has it, the direct sound in its place."""
    return fftconvolve(speech.waveform, room.response)[: len(speech.waveform)].astype(np.float32)


def over_telephone(speech: Speech, random: np.random.Generator) -> np.ndarray:
    """The waveform within 300 to 3,400 Hz."""
    band = butter(6, TELEPHONE_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfiltfilt(band, speech.waveform).astype(np.float32)


def write_telephone(path: Path, waveform: np.ndarray) -> None:
    """A WAV at 8 kHz in mu-law."""
    narrow = soxr.resample(waveform, SAMPLE_RATE, TELEPHONE_RATE)
    soundfile.write(path, narrow, TELEPHONE_RATE, format="WAV", subtype="ULAW")


def write_mp3(path: Path, waveform: np.ndarray, *, level: float) -> None:
    """An MP3 of a constant bit rate; level: one of MP3_LEVELS."""
    soundfile.write(
        path, waveform, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT",
        compression_level=level,
    )  # fmt: skip


def write_opus(path: Path, waveform: np.ndarray, *, kbits: float) -> None:
    """An Ogg Opus of about so many kbit/s."""
    least, most = OPUS_KBITS
    level = (most - kbits) / (most - least)
    soundfile.write(path, waveform, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=level)


def read_noises(folder: Path) -> list[np.ndarray]:
    """The recordings (n,) of a folder. Raises StdSearchError if there is none."""
    paths = sorted(path for path in folder.glob("*") if path.suffix in (".opus", ".wav", ".flac"))
    if not paths:
        raise StdSearchError(f"{folder}: holds no noise; name a folder of WAV, FLAC or Opus files with --noise")
    return [read(path) for path in paths]


def babble(manifest: Path, seed: int, n_voices: int) -> np.ndarray:
    """A minute (n,) of voices at once, equally loud, from a table's training utterances."""
    random = np.random.default_rng(seed)
    sources: dict[str, list[Path]] = {}
    for source in read_table(manifest):
        if source.split == "train":
            sources.setdefault(source.speaker, []).append(source.audio)
    n_samples, voices = BABBLE_SECONDS * SAMPLE_RATE, []
    talkers = iter(random.permutation(sorted(sources)))
    for _ in range(n_voices):
        said: list[np.ndarray] = []
        while sum(map(len, said)) < n_samples:
            said += [read(path) for path in sources[next(talkers)][:4]]
        voice = np.concatenate(said)[:n_samples]
        voices.append(voice / np.sqrt(np.mean(voice**2)))
    return np.sum(voices, axis=0).astype(np.float32)


def conditions(noises: list[np.ndarray], manifest: Path | None, seed: int = 0) -> list[Condition]:
    """All conditions, the unchanged first; those with other voices only where a table of speech is given."""
    chosen = [Condition("clean", unchanged)]
    chosen += [Condition(f"noise, {snr} dB", partial(in_noise, noises=noises, snr=snr)) for snr in (20, 10, 5, 0)]
    if manifest:
        voices = babble(manifest, seed, BABBLE_VOICES)
        chosen += [Condition(f"babble, {snr} dB", partial(in_noise, noises=[voices], snr=snr)) for snr in (20, 10)]
    chosen += [Condition(f"{name} room", partial(in_room, room=room)) for name, room in ROOMS.items()]
    chosen += [
        Condition(f"MP3, {kbits} kbit/s", unchanged, partial(write_mp3, level=level), ".mp3")
        for kbits, level in MP3_LEVELS.items()
    ]
    chosen += [
        Condition(f"Opus, {kbits} kbit/s", unchanged, partial(write_opus, kbits=kbits), ".opus")
        for kbits in (16, 12, 6)
    ]
    chosen += [Condition("telephone", over_telephone, write_telephone)]
    chosen += [Condition(f"silence, {SILENCE} times as long, behind", before_silence)]
    if manifest:
        voice = babble(manifest, seed, 1)
        chosen += [Condition(f"a voice {LOUDER} dB louder behind", partial(before_louder, voice=voice))]
    return chosen


def describe(room: Room) -> dict[str, Any]:
    """What a room is, T60 and the direct sound against the rest as measured from its impulse response."""
    return {
        "metres": list(room.size),
        "metres_away": round(float(np.linalg.norm(np.subtract(room.talker, room.microphone))), 2),
        "t60": round(reverberation_time(room.response), 2),
        "direct_to_reverberant_db": round(direct_to_reverberant(room.response), 1),
    }
