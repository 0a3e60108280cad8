"""Forced alignment by pocketsphinx: where in the audio each word and phone of a known transcript is said.

The first pass finds the words, their pronunciations and the silence between them; the second, held to the borders of
the words, finds the phones. The acoustic model is the US English one in the pocketsphinx wheel, 100 frames a second.
Pronunciations all come from the caller. Every utterance has its own decoder (made in some 10 ms): one that has heard
other utterances aligns a little differently, and results must not depend on the order of work.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pocketsphinx import Decoder

from train.manifest import PhoneSpan, Word

FRAME_SECONDS = 0.01
MIN_PHONE_SECONDS = 3 * FRAME_SECONDS  # each of a phone's three states takes a frame at least
_NATS = 1024 * math.log(1.0001)  # a score counts powers of 1.0001, shifted by 10 bits


class AlignmentError(Exception):
    """The audio cannot be read as this transcript."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The words found, and how well the sound fits them.

    fit is the mean over the frames of speech of the log likelihood (nats) of the aligned state, less that of the
    model's best: about -1.4 where the transcript is right, below -3 where it is another's.
    """

    words: tuple[Word, ...]
    fit: float


def align(
    waveform: np.ndarray, words: Sequence[str], pronunciations: Mapping[str, Sequence[tuple[str, ...]]]
) -> Alignment:
    """The words in (n,) float samples at 16 kHz, each spoken in the one of its pronunciations that fits best.

    Silence and noise may lie between words. Raises AlignmentError if no path leads through the whole transcript.
    """
    samples = (np.clip(waveform, -1, 1) * 32767).astype(np.int16).tobytes()
    decoder = Decoder(dict=None, lm=None, bestpath=False, loglevel="FATAL")  # bestpath would end with a 1-frame word
    names = {word: f"w{index}" for index, word in enumerate(dict.fromkeys(words))}
    for word, name in names.items():
        for variant, phones in enumerate(pronunciations[word], 1):
            decoder.add_word(name if variant == 1 else f"{name}({variant})", " ".join(phones), False)
    try:
        decoder.set_align_text(" ".join(names[word] for word in words))
        _decode(decoder, samples)
        if decoder.hyp() is None:
            raise AlignmentError("no path through the transcript")
        decoder.set_alignment()
        _decode(decoder, samples)
    except RuntimeError as error:
        raise AlignmentError(str(error)) from error
    # Phones are read as the iterator passes: entries listed first are freed before they are read.
    entries = [(e.name, e.score, e.duration, _phones(e)) for e in decoder.get_alignment()]
    spoken = [entry for entry in entries if not entry[0].startswith(("<", "["))]  # <sil>, [NOISE]
    if [name.partition("(")[0] for name, *_ in spoken] != [names[word] for word in words]:
        raise AlignmentError("the transcript goes on after the audio ends")
    n_frames = sum(duration for _, _, duration, _ in spoken)
    return Alignment(
        words=tuple(
            Word(word, phones[0].tbeg, phones[-1].tend, phones)
            for word, (_, _, _, phones) in zip(words, spoken, strict=True)
        ),
        fit=sum(score for _, score, _, _ in spoken) * _NATS / n_frames,
    )


def _decode(decoder: Decoder, samples: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()


def _phones(entry: object) -> tuple[PhoneSpan, ...]:
    return tuple(
        PhoneSpan(phone.name, phone.start / 100, (phone.start + phone.duration) / 100)
        for phone in entry  # type: ignore[attr-defined]
    )
