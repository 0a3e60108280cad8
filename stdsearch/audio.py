"""Recordings as 16 kHz float32, from any file, each channel kept apart, streamed.

libsndfile (soundfile) decodes WAV, FLAC, MP3, Ogg Vorbis and Opus; ffmpeg, when it is on PATH, decodes the rest.
soxr resamples. A file is never held as a whole: only `read` gathers what it was asked for.
A recording that breaks off early is read as far as it goes, and a warning is logged.
"""

import io
import logging
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, cast

import numpy as np
import soundfile
import soxr

from stdsearch.errors import StdSearchError

SAMPLE_RATE = 16000  # Hz
LOUDEST = 1e12  # of a sample: floats may be counted in what integers of 32 bits hold
SUFFIXES = (  # what libsndfile reads, then what ffmpeg adds; a file that is named itself is tried whatever it is called
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".caf", ".sph", ".w64",
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".asf", ".avi", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp2", ".mp4",
    ".mpeg", ".mpg", ".webm", ".wma", ".wmv", ".wv",
)  # fmt: skip
_CHUNK_SECONDS = 1  # decoded and resampled at a time
_WARM_UP_SECONDS = 1  # decoded before a span and dropped: after a seek MP3 and Vorbis need 0.05 s, soxr less
_SLACK_SECONDS = 0.01  # times are written to 0.01 s, so a span may end this much after the recording
_RAW_BLOCK_BYTES = 6400  # 0.2 s; less where a pipe holds less
_FILE_MARKS = (b"RIFF", b"fLaC", b"OggS", b"ID3")  # what files begin with that are sent instead of raw samples
_UNKNOWN_FRAMES = 1 << 62  # libsndfile gives at least as many for a FLAC that was written to a pipe
_UNKNOWN_BYTES = 0x7FFF0000  # programs that write WAV to a pipe claim at least as many

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a recording's header says: duration in seconds, number of channels, its own sample rate in Hz.

    The duration of an MP3 with a variable bit rate and no Xing header is an estimate.
    """

    duration: float
    channels: int
    sample_rate: int


_Decoded = tuple[AudioInfo, Iterator[np.ndarray]]  # chunks (n, channels) float32 at the recording's own rate


def probe(path: Path | str) -> AudioInfo:
    """What the header of a recording says, without decoding the recording."""
    with _decode(path) as (info, _):
        return info


def blocks(path: Path | str, *, seconds: float) -> Iterator[np.ndarray]:
    """Consecutive (channels, n) float32 blocks at 16 kHz that concatenate to the whole recording.

    Every block but the last lasts `seconds`. Raises StdSearchError if the file is missing, is no audio, holds none,
    or holds samples that are not finite.
    """
    block_samples = round(seconds * SAMPLE_RATE)
    if block_samples < 1:
        raise ValueError(f"a block of {seconds} s is shorter than one sample")
    held: list[np.ndarray] = []
    n_held = 0
    for chunk in _at_16_khz(path):
        held.append(chunk)
        n_held += len(chunk)
        if n_held < block_samples:
            continue
        whole = np.concatenate(held)
        for start in range(0, n_held - block_samples + 1, block_samples):
            yield np.ascontiguousarray(whole[start : start + block_samples].T)
        held = [whole[n_held - n_held % block_samples :]]
        n_held %= block_samples
    if n_held:
        yield np.ascontiguousarray(np.concatenate(held).T)


def read(path: Path | str, *, channel: int = 1, tbeg: float = 0.0, dur: float | None = None) -> np.ndarray:
    """One channel of a recording, or of its span [tbeg, tbeg + dur), as (n,) float32 at 16 kHz.

    Channels count from 1. A span equals that slice of the whole, but what soundfile decodes is sought, not decoded
    from the start.
    Raises StdSearchError, naming the recording's duration, if the span is not inside it.
    """
    info = probe(path)
    if not 1 <= channel <= info.channels:
        raise StdSearchError(f"{path}: has no channel {channel}; its channels are 1 to {info.channels}")
    tend = info.duration if dur is None else tbeg + dur
    if not 0 <= tbeg < tend <= info.duration + _SLACK_SECONDS:
        raise StdSearchError(
            f"{path}: {tbeg:.2f} to {tend:.2f} s is no span of it; give one within its {info.duration:.2f} s"
        )
    from_second = max(0, int(tbeg) - _WARM_UP_SECONDS)
    first = round((tbeg - from_second) * SAMPLE_RATE)
    last = None if dur is None else round((tend - from_second) * SAMPLE_RATE)
    gathered: list[np.ndarray] = []
    n_gathered = 0
    for chunk in _at_16_khz(path, from_second):
        gathered.append(chunk[:, channel - 1])
        n_gathered += len(chunk)
        if last is not None and n_gathered >= last:
            break
    if n_gathered <= first:
        raise StdSearchError(f"{path}: breaks off {from_second + n_gathered / SAMPLE_RATE:.2f} s; give a span before")
    return np.concatenate(gathered)[first:last]


def raw_blocks(stream: IO[bytes], *, name: str = "standard input") -> Iterator[np.ndarray]:
    """Blocks (n,) float32 of a raw stream, 16 kHz, one channel, signed 16 bits, little-endian, as they arrive.

    stream needs `read1`. A byte left over at the end is dropped. Raises StdSearchError if nothing comes, or what
    begins as a file does.
    """
    read: Callable[[int], bytes] = stream.read1  # type: ignore[attr-defined]
    start = b""
    while len(start) < 4 and (data := read(4 - len(start))):
        start += data
    if not start:
        raise StdSearchError(f"{name}: no audio came; check the program that sends it")
    if start.startswith(_FILE_MARKS):
        raise StdSearchError(
            f"{name}: is a file with a header, not raw audio; send 16 kHz 16-bit mono samples, as in "
            "`ffmpeg -i in.wav -f s16le -ar 16000 -ac 1 - | stdsearch spot hello -`"
        )
    left = b""
    for data in chain([start], iter(lambda: read(_RAW_BLOCK_BYTES), b"")):
        left += data
        whole = len(left) // 2 * 2
        yield np.frombuffer(left[:whole], "<i2").astype(np.float32) / 32768
        left = left[whole:]


def write_wav(path: Path | str, waveform: np.ndarray) -> None:
    """Write (n,) floats in [-1, 1] at 16 kHz as a 16-bit WAV; what is louder is clipped."""
    wav = io.BytesIO()  # libsndfile does not say why it cannot write
    soundfile.write(wav, waveform, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    try:
        Path(path).write_bytes(wav.getbuffer())
    except OSError as error:
        reason = error.strerror
        raise StdSearchError(f"{path}: cannot be written ({reason}); choose another folder, or make room") from error


def _at_16_khz(path: Path | str, from_second: int = 0) -> Iterator[np.ndarray]:
    """Chunks (n, channels) at 16 kHz, from a whole second on, where both rates have a sample and soxr is in phase."""
    n_samples = 0
    with _decode(path, from_second) as (info, chunks):
        resampler = soxr.ResampleStream(info.sample_rate, SAMPLE_RATE, info.channels)
        for chunk in chunks:
            if not (np.abs(chunk) <= LOUDEST).all():  # nor nan
                raise StdSearchError(f"{path}: holds samples that no sound has; convert it to 16-bit WAV")
            resampled = resampler.resample_chunk(chunk)
            n_samples += len(resampled)
            yield resampled
        resampled = resampler.resample_chunk(np.empty((0, info.channels), np.float32), last=True)
        yield resampled
    if not n_samples + len(resampled):
        raise StdSearchError(f"{path}: holds no sound after {from_second} s; leave it out, or copy it again")


def _decode(path: Path | str, from_second: int = 0) -> AbstractContextManager[_Decoded]:
    """A recording opened by the first decoder that can, soundfile or ffmpeg."""
    path = Path(path)
    if not path.is_file():
        raise StdSearchError(f"{path}: no such file; check the path")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise StdSearchError(f"{path}: cannot be read ({error.strerror}); mend that, or leave it out") from error
    if is_empty:
        raise StdSearchError(f"{path}: is empty; leave it out, or copy it again")
    try:
        sound = soundfile.SoundFile(path)
    except UnicodeEncodeError as error:
        raise StdSearchError(f"{str(path)!a}: has a name that is not UTF-8; rename it") from error
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: .raw has no header
        ffmpeg = shutil.which("ffmpeg")
        if ffmpeg is None:
            raise StdSearchError(
                f"{path}: no audio that libsndfile knows, and ffmpeg is not on PATH; install ffmpeg, or convert to WAV"
            ) from error
        return _decode_with_ffmpeg(ffmpeg, path, from_second)
    return _decode_with_soundfile(sound, from_second)


@contextmanager
def _decode_with_soundfile(sound: soundfile.SoundFile, from_second: int) -> Iterator[_Decoded]:
    with sound:
        rate, is_known = sound.samplerate, sound.frames < _UNKNOWN_FRAMES

        def chunks() -> Iterator[np.ndarray]:
            n_frames = from_second * rate
            complaint = ""
            try:
                sound.seek(n_frames)
                for chunk in _chunks(sound):
                    n_frames += len(chunk)
                    yield chunk
            except soundfile.LibsndfileError as error:  # FLAC cut short or damaged, or of unknown length at its end
                complaint = error.error_string
            if is_known and (complaint or n_frames + rate < _claimed_frames(sound)):
                reason = f" ({complaint.strip(' .')})" if complaint else ""
                _log.warning("%s: breaks off after %.1f s%s", sound.name, n_frames / rate, reason)

        yield AudioInfo((sound.frames if is_known else _counted_frames(sound)) / rate, sound.channels, rate), chunks()


def _chunks(sound: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """What is left to read; where libsndfile gives up, what it had decoded comes before its error."""
    n_at_once = max(1, min(_CHUNK_SECONDS * sound.samplerate, sound.frames))  # a header may claim any rate
    while True:
        chunk = np.full((n_at_once, sound.channels), np.nan, np.float32)
        try:
            n_frames = len(sound.read(out=chunk))
        except soundfile.LibsndfileError:
            yield chunk[: np.append(np.isnan(chunk).any(axis=1), True).argmax()]
            raise
        if not n_frames:
            return
        yield chunk[:n_frames]


def _counted_frames(sound: soundfile.SoundFile) -> int:
    """How many frames there are, by decoding all."""
    n_frames = 0
    with soundfile.SoundFile(sound.name) as other, suppress(soundfile.LibsndfileError):
        for chunk in _chunks(other):
            n_frames += len(chunk)
    return n_frames


def _claimed_frames(sound: soundfile.SoundFile) -> int:
    """How many frames the header claims. libsndfile counts what a WAV holds, and only logs what its header says."""
    data = re.search(r"^data : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if data is None or int(data[1]) >= _UNKNOWN_BYTES:
        return int(sound.frames)
    return int(sound.frames * int(data[1]) / max(1, int(data[2])))


@contextmanager
def _decode_with_ffmpeg(ffmpeg: str, path: Path | str, from_second: int) -> Iterator[_Decoded]:
    """What ffmpeg decodes, as an AU stream, the headed format made for pipes: six big-endian words, then samples."""
    command = [ffmpeg, "-nostdin", "-hide_banner", "-nostats", "-i", f"file:{path}"]
    command += ["-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process:
        pipe = cast(IO[bytes], process.stdout)

        def messages() -> str:
            log.seek(0)
            return log.read().decode(errors="replace")

        def chunks() -> Iterator[np.ndarray]:
            n_frames = 0
            n_skipped = from_second * rate  # ffmpeg's own seeking misses by up to 0.07 s
            while data := pipe.read(_CHUNK_SECONDS * rate * channels * 4):
                chunk = np.frombuffer(data, ">f4", len(data) // (4 * channels) * channels).reshape(-1, channels)
                if n_frames + len(chunk) > n_skipped:
                    yield chunk[max(0, n_skipped - n_frames) :].astype(np.float32)
                n_frames += len(chunk)
            if process.wait():
                _log.warning("%s: breaks off after %.1f s", path, n_frames / rate)

        try:
            header = pipe.read(24)
            if len(header) < 24:
                raise StdSearchError(f"{path}: no audio that libsndfile or ffmpeg knows; convert it to WAV or FLAC")
            _, offset, _, _, rate, channels = struct.unpack(">4s5I", header)
            pipe.read(offset - 24)
            if duration := re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", messages()):
                hours, minutes, seconds = map(float, duration.groups())
            else:  # N/A, as of what was recorded by a browser or written to a pipe
                hours, minutes, seconds = 0, 0, (_counted_bytes(command) - offset) / (4 * channels * rate)
            yield AudioInfo(3600 * hours + 60 * minutes + seconds, channels, rate), chunks()
        finally:
            process.kill()


def _counted_bytes(command: list[str]) -> int:
    """How many bytes a program writes to its standard output."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        pipe = cast(IO[bytes], process.stdout)
        return sum(map(len, iter(lambda: pipe.read(1 << 20), b"")))
