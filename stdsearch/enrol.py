"""Enrolment: from a text, spoken examples, or both, to what an archive is searched for and a stream listened for."""

from collections.abc import Iterable, Sequence

import numpy as np

from stdsearch import audio
from stdsearch.activity import speech_spans
from stdsearch.encoder import Frames, SearchEncoder
from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONE_INDEX, SILENCE
from stdsearch.pronounce import Pronouncer
from stdsearch.rescore import Example, Query, middle
from stdsearch.types import Spoken

CONTEXT = 2.0  # seconds of a recording encoded on either side of an example cut from it
WEAK_SECONDS = 0.05  # kept around what is loud in an example, for weak first and last phones
SHORTEST_EXAMPLE, LONGEST_EXAMPLE = 0.1, 30.0  # seconds; DTW of a longer one takes minutes and gigabytes


def enrol(
    text: str, examples: Sequence[Spoken], encoder: SearchEncoder, pronouncer: Pronouncer, *, longest: float
) -> Query:
    """A term with its pronunciations and examples embedded; longest: the longest slice in seconds.

    text is a word, a phrase, or phones between slashes; "" for a term known from its examples alone.
    Raises StdSearchError for a text that cannot be pronounced, an example that cannot be used, or if there is neither.
    """
    (query,) = enrol_all([(text, examples)], encoder, pronouncer, longest=longest)
    if isinstance(query, StdSearchError):
        raise query
    return query


def enrol_all(
    terms: Iterable[tuple[str, Sequence[Spoken]]], encoder: SearchEncoder, pronouncer: Pronouncer, *, longest: float
) -> list[Query | StdSearchError]:
    """As `enrol` of each text with its examples, or the error in its place; all texts are embedded together."""
    evidence: list[tuple[list[tuple[str, ...]], list[Example]] | StdSearchError] = []
    for text, examples in terms:
        try:
            if not text.strip() and not examples:
                raise StdSearchError("nothing to search for; give a text, a spoken example, or both")
            pronunciations = pronouncer.pronounce(text) if text.strip() else []
            evidence.append((pronunciations, [_encode(spoken, encoder, longest) for spoken in examples]))
        except StdSearchError as error:
            evidence.append(error)
    said = [phones for one in evidence if isinstance(one, tuple) for phones in one[0]]
    empty = np.empty((0, encoder.settings.dim), np.float32)
    embeddings = encoder.embed_phones([phones[middle(phones)] for phones in said]) if said else empty
    queries: list[Query | StdSearchError] = []
    for one in evidence:
        if isinstance(one, tuple):
            pronunciations, spoken = one
            own, embeddings = np.split(embeddings, [len(pronunciations)])
            queries.append(Query(tuple(pronunciations), own, tuple(spoken)))
        else:
            queries.append(one)
    return queries


def _encode(spoken: Spoken, encoder: SearchEncoder, longest: float) -> Example:
    """An example encoded in its surroundings, where it has some; else from where speech begins to where it ends."""
    path, start, tbeg, tend = spoken.path, 0.0, spoken.tbeg, spoken.tend
    info = audio.probe(path)
    duration = info.duration
    lasts = duration if tbeg is None or tend is None else tend - tbeg
    if lasts > LONGEST_EXAMPLE:
        raise StdSearchError(
            f"{path}: the example lasts {lasts:.0f} s; give {LONGEST_EXAMPLE:.0f} s or less, as in FILE@TBEG-TEND"
        )
    if tbeg is None or tend is None:
        waveform = audio.read(path, channel=_channel(spoken, info))
        frames = encoder.frames(waveform)
        tbeg, tend = _said(waveform, frames, encoder)
    else:
        if tend > duration + 0.05:
            raise StdSearchError(f"{path}: {tbeg:g}-{tend:g} s is not inside it; it lasts {duration:.2f} s")
        start = max(0.0, tbeg - CONTEXT)
        end = min(duration, tend + CONTEXT)
        waveform = audio.read(path, channel=_channel(spoken, info), tbeg=start, dur=end - start)
        frames = encoder.frames(waveform)
        tbeg, tend = tbeg - start, min(tend, duration) - start
    if not any(begin < tend and tbeg < end for begin, end in speech_spans(waveform)):
        raise StdSearchError(f"{path}: nothing is said in it; give a recording of the term")
    if tend - tbeg < SHORTEST_EXAMPLE:
        raise StdSearchError(f"{path}: the example lasts {tend - tbeg:.2f} s; give {SHORTEST_EXAMPLE} s or more")
    beyond = max(0.0, tend - tbeg - longest) / 2
    (embedding,) = encoder.embed_spans(frames, np.array([tbeg + beyond]), np.array([tend - beyond]))
    first = int(tbeg / frames.frame_seconds + 1e-6)
    last = max(first + 1, round(tend / frames.frame_seconds))
    return Example(Frames(frames.hidden[first:last], frames.frame_seconds), embedding, beyond)


def _channel(spoken: Spoken, info: audio.AudioInfo) -> int:
    """An example's channel; if it names none, the loudest there, which in an interview is who talks."""
    if spoken.channel is not None:
        return spoken.channel
    if info.channels == 1:
        return 1
    tbeg = spoken.tbeg or 0.0
    dur = None if spoken.tend is None else min(spoken.tend, info.duration) - tbeg
    channels = range(1, info.channels + 1)
    return max(channels, key=lambda channel: np.var(audio.read(spoken.path, channel=channel, tbeg=tbeg, dur=dur)))


def _said(waveform: np.ndarray, frames: Frames, encoder: SearchEncoder) -> tuple[float, float]:
    """Where the first phone begins and the last one ends, in seconds; both 0 if there is none.

    An encoder that knows no phones leaves it to speech activity.
    """
    posteriors = encoder.phone_log_posteriors(frames)
    if posteriors is None:
        spans = speech_spans(waveform, padding=WEAK_SECONDS)
        return (float(spans[0, 0]), float(spans[-1, 1])) if len(spans) else (0.0, 0.0)
    (said,) = np.nonzero(posteriors[:, PHONE_INDEX[SILENCE]] < np.log(0.5))
    if not len(said):
        return 0.0, 0.0
    step = frames.duration / len(posteriors)
    return float(said[0] * step), float((said[-1] + 1) * step)
