"""Training batches of cut words: W words × M instances each, as the recipes of JMCL and ADML take them.

A class is a phone string, so that words that sound alike are one and share their embedding of text. Batch t of a seed
is the same on every machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stdsearch.encoder import pad_phones
from stdsearch.errors import StdSearchError
from stdsearch.features import LOG_FLOOR
from train.augment import Augment
from train.manifest import Word
from train.speech import Phones, SpeechData

SHORTEST_CUT = 0.1  # seconds that are left of a word, however its borders are moved


@dataclass(frozen=True, slots=True)
class WordSettings:
    """Which words there are, and what a batch holds; times in seconds."""

    words: int = 128
    instances: int = 4  # of each word; where there are fewer, some come again, cut and changed in another way
    shortest: float = 0.5
    longest: float = 2.0
    min_letters: int = 3
    border_noise: float = 0.02  # standard deviation of where a word is cut

    def takes(self, word: Word) -> bool:
        """Whether a word is one of them."""
        return self.shortest <= word.tend - word.tbeg <= self.longest and len(word.text) >= self.min_letters


@dataclass(frozen=True, slots=True)
class WordBatch:
    """N = W · M clips, word by word.

    mel (N, T, n_mels), lengths (N,) in mel frames; word (N,) index into the batch's words; phones (W, L) indices into
    SYMBOLS, zero beyond phone_lengths (W,); label (W,) the words' classes among all of the training set; epoch: how
    often, with fractions, the words were passed before.
    """

    mel: Tensor
    lengths: Tensor
    word: Tensor
    phones: Tensor
    phone_lengths: Tensor
    label: Tensor
    epoch: float


@dataclass(frozen=True, slots=True)
class Clip:
    """A word where it is said: index of the utterance, seconds from its start."""

    utterance: int
    tbeg: float
    tend: float
    text: str
    phones: Phones


def find_clips(data: SpeechData, settings: WordSettings) -> list[Clip]:
    """The words that the settings take, in the order of the utterances."""
    return [
        Clip(i, word.tbeg, word.tend, word.text, tuple(span.phone for span in word.phones))
        for i, utterance in enumerate(data.utterances)
        for word in utterance.words
        if settings.takes(word)
    ]


def cut_clip(data: SpeechData, clip: Clip, tbeg: float, tend: float) -> Tensor:
    """Log-mel (n, n_mels) float32 of [tbeg, tend) of the clip's utterance, at least a frame of it."""
    n_frames = data.n_frames(clip.utterance)
    first = min(max(0, round(tbeg / data.hop)), n_frames - 1)
    last = min(max(first + 1, round(tend / data.hop)), n_frames)
    start = int(data.offset[clip.utterance])
    return data.mel[start + first : start + last].float()


def pad_clips(clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Log-mel (n, T, n_mels), silence beyond their lengths (n,)."""
    lengths = torch.tensor([len(clip) for clip in clips])
    padded = torch.full((len(clips), int(lengths.max()), clips[0].shape[1]), LOG_FLOOR)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    return padded, lengths


class WordBatches:
    """Draws batch number t for a seed: every word once an epoch, in an order of the epoch's own."""

    def __init__(
        self,
        data: SpeechData,
        settings: WordSettings,
        augment: Callable[[int], Augment] | None,
        seed: int,
    ) -> None:
        self.data, self.settings, self.augment, self.seed = data, settings, augment, seed
        self.clips = find_clips(data, settings)
        self.classes = list(dict.fromkeys(clip.phones for clip in self.clips))
        if len(self.classes) < 2:
            raise StdSearchError(
                f"the training split has {len(self.classes)} words of {settings.shortest:g} to {settings.longest:g} s "
                f"and {settings.min_letters} letters or more; give more speech"
            )
        number = {phones: i for i, phones in enumerate(self.classes)}
        class_of = np.array([number[clip.phones] for clip in self.clips])
        order = np.argsort(class_of, kind="stable")
        self.members = np.split(order, np.cumsum(np.bincount(class_of))[:-1])
        self.n_words = min(settings.words, len(self.classes))
        self.steps_per_epoch = len(self.classes) // self.n_words

    def __call__(self, step: int) -> WordBatch:
        """The batch of a step."""
        s = self.settings
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.classes))
        chosen = order[place * self.n_words : (place + 1) * self.n_words]
        random = np.random.default_rng((self.seed, 2, step))
        clips = [self.clips[i] for word in chosen for i in self._instances(self.members[word], random)]
        moved = np.array([(clip.tbeg, clip.tend) for clip in clips]) + random.normal(0, s.border_noise, (len(clips), 2))
        moved[:, 1] = np.maximum(moved[:, 1], moved[:, 0] + SHORTEST_CUT)
        mel, lengths = pad_clips([cut_clip(self.data, c, b, e) for c, (b, e) in zip(clips, moved, strict=True)])
        if self.augment:
            augment = self.augment(int(random.integers(2**31)))
            speeds = augment.draw_speeds(len(clips))
            lengths = (lengths / speeds).long().clamp_min(1)
            mel = augment(augment.resample(mel, speeds, int(lengths.max())))
        phones, phone_lengths = map(torch.from_numpy, pad_phones([self.classes[word] for word in chosen]))
        word = torch.arange(len(chosen)).repeat_interleave(s.instances)
        label = torch.from_numpy(chosen)
        return WordBatch(mel, lengths, word, phones, phone_lengths, label, step / self.steps_per_epoch)

    def _instances(self, members: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """So many of a word's clips, none again before all were taken."""
        n = self.settings.instances
        rounds = [random.permutation(members) for _ in range(-(-n // len(members)))]
        drawn: np.ndarray = np.concatenate(rounds)[:n]
        return drawn
