"""Subsequence DTW on MFCCs as a peer for spoken queries: what is used where nothing was trained.

39 coefficients a frame, each of mean 0 and variance 1 over the recording, compared by cosine; scores of mean 0 and
variance 1 over the places of a query. Subsequence DTW: Müller, Information Retrieval for Music and Motion, 2007,
section 4.4.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from findings import Findings, Found
from scipy.fft import dct
from scipy.ndimage import minimum_filter1d

from stdsearch import audio
from stdsearch.align import subsequence_costs
from stdsearch.encoder.interface import unit_rows
from stdsearch.features import LogMel, MelSettings
from stdsearch.kernels import merge_overlaps
from stdsearch.rescore import Candidates
from stdsearch.search import FEWEST_PLACES
from stdsearch.types import Spoken

NEAR = 0.25  # seconds between where two examples of a term may be found to end in one place


@dataclass(frozen=True, slots=True)
class MfccSettings:
    """Cepstra of log-mel, and the frames on each side that a derivative is fitted to."""

    mel: MelSettings = field(default_factory=lambda: MelSettings(n_mels=40, hop=0.01))
    n_cepstra: int = 13
    beside: int = 2


@dataclass(frozen=True, slots=True)
class Matches:
    """Where one example may end in recordings laid end to end: cost (F,), begin (F,) as from `subsequence_costs`."""

    cost: np.ndarray
    begin: np.ndarray


def mfcc(waveform: np.ndarray, settings: MfccSettings) -> np.ndarray:
    """Cepstra and their first and second derivatives (T, 3 n_cepstra), of mean 0 and variance 1, rows L2-normalised."""
    with torch.inference_mode():
        mel = LogMel(settings.mel)(torch.from_numpy(waveform)).numpy()
    cepstra = dct(mel, norm="ortho")[:, : settings.n_cepstra]
    slope = derivative(cepstra, settings.beside)
    rows = np.concatenate([cepstra, slope, derivative(slope, settings.beside)], axis=1)
    return unit_rows((rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-6))


def derivative(rows: np.ndarray, beside: int) -> np.ndarray:
    """The slope (T, d) at each frame of the line fitted to it and the frames beside it, the ends repeated."""
    padded = np.pad(rows, ((beside, beside), (0, 0)), mode="edge")
    steps = np.arange(1, beside + 1)
    at = np.arange(len(rows)) + beside
    return sum(k * (padded[at + k] - padded[at - k]) for k in steps) / (2 * (steps**2).sum())


def find(
    queries: Mapping[str, Sequence[Spoken]],
    n_examples: Mapping[str, int],
    recordings: Mapping[str, Path],
    settings: MfccSettings,
) -> Findings:
    """The best FEWEST_PLACES places of each query, by kind of query, which takes so many examples.

    queries: examples by kwid. Queries that have too few for a kind are left out of it.
    """

    @lru_cache(maxsize=256)
    def whole(path: Path) -> np.ndarray:
        return mfcc(audio.read(path), settings)

    parts = [whole(path) for path in recordings.values()]
    frames, offsets = np.concatenate(parts), np.cumsum([0, *map(len, parts)])
    hop = settings.mel.hop
    found: dict[str, list[Found]] = {kind: [] for kind in n_examples}
    cpu, n_matched = 0.0, 0
    subsequence_costs(frames[:2], frames[:2], np.array([0, 2]))  # compiled before the clock runs
    for kwid, spoken in queries.items():
        taken = spoken[: max((n for n in n_examples.values() if n <= len(spoken)), default=0)]
        examples = [said(whole(example.path), example, hop) for example in taken]
        began = time.process_time()
        matches = [Matches(*subsequence_costs(example, frames, offsets)) for example in examples]
        cpu, n_matched = cpu + time.process_time() - began, n_matched + len(examples)
        for kind, n in n_examples.items():
            if n <= len(spoken):
                seconds = float(np.mean([len(example) for example in examples[:n]])) * hop
                found[kind].append(Found(kwid, *candidates(matches[:n], offsets, hop, seconds)))
    cost = {kind: n * cpu / n_matched for kind, n in n_examples.items()}
    return Findings({kind: terms for kind, terms in found.items() if terms}, cost)


def said(rows: np.ndarray, example: Spoken, hop: float) -> np.ndarray:
    """The rows of an example in those of its recording."""
    whole = example.tbeg is None or example.tend is None
    return rows if whole else rows[round(example.tbeg / hop) : round(example.tend / hop)]


def candidates(
    matches: Sequence[Matches], offsets: np.ndarray, hop: float, seconds: float
) -> tuple[Candidates, dict[str, np.ndarray]]:
    """The best FEWEST_PLACES places of one query, and their features (n,) by name.

    A place is where an example's cost is least among its neighbours. Its score is the mean over examples of the cost
    there, for the other examples the least within NEAR. offsets: (m + 1,) as in align_phones; hop: seconds a frame;
    seconds: how long the examples last on average.

    Features: `dtw`, 1 - cost; `z`, how many standard deviations it is above the query's mean place; `stretch`, the log
    ratio of its duration to the examples'; `length`, the log of ten times theirs, as in `stdsearch.rescore`.
    """
    near = [_least_near(match.cost, offsets, round(NEAR / hop)) for match in matches]
    rows = []
    for i, match in enumerate(matches):
        ends = valleys(match.cost, offsets)
        others = sum(least[ends] for j, least in enumerate(near) if j != i)
        rows.append((ends, match.begin[ends], (match.cost[ends] + others) / len(matches)))
    ends, begin, cost = (np.concatenate(column) for column in zip(*rows, strict=True))
    recording_id = np.searchsorted(offsets, ends, side="right") - 1
    tbeg, tend = begin * hop, (ends - offsets[recording_id] + 1) * hop
    places = Candidates(recording_id.astype(np.int32), np.ones(len(ends), np.int16), tbeg, tend, -cost)
    features = {
        "dtw": 1 - cost.astype(np.float64),
        "z": (cost.mean() - cost) / max(cost.std(), 1e-6),
        "stretch": np.log((tend - tbeg) / seconds),
        "length": np.full(len(ends), np.log(10 * seconds)),
    }
    best = merge_overlaps(places.recording_id, places.channel, tbeg, tend, places.score)[:FEWEST_PLACES]
    return places.take(best), {name: value[best] for name, value in features.items()}


def valleys(cost: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The frames, ascending, whose cost is less than that of the frame before and not more than that of the next."""
    before, after = np.append(np.inf, cost[:-1]), np.append(cost[1:], np.inf)
    before[offsets[:-1]] = after[offsets[1:] - 1] = np.inf
    return np.flatnonzero((cost < before) & (cost <= after))


def _least_near(cost: np.ndarray, offsets: np.ndarray, frames: int) -> np.ndarray:
    """The least cost (F,) within so many frames in the same recording."""
    parts = np.split(cost, offsets[1:-1])
    return np.concatenate([minimum_filter1d(part, 2 * frames + 1, mode="nearest") for part in parts])
