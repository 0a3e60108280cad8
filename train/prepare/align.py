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

from stdsearch.audio import SAMPLE_RATE
from train.manifest import PhoneSpan, Word

FRAME_SECONDS = 0.01
MAX_SECONDS = 40.0  # the second pass takes time by the square of the length, so longer audio is cut at its pauses
MIN_PHONE_SECONDS = 3 * FRAME_SECONDS  # each of a phone's three states takes a frame at least
_NATS = 1024 * math.log(1.0001)  # a score counts powers of 1.0001, shifted by 10 bits


class AlignmentError(Exception):
    """The audio cannot be read as this transcript."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The words found, and how well the sound fits them.

    fit is the mean over the frames of speech of the log likelihood (nats) of the aligned state, less that of the
    model's best: about -1.7 where the transcript is right, -4.9 where it is another's (half of those have no path).
    """

    words: tuple[Word, ...]
    fit: float


def align(
    waveform: np.ndarray, words: Sequence[str], pronunciations: Mapping[str, Sequence[tuple[str, ...]]]
) -> Alignment:
    """The words in (n,) float samples at 16 kHz, each spoken in the one of its pronunciations that fits best.

    Silence and noise may lie between words. Raises AlignmentError if no path leads through the whole transcript.
    """
    decoder = Decoder(dict=None, lm=None, bestpath=False, loglevel="FATAL")  # bestpath would end with a 1-frame word
    names = {word: f"w{index}" for index, word in enumerate(dict.fromkeys(words))}
    for word, name in names.items():
        for variant, phones in enumerate(pronunciations[word], 1):
            decoder.add_word(name if variant == 1 else f"{name}({variant})", " ".join(phones), False)
    try:
        decoder.set_align_text(" ".join(names[word] for word in words))
        _decode(decoder, waveform)
        if decoder.hyp() is None:
            raise AlignmentError("no path through the transcript")
        pause = _middle_pause(decoder) if len(waveform) > MAX_SECONDS * SAMPLE_RATE else None
        if pause:
            n_words, cut_seconds = pause
            cut = round(cut_seconds * SAMPLE_RATE)
            before = align(waveform[:cut], words[:n_words], pronunciations)
            after = align(waveform[cut:], words[n_words:], pronunciations)
            return _joined(before, after, cut / SAMPLE_RATE)
        decoder.set_alignment()
        _decode(decoder, waveform)
    except RuntimeError as error:
        raise AlignmentError(str(error)) from error
    # Phones are read as the iterator passes: entries listed first are freed before they are read.
    entries = [(e.name, e.score, e.duration, _phones(e)) for e in decoder.get_alignment()]
    spoken = [entry for entry in entries if _is_word(entry[0])]
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


def _middle_pause(decoder: Decoder) -> tuple[int, float] | None:
    """The longest pause in the middle half of what was decoded: how many words lie before it, and its middle.

    It lies between words, for a part without words cannot be aligned.
    """
    n_all = sum(_is_word(segment.word) for segment in decoder.seg())
    n_words, pauses = 0, []
    n_frames = decoder.n_frames()
    for segment in decoder.seg():
        n_words += _is_word(segment.word)
        middle = (segment.start_frame + segment.end_frame + 1) / 2
        if not _is_word(segment.word) and 0 < n_words < n_all and n_frames / 4 < middle < n_frames * 3 / 4:
            pauses.append((segment.end_frame - segment.start_frame, n_words, round(middle * FRAME_SECONDS, 2)))
    return max(pauses)[1:] if pauses else None


def _joined(before: Alignment, after: Alignment, shift: float) -> Alignment:
    """One alignment of two, the second of which begins `shift` seconds into the audio."""
    speech_seconds = [sum(word.tend - word.tbeg for word in part.words) for part in (before, after)]
    return Alignment(
        words=before.words + tuple(_shifted(word, shift) for word in after.words),
        fit=float(np.average([before.fit, after.fit], weights=speech_seconds)),
    )


def _shifted(word: Word, shift: float) -> Word:
    phones = tuple(PhoneSpan(p.phone, round(p.tbeg + shift, 2), round(p.tend + shift, 2)) for p in word.phones)
    return Word(word.text, phones[0].tbeg, phones[-1].tend, phones)


def _is_word(name: str) -> bool:
    """Whether a decoder's word is one of the transcript's, not silence (<sil>) or [NOISE]."""
    return not name.startswith(("<", "[", "(NULL)"))


def _decode(decoder: Decoder, waveform: np.ndarray) -> None:
    samples = (np.clip(waveform, -1, 1) * 32767).astype(np.int16).tobytes()
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()


def _phones(entry: object) -> tuple[PhoneSpan, ...]:
    return tuple(
        PhoneSpan(phone.name, phone.start / 100, (phone.start + phone.duration) / 100)
        for phone in entry  # type: ignore[attr-defined]
    )
