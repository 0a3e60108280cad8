"""Which utterances train and which are held out, by whole speakers."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from stdsearch.errors import StdSearchError
from train.prepare.source import SourceUtterance


def assign_splits(
    utterances: Iterable[SourceUtterance], *, default: str = "train", hold_out: Mapping[str, float] | None = None
) -> list[SourceUtterance]:
    """The utterances with a split for each that has none.

    hold_out gives a share of the speakers without a split, at least one, to each split it names; default gets the rest.
    Who is held out depends on nothing but the speakers' names.
    """
    utterances = list(utterances)
    speakers = sorted({u.speaker for u in utterances if not u.split}, key=_rank)
    if hold_out and not speakers:
        raise StdSearchError(f"{utterances[0].place}: every utterance has a split already; do without --hold-out")
    split_of: dict[str, str] = {}
    first = 0
    for split, share in (hold_out or {}).items():
        last = first + max(1, round(share * len(speakers)))
        split_of |= dict.fromkeys(speakers[first:last], split)
        first = last
    if hold_out and first >= len(speakers):
        raise StdSearchError(
            f"{utterances[0].place}: {len(speakers)} speakers without a split are too few to hold out {first} "
            f"and keep any for {default}; hold out less"
        )
    return [u if u.split else replace(u, split=split_of.get(u.speaker, default)) for u in utterances]


def _rank(speaker: str) -> bytes:
    return hashlib.sha256(speaker.encode()).digest()
