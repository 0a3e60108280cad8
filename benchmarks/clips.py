"""Clips: stretches of speech that benchmarks compare, and what an encoder makes of them.

An encoder hears a clip's whole context, an utterance or a recording, once, and embeds the clips in it as spans;
encoders of single segments cut them out by themselves. `alone` cuts a clip out beforehand, as the papers' sets are.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stdsearch.audio import read
from stdsearch.encoder import Encoder, Frames
from stdsearch.errors import StdSearchError
from stdsearch.pronounce import Pronouncer
from train.manifest import Utterance, read_manifest

Phones = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """A word or phrase in its context, times in seconds.

    The context is the stretch of an audio file's channel from tbeg on, dur long or to the end; the clip lies in it from
    begin to end.
    """

    text: str
    speaker: str
    audio: Path
    begin: float
    end: float
    channel: int = 1
    tbeg: float = 0.0
    dur: float | None = None

    @property
    def seconds(self) -> float:
        """How long the clip is, to the millisecond, so that half a second is no less."""
        return round(self.end - self.begin, 3)

    def alone(self) -> "Clip":
        """The clip as its own context."""
        return replace(self, tbeg=self.tbeg + self.begin, dur=self.seconds, begin=0.0, end=self.seconds)


def read_parts(manifest: Path, parts: Sequence[str]) -> list[Utterance]:
    """The utterances of a manifest whose split (dev) or corpus (librispeech/test-clean) is among the parts, sorted.

    Raises StdSearchError for a part that has none.
    """
    utterances = read_manifest(manifest)
    known = {u.split for u in utterances} | {u.corpus for u in utterances}
    for part in parts:
        if part not in known:
            raise StdSearchError(f"{manifest}: no utterance of {part}; there are {', '.join(sorted(known))}")
    chosen = [u for u in utterances if {u.split, u.corpus} & set(parts)]
    return sorted(chosen, key=lambda u: u.utterance)


def word_clips(utterances: Iterable[Utterance], folder: Path) -> list[Clip]:
    """A clip for each word of utterances whose manifest lies in a folder."""
    return [
        Clip(w.text, u.speaker, folder / u.audio, w.tbeg, w.tend, u.channel, u.tbeg, u.dur)
        for u in utterances
        for w in u.words
    ]


def pronounce(texts: Iterable[str]) -> list[Phones]:
    """The first pronunciation of each text, word by word."""
    texts, pronouncer = list(texts), Pronouncer()
    words = {word: pronouncer.pronounce(word)[0] for word in sorted({word for text in texts for word in text.split()})}
    return [tuple(phone for word in text.split() for phone in words[word]) for text in texts]


def embed_clips(encoder: Encoder, clips: Sequence[Clip]) -> np.ndarray:
    """Embeddings (n, dim) of clips."""
    vectors = np.empty((len(clips), encoder.settings.dim), dtype=np.float32)
    for places, frames in heard(encoder, clips):
        begin, end = np.array([(clips[place].begin, clips[place].end) for place in places]).T
        vectors[places] = encoder.embed_spans(frames, begin, end)
    return vectors


def heard(encoder: Encoder, clips: Sequence[Clip]) -> Iterator[tuple[list[int], Frames]]:
    """The frames of each context, encoded once, with the places of its clips."""
    contexts: dict[tuple, list[int]] = defaultdict(list)
    for place, clip in enumerate(clips):
        contexts[clip.audio, clip.channel, clip.tbeg, clip.dur].append(place)
    for (audio, channel, tbeg, dur), places in contexts.items():
        yield places, encoder.frames(read(audio, channel=channel, tbeg=tbeg, dur=dur))
