"""pocketsphinx as a peer: keyphrase spotting, the search that it offers for terms without a transcript.

Every pronunciation of a term that its dictionary has is a keyphrase, all spotted in one pass. A detection's score is
the log-likelihood ratio between the keyphrase and a loop of phones; of detections of one keyphrase that overlap,
pocketsphinx keeps the best. A term with a word that the dictionary lacks is not found.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path

import numpy as np
from findings import Findings, Found
from pocketsphinx import Config, Decoder, get_model_path

from stdsearch import audio
from stdsearch.kernels import merge_overlaps
from stdsearch.rescore import Candidates
from stdsearch.search import FEWEST_PLACES
from stdsearch.types import Term

KWS_MAX = 1500  # pocketsphinx takes it off a ratio, to be a probability's logarithm
FRAME_SECONDS = 0.01
SEARCH = "terms"  # the name that the decoder has for it


@dataclass(frozen=True, slots=True)
class SpotSettings:
    """threshold: the least likelihood ratio of a detection; pronunciations: at most so many of a term.

    As good as dev allows, see docs/experiments.md.
    """

    threshold: float = 1e-50
    pronunciations: int = 4


@dataclass(frozen=True, slots=True)
class Detection:
    """A keyphrase found: begin and end in seconds, ratio in nats."""

    keyphrase: str
    tbeg: float
    tend: float
    ratio: float


class Spotter:
    """pocketsphinx with its own acoustic model and dictionary, listening for terms."""

    def __init__(self, terms: Iterable[Term], settings: SpotSettings) -> None:
        # without a delay, what ends with the recording is found too
        self._decoder = Decoder(
            Config(
                hmm=get_model_path("en-us/en-us"),
                dict=get_model_path("en-us/cmudict-en-us.dict"),
                lm=None,
                kws_delay=0,
                loglevel="FATAL",
            )
        )
        self.keyphrases: dict[str, str] = {}  # the kwid of each
        for term in terms:
            words = [list(self._entries(word)) for word in term.text.lower().split()]
            for entries in islice(product(*words), settings.pronunciations):
                self.keyphrases[" ".join(entries)] = term.kwid
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".list") as file:
            file.writelines(f"{keyphrase} /{settings.threshold:g}/\n" for keyphrase in self.keyphrases)
            file.flush()
            self._decoder.add_kws(SEARCH, file.name)
        self._decoder.activate_search(SEARCH)

    @property
    def known(self) -> set[str]:
        """The kwids of the terms whose every word is in the dictionary."""
        return set(self.keyphrases.values())

    def n_phones(self, keyphrase: str) -> int:
        """How many phones a keyphrase has."""
        return sum(len(self._decoder.lookup_word(entry).split()) for entry in keyphrase.split())

    def spot(self, waveform: np.ndarray) -> Iterator[Detection]:
        """The detections in a recording (n,), float32 at 16 kHz, normalised as a whole."""
        pcm = (np.clip(waveform, -1, 1) * 32767).astype("<i2").tobytes()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()
        logarithms = self._decoder.logmath
        for segment in self._decoder.seg() or ():
            yield Detection(
                segment.word.strip(),
                segment.start_frame * FRAME_SECONDS,
                (segment.end_frame + 1) * FRAME_SECONDS,
                _nats(logarithms.log(segment.prob)),
            )

    def _entries(self, word: str) -> Iterator[str]:
        """The dictionary's names of a word: itself, word(2), ..."""
        names = (word if n == 1 else f"{word}({n})" for n in count(1))
        for name in names:
            if self._decoder.lookup_word(name) is None:
                return
            yield name


def _nats(score: float) -> float:
    """A ratio in nats from a detection's score, which counts in logarithms to the base 1.0001, shifted by ten bits."""
    return (score + KWS_MAX) * 1024 * float(np.log(1.0001))


def find(terms: Sequence[Term], recordings: Mapping[str, Path], settings: SpotSettings) -> Findings:
    """The best FEWEST_PLACES places of each term in recordings, overlapping ones merged.

    Features: `ratio`, in nats, and `ratio_per_phone`; `length`, the log of the number of phones; `pace`, seconds a
    phone.
    """
    spotter, cpu = Spotter(terms, settings), 0.0
    n_phones = {keyphrase: spotter.n_phones(keyphrase) for keyphrase in spotter.keyphrases}
    rows: dict[str, list[tuple[int, float, float, float, int]]] = defaultdict(list)
    for recording_id, path in enumerate(recordings.values()):
        waveform = audio.read(path)
        began = time.process_time()
        for hit in spotter.spot(waveform):
            row = (recording_id, hit.tbeg, hit.tend, hit.ratio, n_phones[hit.keyphrase])
            rows[spotter.keyphrases[hit.keyphrase]].append(row)
        cpu += time.process_time() - began
    found = [_found(kwid, np.array(of_term)) for kwid, of_term in rows.items()]
    return Findings({"text": found}, {"text": cpu / len(spotter.known)})


def _found(kwid: str, rows: np.ndarray) -> Found:
    recording_id, tbeg, tend, ratio, n_phones = rows.T
    channel = np.ones(len(rows), np.int16)
    places = Candidates(recording_id.astype(np.int32), channel, tbeg, tend, ratio)
    best = merge_overlaps(places.recording_id, channel, tbeg, tend, ratio)[:FEWEST_PLACES]
    features = {
        "ratio": ratio,
        "ratio_per_phone": ratio / n_phones,
        "length": np.log(n_phones),
        "pace": (tend - tbeg) / n_phones,
    }
    return Found(kwid, places.take(best), {name: value[best] for name, value in features.items()})
