"""One utterance prepared: its audio read, its words pronounced and found; or the reason why it is dropped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from stdsearch.audio import SAMPLE_RATE, probe, read
from stdsearch.errors import StdSearchError
from stdsearch.pronounce import Pronouncer
from train.manifest import Word
from train.prepare.align import MIN_PHONE_SECONDS, AlignmentError, align
from train.prepare.source import SourceUtterance
from train.prepare.transcript import is_understood, words_of

MIN_SECONDS = 0.1  # no word is shorter
MIN_FIT = -4.0  # of Alignment.fit: drops 9 of 10 exchanged transcripts and 1 of 150 right ones (learners, children)
SLACK_SECONDS = 0.1  # by which a source's dur may pass the end of the audio: headers of MP3 round


class Reason(StrEnum):
    """Why an utterance is not in the manifest."""

    NO_TRANSCRIPT = "no transcript"
    AUDIO_MISSING = "audio missing"
    AUDIO_BROKEN = "audio broken"
    OUTSIDE_AUDIO = "stretch outside its audio"
    TOO_SHORT = "too short"
    UNPRONOUNCEABLE = "word without pronunciation"
    TOO_MUCH_TEXT = "transcript longer than the audio can hold"
    NOT_ALIGNED = "alignment failed"
    MISMATCH = "transcript does not match the audio"
    CRASHED = "aligner crashed"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in an utterance's audio."""

    dur: float
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """An utterance left out, with what exactly was wrong."""

    reason: Reason
    detail: str


class _DropError(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        self.dropped = Dropped(reason, detail)


class UtterancePreparer:
    """Prepares utterances one after the other, each independent of the others."""

    def __init__(self, lexicon: Path | None = None) -> None:
        self.pronouncer = Pronouncer(lexicon)

    def __call__(self, task: tuple[SourceUtterance, tuple[Word, ...] | None]) -> Found | Dropped:
        """The words of an utterance in lower case, those given, if they are its transcript's, or newly aligned."""
        source, given = task
        try:
            words = words_of(source.text, self.pronouncer.in_dictionary)
            if not words:
                raise _DropError(Reason.NO_TRANSCRIPT, f"{source.text!r} has no word")
            dur = _duration(source)
            texts = [word.lower() for word in words]
            if given and [word.text for word in given] == texts and given[-1].tend <= dur + SLACK_SECONDS:
                return Found(dur, given)
            return self._aligned(source, words, dur)
        except _DropError as error:
            return error.dropped

    def _aligned(self, source: SourceUtterance, words: Sequence[str], dur: float) -> Found:
        for word in words:
            if not is_understood(word):
                raise _DropError(Reason.UNPRONOUNCEABLE, f"{word} may be any word")
        try:
            pronunciations = {word: self.pronouncer.pronounce(word) for word in words}
        except StdSearchError as error:
            raise _DropError(Reason.UNPRONOUNCEABLE, str(error)) from error
        needed = MIN_PHONE_SECONDS * sum(min(map(len, pronunciations[word])) for word in words)
        if needed > dur:
            raise _DropError(Reason.TOO_MUCH_TEXT, f"{len(words)} words take {needed:.2f} s at least, not {dur:.2f} s")
        try:
            waveform = read(source.audio, channel=source.channel, tbeg=source.tbeg, dur=dur)
        except StdSearchError as error:
            raise _DropError(Reason.AUDIO_BROKEN, str(error)) from error
        if len(waveform) < (dur - SLACK_SECONDS) * SAMPLE_RATE:
            detail = f"{source.audio}: breaks off after {source.tbeg + len(waveform) / SAMPLE_RATE:.2f} s"
            raise _DropError(Reason.AUDIO_BROKEN, detail)
        try:
            alignment = align(waveform, words, pronunciations)
        except AlignmentError as error:
            raise _DropError(Reason.NOT_ALIGNED, str(error)) from error
        if alignment.fit < MIN_FIT:
            raise _DropError(Reason.MISMATCH, f"fit {alignment.fit:.1f}, less than {MIN_FIT}")
        return Found(dur, tuple(replace(word, text=word.text.lower()) for word in alignment.words))


def _duration(source: SourceUtterance) -> float:
    """The utterance's duration, from its source or its audio's header."""
    if not source.audio.exists():
        raise _DropError(Reason.AUDIO_MISSING, f"{source.audio}: no such file")
    try:
        info = probe(source.audio)
    except StdSearchError as error:
        raise _DropError(Reason.AUDIO_BROKEN, str(error)) from error
    left = info.duration - source.tbeg
    dur = left if source.dur is None else source.dur
    if source.channel > info.channels or not 0 < dur <= left + SLACK_SECONDS:
        detail = f"{source.audio}: has {info.channels} channels of {info.duration:.2f} s"
        raise _DropError(Reason.OUTSIDE_AUDIO, detail)
    dur = round(min(dur, left), 3)
    if dur < MIN_SECONDS:
        raise _DropError(Reason.TOO_SHORT, f"{dur} s, less than {MIN_SECONDS} s")
    return dur
