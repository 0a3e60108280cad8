"""Segment mode (KWSEval -g): each speaker turn and each pause between turns is one trial of every term.

A turn is an RTTM SPEAKER row inside an excerpt; turns that overlap are one segment. A segment is a target of a term if
the term's first and last words are words of its turns. A hit belongs to the segment that holds its midpoint, and of a
term's hits in one segment only the one with the highest score counts. Rules of NIST's F4DE 3.5.0.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stdsearch.formats.ecf import ECF
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics.coverage import Coverage, recording_id
from stdsearch.metrics.grouped import searchsorted_by_group
from stdsearch.metrics.outcomes import NO_PARTNER, Outcomes, ScoredHits, Targets
from stdsearch.metrics.reference import Occurrences, Words

NO_SEGMENT, NO_VOICE = -1, -1


@dataclass(frozen=True, slots=True)
class Segments:
    """Turns and pauses as columns of shape (n,), by channel and begin; of_word (n_words,) is each word's segment."""

    channel: np.ndarray
    tbeg: np.ndarray
    tend: np.ndarray
    of_word: np.ndarray

    def __len__(self) -> int:
        return len(self.channel)


def find_segments(ecf: ECF, rows: Iterable[RTTMRow], coverage: Coverage, words: Words) -> Segments:
    """The segments of every excerpt: one pause if no one speaks in it."""
    turns: dict[int, list[tuple[float, float, int]]] = {}
    for row in rows:
        channel = coverage.channels.get((row.file, row.channel), -1)
        voice = words.voices.get((channel, row.name), NO_VOICE)
        if row.type == "SPEAKER" and channel >= 0 and row.tbeg is not None and row.dur is not None:
            turns.setdefault(channel, []).append((row.tbeg, round(row.tbeg + row.dur, 4), voice))

    spans: list[tuple[int, float, float]] = []
    of_word = np.full(len(words.voice), NO_SEGMENT, dtype=np.int64)
    voice_starts = np.searchsorted(words.voice, np.arange(len(words.voices) + 1))
    excerpts = sorted(
        (coverage.channels[recording_id(e.audio_filename), e.channel], e.tbeg, round(e.tbeg + e.dur, 4))
        for e in ecf.excerpts
    )
    for channel, excerpt_tbeg, excerpt_tend in excerpts:
        said_until = excerpt_tbeg
        for tbeg, tend, voice in sorted(turns.get(channel, ())):
            if tbeg < excerpt_tbeg or tend > excerpt_tend:
                continue
            if round(tbeg - said_until, 4) > 0:
                spans.append((channel, said_until, tbeg))
            if spans and spans[-1][0] == channel and spans[-1][2] > tbeg:
                spans[-1] = (channel, spans[-1][1], max(spans[-1][2], tend))
            else:
                spans.append((channel, tbeg, tend))
            said_until = max(said_until, tend)
            own = slice(voice_starts[voice], voice_starts[voice + 1]) if voice != NO_VOICE else slice(0)
            of_word[own][(words.tbeg[own] >= tbeg) & (words.tend[own] <= tend)] = len(spans) - 1
        if said_until < excerpt_tend:
            spans.append((channel, said_until, excerpt_tend))
    channel_column, tbeg_column, tend_column = (np.array(c) for c in zip(*spans, strict=True))
    return Segments(channel_column, tbeg_column, tend_column, of_word)


def align_segments(hits: ScoredHits, occurrences: Occurrences, segments: Segments) -> Outcomes:
    """What becomes of the hits and of the segments that hold an occurrence."""
    segment = segments.of_word[occurrences.first]
    whole = (segment != NO_SEGMENT) & (segments.of_word[occurrences.last] == segment)
    target_key = np.unique(occurrences.term[whole] * len(segments) + segment[whole])
    term, segment = np.divmod(target_key, len(segments))
    targets = Targets(term, segments.channel[segment], segments.tbeg[segment], segments.tend[segment])

    midpoint = hits.midpoint
    place = searchsorted_by_group(segments.channel, segments.tend, hits.channel, midpoint, side="left")
    place = np.minimum(place, len(segments) - 1)
    inside = (segments.channel[place] == hits.channel) & (segments.tbeg[place] <= midpoint)
    hits, place = hits.take(inside), place[inside]
    key = hits.term * len(segments) + place
    order = np.lexsort((-hits.score, key))
    best = order[np.diff(key[order], prepend=-1) != 0]
    hits, key = hits.take(best), key[best]

    position = np.minimum(np.searchsorted(target_key, key), max(len(target_key) - 1, 0))
    found = target_key[position] == key if len(target_key) else np.zeros(len(key), dtype=np.bool_)
    return Outcomes.join(hits, targets, np.where(found, position, NO_PARTNER))
