"""Fits the calibration of an encoder: from the features of candidates to probabilities, on a dev task.

Candidates of every term of a detection task are labelled by the reference; two logistic models are fitted for each
kind of query (text, audio, both), see `stdsearch.calibrate`. Where the archive was opened with a verifier, its log odds
are one of the features, and the calibration is the verifier's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from stdsearch.calibrate import CONTEXT, Calibration, Logistic, expand, in_context
from stdsearch.errors import StdSearchError
from stdsearch.formats.ecf import read_ecf
from stdsearch.formats.examples import read_examples
from stdsearch.formats.hits import file_id
from stdsearch.formats.kwlist import read_kwlist
from stdsearch.formats.rttm import read_rttm
from stdsearch.kernels import merge_overlaps
from stdsearch.metrics import ScoringSettings
from stdsearch.metrics.coverage import Coverage
from stdsearch.metrics.reference import find_occurrences, spoken_words
from stdsearch.rescore import Candidates
from stdsearch.search import Archive, Request
from stdsearch.types import Spoken, Term

RIDGE = 1e-4  # L2 penalty on standardised weights, against a mean log loss
EXAMPLES = (1, 3, 5)  # how many examples a spoken query is fitted with
SQUARED = ("pace", "length", "stretch")  # features whose best value lies in the middle
INTERVAL = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Task:
    """A detection task: terms, their spoken examples by kwid, and by (kwid, file id, channel) where they are said."""

    terms: tuple[Term, ...]
    examples: Mapping[str, tuple[Spoken, ...]]
    occurrences: Mapping[tuple[str, str, int], list[INTERVAL]]

    @classmethod
    def read(cls, folder: Path) -> "Task":
        """The task in a folder with ecf.xml, ref.rttm, kwlist.xml and, for spoken queries, examples.tsv."""
        settings, kwlist = ScoringSettings(), read_kwlist(folder / "kwlist.xml")
        coverage = Coverage.from_ecf(read_ecf(folder / "ecf.xml"))
        words = spoken_words(read_rttm(folder / "ref.rttm"), coverage, word_gap=settings.word_gap)
        texts = [term.text for term in kwlist.terms]
        found = find_occurrences(words, texts, compare_normalize=kwlist.compare_normalize)
        channels = {number: key for key, number in coverage.channels.items()}
        occurrences: dict[tuple[str, str, int], list[INTERVAL]] = defaultdict(list)
        for term, first, last in zip(found.term, found.first, found.last, strict=True):
            key = (kwlist.terms[term].kwid, *channels[words.channel[first]])
            occurrences[key].append((words.tbeg[first], words.tend[last]))
        spoken = read_examples(folder / "examples.tsv") if (folder / "examples.tsv").exists() else {}
        examples = {term.kwid: spoken[term.kwid] for term in kwlist.terms if term.kwid in spoken}
        return cls(kwlist.terms, examples, occurrences)

    def requests(self, mode: str) -> list[Request]:
        """What to search for in one mode: "text", "audio" or "both"."""
        if mode == "text":
            return [Request(term.kwid, term.text) for term in self.terms]
        texts = {term.kwid: term.text if mode == "both" else "" for term in self.terms}
        return [
            Request(kwid, texts[kwid], spoken[:n])
            for n in EXAMPLES
            for kwid, spoken in self.examples.items()
            if len(spoken) >= n
        ]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One term's candidates: features by name (n,), and which are true (n,) bool."""

    features: Mapping[str, np.ndarray]
    true: np.ndarray


def label(task: Task, paths: Mapping[int, str], kwid: str, places: Candidates) -> np.ndarray:
    """Which candidates (n,) are occurrences, by NIST's rule, each occurrence given to the best candidate near it.

    paths: of the recordings, by recording id.
    """
    tolerance = ScoringSettings().tolerance
    free = {key: list(spans) for key, spans in task.occurrences.items() if key[0] == kwid}
    true = np.zeros(len(places), bool)
    for i in np.argsort(-places.score, kind="stable"):
        path = paths[int(places.recording_id[i])]
        spans = free.get((kwid, file_id(path), int(places.channel[i])), [])
        middle = (places.tbeg[i] + places.tend[i]) / 2
        for span in spans:
            if span[0] - tolerance <= middle <= span[1] + tolerance:
                spans.remove(span)
                true[i] = True
                break
    return true


def labelled(
    task: Task, paths: Mapping[int, str], kwid: str, places: Candidates, features: Mapping[str, np.ndarray]
) -> Labelled:
    """One term's candidates, overlapping ones merged as search does once their borders are exact."""
    kept = merge_overlaps(places.recording_id, places.channel, places.tbeg, places.tend, places.score)
    chosen = {name: value[kept] for name, value in features.items()}
    return Labelled(chosen, label(task, paths, kwid, places.take(kept)))


def collect(task: Task, archive: Archive, requests: Iterable[Request]) -> list[Labelled]:
    """The candidates of every request that has any."""
    paths = {recording_id: recording.path for recording_id, recording in archive.reader.recordings.items()}
    found = ((request.kwid, *archive.candidates(archive.prepare(request))) for request in requests)
    return [labelled(task, paths, kwid, places, features) for kwid, places, features in found if len(places)]


def fit_calibration(terms: Sequence[Labelled]) -> Calibration:
    """The calibration that best explains which candidates are true."""
    true = np.concatenate([np.empty(0, bool), *(term.true for term in terms)])
    if not true.any() or true.all():
        raise StdSearchError("the task gives no true candidate, or no false one; calibrate on an archive that holds it")
    names = list(terms[0].features)
    names += [f"{name}²" for name in names if name in SQUARED]
    expanded = [expand(term.features) for term in terms]
    own = fit_logistic({name: np.concatenate([e[name] for e in expanded]) for name in names}, true)
    contexts = [in_context(own.log_odds(e)) for e in expanded]
    context = fit_logistic({name: np.concatenate([c[name] for c in contexts]) for name in CONTEXT}, true)
    return Calibration(own, context)


def fit_logistic(features: Mapping[str, np.ndarray], true: np.ndarray) -> Logistic:
    """The logistic model of least mean log loss, with RIDGE on the weights of standardised features."""
    x = np.stack(list(features.values()), axis=1)
    centre, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    x, sign = (x - centre) / spread, np.where(true, 1.0, -1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = sign * (x @ weights + bias)
        slope = -sign / (1 + np.exp(np.clip(margin, -500, 500))) / len(x)
        value = np.logaddexp(0, -margin).mean() + RIDGE * weights @ weights
        return value, np.append(x.T @ slope + 2 * RIDGE * weights, slope.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    centres, spreads, weights = (tuple(map(float, column)) for column in (centre, spread, found[:-1]))
    return Logistic(tuple(features), centres, spreads, weights, float(found[-1]))


def calibrate(
    task: Task, archive: Archive, progress: Callable[[Sequence[Request]], Iterable[Request]] = lambda items: items
) -> dict[str, Calibration]:
    """A calibration for each kind of query that the task allows."""
    modes = ("text", "audio", "both") if task.examples else ("text",)
    return {mode: fit_calibration(collect(task, archive, progress(task.requests(mode)))) for mode in modes}
