"""Training batches for span encoders: crops of utterances, labelled spans, pronunciations to tell apart.

A class is a phone string. Its spans are whole words, phrases and runs of phones across words, cut with the
inexactness that slicing will have; other spans of the same audio, without a label, are there to be told apart.
Batch t of a seed is the same on every machine, so that a resumed run sees what an undisturbed one would.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stdsearch.encoder.span import STRIDE
from stdsearch.errors import StdSearchError
from stdsearch.features import LOG_FLOOR
from stdsearch.phones import PHONES
from train.augment import Augment
from train.speech import Phones, SpeechData

ENDINGS: tuple[Phones, ...] = tuple(
    tuple(ending.split()) for ending in ("S", "Z", "IH Z", "T", "D", "IH D", "IH NG", "ER", "IY", "L IY")
)


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What a batch holds; times in seconds."""

    crops: int = 36
    crop_seconds: float = 5.0
    isolated: int = 24  # words cut out and encoded alone, as a spoken query may be
    isolated_seconds: float = 1.4
    paired: float = 0.5  # share of the crops chosen to repeat a word of the others, by another speaker
    min_phones: int = 3
    max_phones: int = 20
    runs: int = 9  # runs of phones and phrases, per crop
    run_phones: tuple[int, int] = (3, 13)
    distractors: int = 8  # unlabelled spans, per crop
    distractor_seconds: tuple[float, float] = (0.15, 1.6)
    dictionary_negatives: int = 150
    edited_negatives: int = 400
    inflected_negatives: int = 100
    border_noise: float = 0.015  # standard deviation of a border cut with care
    slice_shift: float = 0.10  # ± share of the length that slicing may shift a span by
    slice_stretch: float = 0.14  # ± share of the length that slicing may be off by
    max_gap: float = 0.15  # a silence longer than this ends a run of phones
    same_place: float = 0.7  # overlap (intersection over union) from which two spans count as one place


@dataclass(frozen=True, slots=True)
class Crops:
    """A batch of audio: mel (B, T, n_mels), lengths (B,) in mel frames, and what each 20 ms holds.

    phones: (B, T / 2) indices into SYMBOLS; edges: (B, T / 2), 1 where a word begins or ends in or beside them, else 0.
    """

    mel: Tensor
    lengths: Tensor
    phones: Tensor
    edges: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops and isolated words, the spans in them (crops first), and the classes.

    row: (n,) into crops, then isolated words; begin, end: (n,) in network frames; target: (n,) into texts, or -1;
    n_crop_spans: how many of the n lie in crops; ignored: (k, 2) as in CLAPLoss; texts: phone strings, classes first.
    """

    crops: Crops
    isolated: Crops
    row: Tensor
    begin: Tensor
    end: Tensor
    n_crop_spans: int
    target: Tensor
    ignored: Tensor
    texts: list[Phones]


@dataclass(frozen=True, slots=True)
class _Cut:
    """An utterance, or part of it, on the way into a batch: times in seconds from the cut's start."""

    utterance: int
    tbeg: float
    speed: float


