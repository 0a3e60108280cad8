"""What became of each hit and each target: the table that every detection figure is counted from.

Terms and channels are numbers here: a term's place in the KWList, a channel's in the Coverage. Times are in seconds.
"""

from dataclasses import dataclass

import numpy as np

NO_PARTNER = -1


@dataclass(frozen=True, slots=True)
class ScoredHits:
    """n hits as columns of shape (n,); accepted is the system's YES."""

    term: np.ndarray
    channel: np.ndarray
    tbeg: np.ndarray
    dur: np.ndarray
    score: np.ndarray
    accepted: np.ndarray

    def __len__(self) -> int:
        return len(self.term)

    @property
    def tend(self) -> np.ndarray:
        """Where the hits end."""
        return self.tbeg + self.dur

    @property
    def midpoint(self) -> np.ndarray:
        """Where the middles of the hits are."""
        return self.tbeg + self.dur / 2

    def take(self, which: np.ndarray) -> "ScoredHits":
        """The hits that which (a mask or row numbers) picks."""
        columns = (self.term, self.channel, self.tbeg, self.dur, self.score, self.accepted)
        return ScoredHits(*(column[which] for column in columns))


@dataclass(frozen=True, slots=True)
class Targets:
    """n places where a term should be found, as columns of shape (n,): occurrences, or segments that hold one."""

    term: np.ndarray
    channel: np.ndarray
    tbeg: np.ndarray
    tend: np.ndarray

    def __len__(self) -> int:
        return len(self.term)

    def take(self, which: np.ndarray) -> "Targets":
        """The targets that which (a mask or row numbers) picks."""
        return Targets(self.term[which], self.channel[which], self.tbeg[which], self.tend[which])


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One row for each hit and for each target without a hit, as columns of shape (n,), by term and channel.

    A row with both is a detection (if accepted), one with a hit only a false alarm (if accepted), one with a target
    only a miss. Where a side is absent its times are NaN; without a hit, score is NaN and accepted False.
    """

    term: np.ndarray
    channel: np.ndarray
    target_tbeg: np.ndarray
    target_tend: np.ndarray
    hit_tbeg: np.ndarray
    hit_tend: np.ndarray
    score: np.ndarray
    accepted: np.ndarray

    @classmethod
    def join(cls, hits: ScoredHits, targets: Targets, partner: np.ndarray) -> "Outcomes":
        """The hits, each beside the target that partner (n_hits,) numbers or none, and the targets left over."""
        found = partner != NO_PARTNER
        missed = np.setdiff1d(np.arange(len(targets)), partner[found])
        absent = np.full(len(missed), np.nan)

        def beside_hits(column: np.ndarray) -> np.ndarray:
            times = np.full(len(hits), np.nan)
            times[found] = column[partner[found]]
            return np.concatenate([times, column[missed]])

        term = np.concatenate([hits.term, targets.term[missed]])
        channel = np.concatenate([hits.channel, targets.channel[missed]])
        columns = (
            term,
            channel,
            beside_hits(targets.tbeg),
            beside_hits(targets.tend),
            np.concatenate([hits.tbeg, absent]),
            np.concatenate([hits.tend, absent]),
            np.concatenate([hits.score, absent]),
            np.concatenate([hits.accepted, np.zeros(len(missed), dtype=np.bool_)]),
        )
        order = np.lexsort((channel, term))
        return cls(*(column[order] for column in columns))

    @property
    def is_target(self) -> np.ndarray:
        """Which rows have a target."""
        return ~np.isnan(self.target_tbeg)

    @property
    def is_hit(self) -> np.ndarray:
        """Which rows have a hit."""
        return ~np.isnan(self.hit_tbeg)

    @property
    def label(self) -> np.ndarray:
        """NIST's word for each row: CORR, MISS, FA, or CORR!DET for a false hit that the system itself said NO to."""
        on_target, off_target = np.where(self.accepted, "CORR", "MISS"), np.where(self.accepted, "FA", "CORR!DET")
        return np.where(self.is_target, on_target, off_target)
