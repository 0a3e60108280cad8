"""What indexing costs where files are very long, very many, or of the telephone.

    python benchmarks/files.py ../shared/speech --work work/files

Speech, utterance after utterance, is written as files of each kind: one of an hour and one of ten, thousands of 0.3 s,
conversations of two channels in 8 kHz µ-law. Each is indexed by the command line in a process of its own; speed is in
seconds of audio, each channel counted, per second; beside it stands what the process took of memory at most, and what
decoding alone takes (`stdsearch.audio.blocks` over the same files, one thread). --hours makes everything shorter.
"""

import argparse
import itertools
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from measure import measured, write_result
from rich.console import Console
from rich.table import Table

from stdsearch import audio
from stdsearch.archive import open_archive

TINY_SECONDS = 0.3
CALL_SECONDS = 300.0
TELEPHONE_RATE = 8000  # Hz


def speech(folder: Path) -> Iterator[np.ndarray]:
    """The utterances below a folder of recordings, (n,) float32 at 16 kHz, over and over."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in audio.SUFFIXES)
    for path in itertools.cycle(paths):
        yield audio.read(path)


def write_long(folder: Path, utterances: Iterator[np.ndarray], seconds: float) -> None:
    """One FLAC file."""
    n_left = round(seconds * audio.SAMPLE_RATE)
    with soundfile.SoundFile(folder / "long.flac", "w", audio.SAMPLE_RATE, 1) as file:
        while n_left > 0:
            utterance = next(utterances)[:n_left]
            file.write(utterance)
            n_left -= len(utterance)


def write_tiny(folder: Path, utterances: Iterator[np.ndarray], seconds: float) -> None:
    """WAV files of TINY_SECONDS, a thousand in a folder."""
    n_samples = round(TINY_SECONDS * audio.SAMPLE_RATE)
    pieces = (
        utterance[at : at + n_samples]
        for utterance in utterances
        for at in range(0, len(utterance) - n_samples + 1, n_samples)
    )
    for number, piece in enumerate(itertools.islice(pieces, round(seconds / TINY_SECONDS))):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.wav"
        path.parent.mkdir(exist_ok=True)
        audio.write_wav(path, piece)


def write_telephone(folder: Path, utterances: Iterator[np.ndarray], seconds: float) -> None:
    """WAV files of two channels in µ-law, of CALL_SECONDS, one speaking while the other is silent."""
    import soxr

    for number in range(max(1, round(seconds / 2 / CALL_SECONDS))):
        with soundfile.SoundFile(folder / f"{number:03d}.wav", "w", TELEPHONE_RATE, 2, "ULAW") as file:
            n_left = round(min(CALL_SECONDS, seconds / 2) * TELEPHONE_RATE)
            for channel in itertools.cycle((0, 1)):
                said = soxr.resample(next(utterances), audio.SAMPLE_RATE, TELEPHONE_RATE)[:n_left]
                both = np.zeros((len(said), 2), np.float32)
                both[:, channel] = said
                file.write(both)
                n_left -= len(said)
                if n_left <= 0:
                    break


KINDS: dict[str, tuple[Callable[[Path, Iterator[np.ndarray], float], None], float]] = {  # and hours, channels counted
    "one hour": (write_long, 1.0),
    "ten hours": (write_long, 10.0),
    f"files of {TINY_SECONDS} s": (write_tiny, 5000 * TINY_SECONDS / 3600),
    "two channels, 8 kHz µ-law": (write_telephone, 1.0),
}


def decoding_seconds(folder: Path) -> float:
    """How long decoding alone takes."""
    began = time.perf_counter()
    for path in sorted(folder.rglob("*.*")):
        for _ in audio.blocks(path, seconds=30.0):
            pass
    return time.perf_counter() - began


def figures(kind: str, folder: Path, archive: Path, threads: int) -> dict[str, Any]:
    """What indexing a folder of files costs."""
    shutil.rmtree(archive, ignore_errors=True)
    indexing = measured(
        [sys.executable, "-m", "stdsearch", "index", str(folder), "--out", str(archive), "--threads", str(threads)]
    )
    seconds, cpu = indexing["seconds"], indexing["cpu_seconds"]
    recordings = open_archive(archive).recordings.values()
    spoken = sum(recording.duration * recording.channels for recording in recordings)
    decoding = decoding_seconds(folder)
    return {
        "files": len(recordings),
        "hours": round(spoken / 3600, 3),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "x_real_time": round(spoken / seconds, 1),
        "x_real_time_of_cpu": round(spoken / cpu, 1),
        "decoding_x_real_time": round(spoken / decoding, 1),
        "ms_a_file": round(1000 * cpu / len(recordings), 2),
        "peak_mib": round(indexing["peak_mib"]),
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for files and archives, a few GB")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--hours", type=float, default=1.0, help="multiplies all durations")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    found = {}
    for kind in arguments.kinds:
        write, hours = KINDS[kind]
        folder = arguments.work / kind.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write(folder, speech(arguments.speech / "audio"), 3600 * hours * arguments.hours)
        found[kind] = figures(kind, folder, arguments.work / "archive", arguments.threads)
        shutil.rmtree(folder)
    columns = list(next(iter(found.values())))
    table = Table("files", *columns)
    for kind, facts in found.items():
        table.add_row(kind, *(str(facts[column]) for column in columns))
    Console().print(table)
    print(write_result("files", {"scale": arguments.hours, "kinds": found}, threads=arguments.threads))


if __name__ == "__main__":
    main()
