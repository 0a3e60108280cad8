"""How much speech the activity gate keeps and how much else it skips, beside silero-vad where that is installed.

    python benchmarks/activity.py ../shared/speech [--recordings 3] [--seed 2]

Utterances of each corpus are joined with pauses of 0.5 to 4 s into recordings of some 50 s, in very weak white noise,
then in recorded noise at 20, 10 and 5 dB (speech power within words to noise power). Word times are those of
alignments.jsonl; utterances of the test split are left out.
The gate's constants were tuned on seeds 0 and 1, which flatter it: report another.
For the comparison: pip install --no-deps silero-vad onnxruntime. Writes benchmarks/results/activity.json.
"""

import argparse
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import write_result

from stdsearch.activity import speech_spans
from stdsearch.audio import SAMPLE_RATE, read
from train.manifest import read_words
from train.prepare.source import SourceUtterance
from train.prepare.table import read_table

FRAME = SAMPLE_RATE // 100
SNRS = (None, 20, 10, 5)  # dB
SILERO_BLOCK, SILERO_CONTEXT = 512, 64  # samples
SILERO_THRESHOLDS = (0.5, 0.15, 0.05)
PADDING_SECONDS = 0.3  # around what silero-vad takes for speech, as the gate has it


@dataclass(frozen=True, slots=True)
class Recording:
    """A waveform (n,) and for each 10 ms whether a word is said."""

    snr: int | None
    waveform: np.ndarray
    is_word: np.ndarray


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="directory with manifest.tsv, alignments.jsonl, audio and noise")
    parser.add_argument("--recordings", type=int, default=3, help="of each corpus")
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    recordings = list(_recordings(arguments.speech, arguments.recordings, np.random.default_rng(arguments.seed)))
    spans, speed = _run(speech_spans, recordings)
    kept = [_frames(some, len(recording.waveform)) for some, recording in zip(spans, recordings, strict=True)]
    figures = {"gate": {**_shares(kept, recordings), "times_real_time_of_cpu": speed}}
    if all(map(importlib.util.find_spec, ("silero_vad", "onnxruntime"))):
        probabilities, speed = _run(_silero(), recordings)
        for threshold in SILERO_THRESHOLDS:
            kept = [_widened(some > threshold) for some in probabilities]
            figures[f"silero-vad {threshold}"] = {**_shares(kept, recordings), "times_real_time_of_cpu": speed}
    minutes = sum(len(recording.waveform) for recording in recordings) / SAMPLE_RATE / 60
    result = {"load": round(os.getloadavg()[0], 1), "minutes": round(minutes), "detectors": figures}
    print(write_result("activity", result, threads=1).read_text(encoding="utf-8"))


def _recordings(speech: Path, n_recordings: int, rng: np.random.Generator) -> Iterator[Recording]:
    words = read_words(speech / "alignments.jsonl")
    noises = [read(path) for path in sorted((speech / "noise").glob("*.opus"))]
    corpora: dict[str, list[SourceUtterance]] = {}
    for source in read_table(speech / "manifest.tsv"):
        if source.utterance in words and source.split != "test":
            corpora.setdefault(str(source.audio.parent.parent), []).append(source)
    for sources in corpora.values():
        for _ in range(n_recordings):
            parts, times, n = [], [], 0
            while n < 50 * SAMPLE_RATE:
                source = sources[rng.integers(len(sources))]
                parts += [np.zeros(round(rng.uniform(0.5, 4) * SAMPLE_RATE), np.float32), read(source.audio)]
                start = (n + len(parts[-2])) / SAMPLE_RATE
                times += [(start + word.tbeg, start + word.tend) for word in words[source.utterance]]
                n += len(parts[-2]) + len(parts[-1])
            clean = np.concatenate(parts) + rng.normal(size=n).astype(np.float32) * 10 ** (-65 / 20)
            is_word = _frames(np.array(times), n)
            power = np.mean(clean[: len(is_word) * FRAME].reshape(-1, FRAME)[is_word] ** 2)
            noise = np.resize(noises[rng.integers(len(noises))], n)
            for snr in SNRS:
                gain = 0.0 if snr is None else np.sqrt(power / np.mean(noise**2) / 10 ** (snr / 10))
                yield Recording(snr, (clean + gain * noise).astype(np.float32), is_word)


def _run(detect: Callable[[np.ndarray], np.ndarray], recordings: list[Recording]) -> tuple[list[np.ndarray], int]:
    """What a detector says of each recording, and how many times faster than real time."""
    begun = time.process_time()
    found = [detect(recording.waveform) for recording in recordings]
    cpu_seconds = time.process_time() - begun
    return found, round(sum(len(recording.waveform) for recording in recordings) / SAMPLE_RATE / cpu_seconds)


def _shares(kept: list[np.ndarray], recordings: list[Recording]) -> dict[str, object]:
    """Share of word time kept and of the rest skipped, at each noise level and over all."""
    shares: dict[str, object] = {}
    for snr in ("all", *SNRS):
        pairs = [(k, r.is_word) for k, r in zip(kept, recordings, strict=True) if snr in ("all", r.snr)]
        is_kept, is_word = (np.concatenate(column) for column in zip(*pairs, strict=True))
        shares["clean" if snr is None else f"{snr} dB" if snr in SNRS else snr] = {
            "words_kept": round(float(is_kept[is_word].mean()), 4),
            "rest_skipped": round(float(1 - is_kept[~is_word].mean()), 3),
        }
    return shares


def _frames(spans: np.ndarray, n_samples: int) -> np.ndarray:
    """Spans (n, 2) in seconds as a boolean for each 10 ms."""
    inside = np.zeros(n_samples // FRAME, bool)
    for tbeg, tend in np.round(spans * 100).astype(int):
        inside[tbeg:tend] = True
    return inside


def _silero() -> Callable[[np.ndarray], np.ndarray]:
    """Probability of speech for each 10 ms of a waveform."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    folder = Path(str(importlib.util.find_spec("silero_vad").origin)).parent
    session = onnxruntime.InferenceSession(folder / "data" / "silero_vad.onnx", options)

    def probabilities(waveform: np.ndarray) -> np.ndarray:
        state, found = np.zeros((2, 1, 128), np.float32), []
        padded = np.pad(waveform, (SILERO_CONTEXT, -len(waveform) % SILERO_BLOCK))[None]
        for at in range(0, padded.shape[1] - SILERO_CONTEXT, SILERO_BLOCK):
            block = padded[:, at : at + SILERO_CONTEXT + SILERO_BLOCK]
            output, state = session.run(None, {"input": block, "state": state, "sr": np.array(SAMPLE_RATE)})
            found.append(output.item())
        return np.repeat(found, SILERO_BLOCK)[FRAME // 2 :: FRAME][: len(waveform) // FRAME]

    return probabilities


def _widened(is_speech: np.ndarray) -> np.ndarray:
    return np.convolve(is_speech, np.ones(2 * round(PADDING_SECONDS * 100) + 1), mode="same") > 0


if __name__ == "__main__":
    main()