class Batches:
    """Draws batch number t for a seed; `weights` (one per utterance) set the mix of the corpora."""

    def __init__(
        self,
        data: SpeechData,
        settings: DataSettings,
        augment: Callable[[int], Augment],
        dictionary: Sequence[Phones],
        weights: np.ndarray,
        seed: int,
    ) -> None:
        self.data, self.settings, self.augment, self.dictionary, self.seed = data, settings, augment, dictionary, seed
        self.cumulative, self.is_drawn = np.cumsum(weights) / np.sum(weights), weights > 0

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        s = self.settings
        random = np.random.default_rng((self.seed, step))
        augment = self.augment(int(random.integers(2**31)))
        picks = self._pick_crops(random)
        speeds = augment.draw_speeds(len(picks)).numpy()
        cuts = [self._place(pick, speed, random) for pick, speed in zip(picks, speeds, strict=True)]
        crops = self._crops(cuts, np.full(len(cuts), s.crop_seconds), augment)

        spans: list[tuple[int, float, float, Phones | None]] = []
        words: list[tuple[_Cut, float, float, Phones]] = []
        for row, cut in enumerate(cuts):
            labelled = self._labelled(cut, random)
            spans += [(row, b, e, phones) for b, e, phones, _ in labelled]
            duration = float(crops.lengths[row]) * self.data.hop
            spans += [(row, b, e, None) for b, e in self._distractors(duration, random)]
            words += [(cut, b, e, phones) for b, e, phones, is_word in labelled if is_word and e - b < 1.2]
        n_crop_spans = len(spans)

        ends: list[float] = []
        isolated_cuts: list[_Cut] = []
        isolated_spans: list[tuple[int, float, float, Phones | None]] = []
        for pick in random.permutation(len(words))[: s.isolated]:
            cut, b, e, phones = words[pick]
            before, after = random.uniform(0.0, 0.15, 2)
            start = max(0.0, cut.tbeg + (b - before) * cut.speed)
            lead = b - (start - cut.tbeg) / cut.speed
            isolated_cuts.append(_Cut(cut.utterance, start, cut.speed))
            isolated_spans.append((len(cuts) + len(isolated_spans), lead, lead + e - b, phones))
            ends.append(min(s.isolated_seconds, lead + e - b + after))
        if not isolated_cuts:
            raise StdSearchError(
                f"step {step}: no word of {s.min_phones} phones or more in {s.crops} crops; give more speech"
            )
        isolated = self._crops(isolated_cuts, np.array(ends), augment, s.isolated_seconds)
        spans += isolated_spans

        classes = {phones: i for i, phones in enumerate(dict.fromkeys(p for *_, p in spans if p is not None))}
        target = np.array([-1 if p is None else classes[p] for *_, p in spans])
        rows = np.array([r for r, *_ in spans])
        exact = np.array([(b, e) for _, b, e, _ in spans])
        begin, end = self._jitter(exact, target >= 0, rows, crops, isolated, random).T
        frame = STRIDE * self.data.hop
        return Batch(
            crops=crops,
            isolated=isolated,
            row=torch.from_numpy(rows),
            begin=torch.from_numpy(begin / frame).float(),
            end=torch.from_numpy(end / frame).float(),
            n_crop_spans=n_crop_spans,
            target=torch.from_numpy(target),
            ignored=torch.from_numpy(same_place(rows, begin, end, target, s.same_place)),
            texts=[*classes, *self._negatives(classes, random)],
        )

    def _pick_crops(self, random: np.random.Generator) -> list[tuple[int, float | None]]:
        """(utterance, time that the crop must hold or None), some repeating words of the others."""
        s, data = self.settings, self.data
        n_paired = round(s.crops * s.paired / 2) * 2 // 2
        drawn = np.searchsorted(self.cumulative, random.random(s.crops - n_paired))
        picks: list[tuple[int, float | None]] = [(int(u), None) for u in drawn]
        for i, utterance in enumerate(drawn[:n_paired]):
            long_words = [w for w in data.utterances[utterance].words if len(w.phones) >= s.min_phones + 1]
            random.shuffle(long_words)
            for word in long_words:
                speaker = data.utterances[utterance].speaker
                said = [other for other in data.by_word[word.text] if self.is_drawn[other[0]]]
                others = [other for other in said if data.utterances[other[0]].speaker != speaker]
                if others:
                    picks[i] = (int(utterance), (word.tbeg + word.tend) / 2)
                    picks.append(others[int(random.integers(len(others)))])
                    break
            else:
                picks.append((int(np.searchsorted(self.cumulative, random.random())), None))
        return picks

    def _place(self, pick: tuple[int, float | None], speed: float, random: np.random.Generator) -> _Cut:
        """Where in its utterance a crop begins, so that it holds the wanted time."""
        utterance, time = pick
        length, spare = self.settings.crop_seconds * speed, 0.0
        spare = max(0.0, self.data.n_frames(utterance) * self.data.hop - length)
        low, high = (0.0, spare) if time is None else (max(0.0, time - length + 0.7), min(spare, time - 0.7))
        return _Cut(utterance, float(random.uniform(low, high)) if high > low else max(0.0, min(spare, low)), speed)

    def _crops(self, cuts: list[_Cut], seconds: np.ndarray, augment: Augment, longest: float | None = None) -> Crops:
        """Log-mel of the cuts, resampled and augmented, the phone in the middle of each 20 ms, and edges of words."""
        data, hop = self.data, self.data.hop
        n_frames = round((longest or float(seconds.max())) / hop) // STRIDE * STRIDE
        n_read = int(n_frames * 1.3) + 2
        mel = torch.full((len(cuts), n_read, data.mel.shape[1]), LOG_FLOOR)
        lengths = np.zeros(len(cuts), dtype=np.int64)
        phones = np.zeros((len(cuts), n_frames // 2), dtype=np.int64)
        edges = np.zeros(phones.shape, dtype=np.float32)
        middles = (np.arange(n_frames // 2) * 2 + 0.5) * hop  # mel frame t is centred on t * hop
        for i, cut in enumerate(cuts):
            first = min(round(cut.tbeg / hop), data.n_frames(cut.utterance) - 1)
            n = min(n_read, data.n_frames(cut.utterance) - first)
            at = int(data.offset[cut.utterance]) + first
            mel[i, :n] = data.mel[at : at + n].float()
            lengths[i] = min(n_frames, int(n / cut.speed), round(seconds[i] / hop))
            times, labels = data.times[cut.utterance], data.phones[cut.utterance]
            place = middles * cut.speed + cut.tbeg
            at_phone = (np.searchsorted(times[:, 0], place, side="right") - 1).clip(0)
            inside = (place >= times[at_phone, 0]) & (place < times[at_phone, 1])
            phones[i] = np.where(inside, labels[at_phone], 0)
            edges[i] = data.at_edge(cut.utterance, place)
        speeds = torch.tensor([cut.speed for cut in cuts])
        changed = augment(augment.resample(mel, speeds, n_frames))
        return Crops(changed, *map(torch.from_numpy, (lengths, phones, edges)))

    def _labelled(self, cut: _Cut, random: np.random.Generator) -> list[tuple[float, float, Phones, bool]]:
        """(begin, end, phones, is one word) of spans in a cut: its words, then runs of phones and phrases."""
        s, data = self.settings, self.data
        times = (data.times[cut.utterance] - cut.tbeg) / cut.speed
        labels, borders = data.phones[cut.utterance], data.borders[cut.utterance]
        inside = (times[:, 0] >= 0) & (times[:, 1] <= s.crop_seconds)
        # running number of the stretch without silence, or of the part outside the crop, that a phone lies in
        breaks = np.r_[0, (times[1:, 0] - times[:-1, 1] > s.max_gap) | (inside[1:] != inside[:-1])]
        stretch = np.cumsum(breaks)

        wanted = [(int(b), int(e), True) for b, e in itertools.pairwise(borders)]
        if inside.any():
            starts = random.choice(inside.nonzero()[0], s.runs)
            sizes = random.integers(s.run_phones[0], s.run_phones[1] + 1, s.runs)
            for i, (b, e) in enumerate(zip(starts, starts + sizes, strict=True)):
                if i % 2:  # a phrase: from the start of a word to the end of one
                    b = borders[np.searchsorted(borders, b, side="right") - 1]
                    e = borders[min(np.searchsorted(borders, e), len(borders) - 1)]
                wanted.append((int(b), int(e), False))
        spans: dict[tuple[int, int], tuple[float, float, Phones, bool]] = {}
        for b, e, is_word in wanted:
            fits = s.min_phones <= e - b <= s.max_phones and e <= len(labels)
            if fits and inside[b] and inside[e - 1] and stretch[b] == stretch[e - 1]:
                phones = tuple(PHONES[label - 1] for label in labels[b:e])
                spans.setdefault((b, e), (float(times[b, 0]), float(times[e - 1, 1]), phones, is_word))
        return list(spans.values())

    def _distractors(self, duration: float, random: np.random.Generator) -> list[tuple[float, float]]:
        s = self.settings
        low, high = np.log(s.distractor_seconds)
        lengths = np.minimum(np.exp(random.uniform(low, high, s.distractors)), duration)
        begins = random.uniform(0, duration - lengths)
        return list(zip(begins.tolist(), (begins + lengths).tolist(), strict=True))

    def _jitter(
        self,
        exact: np.ndarray,
        labelled: np.ndarray,
        row: np.ndarray,
        crops: Crops,
        isolated: Crops,
        random: np.random.Generator,
    ) -> np.ndarray:
        """Spans (n, 2) cut as inexactly as slicing would, half of them; the others with a little noise."""
        s, n = self.settings, len(exact)
        length = exact[:, 1] - exact[:, 0]
        middle = exact.mean(axis=1) + length * random.uniform(-s.slice_shift, s.slice_shift, n)
        sliced = length * np.exp(random.uniform(-s.slice_stretch, s.slice_stretch, n))
        coarse = np.stack([middle - sliced / 2, middle + sliced / 2], axis=1)
        fine = exact + random.normal(0, s.border_noise, (n, 2))
        cut = np.where((random.random(n) < 0.5)[:, None], coarse, fine)
        cut = np.where(labelled[:, None], cut, exact)
        duration = torch.cat([crops.lengths, isolated.lengths]).numpy()[row] * self.data.hop
        end = np.minimum(np.maximum(cut[:, 1], 0.1), duration)
        begin = np.clip(cut[:, 0], 0, np.maximum(end - 0.08, 0))
        return np.stack([begin, np.maximum(end, begin + 0.04)], axis=1)

    def _negatives(self, classes: dict[Phones, int], random: np.random.Generator) -> list[Phones]:
        """Phone strings that are not said: dictionary words, and classes with one phone or the ending changed."""
        s, known = self.settings, list(classes)
        negatives = [self.dictionary[i] for i in random.integers(len(self.dictionary), size=s.dictionary_negatives)]
        for i in random.integers(len(known), size=s.edited_negatives):
            negatives.append(edit(known[i], random))
        for i in random.integers(len(known), size=s.inflected_negatives):
            negatives.append(inflect(known[i], random))
        return list(dict.fromkeys(p for p in negatives if p not in classes and s.min_phones <= len(p) <= s.max_phones))


def edit(phones: Phones, random: np.random.Generator) -> Phones:
    """The phones with one replaced (half of the time), deleted or inserted at random."""
    place, kind = int(random.integers(len(phones))), random.random()
    other = PHONES[int(random.integers(len(PHONES)))]
    if kind < 0.5:
        return (*phones[:place], other, *phones[place + 1 :])
    if kind < 0.75:
        return (*phones[:place], *phones[place + 1 :])
    return (*phones[:place], other, *phones[place:])


def inflect(phones: Phones, random: np.random.Generator) -> Phones:
    """The phones with the ending of an inflection; half of the time without it, where they have one."""
    worn = [ending for ending in ENDINGS if phones[-len(ending) :] == ending]
    if worn and random.random() < 0.5:
        return phones[: -len(worn[int(random.integers(len(worn)))])]
    return phones + ENDINGS[int(random.integers(len(ENDINGS)))]


def same_place(row: np.ndarray, begin: np.ndarray, end: np.ndarray, target: np.ndarray, share: float) -> np.ndarray:
    """(k, 2) pairs (span, class): the span overlaps one of the class by `share` (intersection over union) or more."""
    pairs = []
    for r in np.unique(row):
        at = (row == r).nonzero()[0]
        b, e = begin[at], end[at]
        inter = np.minimum(e[:, None], e) - np.maximum(b[:, None], b)
        union = np.maximum(e[:, None], e) - np.minimum(b[:, None], b)
        i, j = np.nonzero((inter >= share * union) & (target[at] >= 0)[None, :])
        pairs.append(np.stack([at[i], target[at[j]]], axis=1))
    return np.concatenate(pairs).astype(np.int64)
