"""What scoring gives back: settings, figures, and the rows of the alignment."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stdsearch.formats.values import decimal
from stdsearch.metrics.outcomes import Outcomes
from stdsearch.metrics.twv import Trials
from stdsearch.types import Term

ALIGNMENT_COLUMNS = (
    "language", "file", "channel", "termid", "term", "ref_bt", "ref_et",
    "sys_bt", "sys_et", "sys_score", "sys_decision", "alignment",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """How to score; the defaults are NIST's. Times in seconds.

    cost, value and prior give β. tolerance is how far a hit's midpoint may lie outside the occurrence, word_gap the
    longest pause within a term. source_types (in any letter case) and where (an attribute's name, and a regular
    expression that must be found in its value; all pairs must hold) restrict the excerpts and the terms.
    """

    cost: float = 0.1
    value: float = 1.0
    prior: float = 1e-4
    tolerance: float = 0.5
    word_gap: float = 0.5
    count_terms_without_targets: bool = False
    pooled: bool = False
    segments: bool = False
    source_types: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("cost", "value", "prior"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be a positive number, not {getattr(self, name)}")
        for name in ("tolerance", "word_gap"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be a number of seconds, at least 0, not {getattr(self, name)}")
        if self.prior >= 1:
            raise ValueError(f"prior must be a probability below 1, not {self.prior}")
        if not self.beta < np.inf:
            raise ValueError(f"cost, value and prior give a β of {self.beta}; name numbers nearer to each other")

    @property
    def beta(self) -> float:
        """What a false alarm weighs against a miss."""
        return self.cost / self.value * (1 / self.prior - 1)


@dataclass(frozen=True, slots=True)
class Scores:
    """The figures of one term, or of all; None where undefined.

    non_targets are hits that stand for no target: false_alarms if said YES, correct_rejected if NO. trials are seconds,
    or segments in segment mode. decision_threshold is the lowest score said YES; nist_decision_threshold, which F4DE
    prints, lies halfway from it to the highest score said NO, and is None if that is higher. A single term's mtwv is
    its own best value, and so equals its otwv.
    """

    terms: int
    targets: int
    non_targets: int
    hits: int
    correct: int
    correct_rejected: int
    false_alarms: int
    misses: int
    p_fa: float | None
    p_miss: float | None
    atwv: float | None
    decision_threshold: float | None
    nist_decision_threshold: float | None
    mtwv: float | None
    mtwv_p_fa: float | None
    mtwv_p_miss: float | None
    mtwv_threshold: float | None
    otwv: float | None
    otwv_p_fa: float | None
    otwv_p_miss: float | None
    stwv: float | None
    map: float | None
    total_seconds: float
    trials: int
    beta: float


@dataclass(frozen=True, slots=True)
class Report:
    """What `score` found out: the figures, and what they were counted from.

    terms and per_term go together. hits_outside counts the hits in recordings or channels that the ECF lacks: they are
    left out. The term numbers of outcomes are places in searched, its channel numbers places in channels.
    """

    summary: Scores
    terms: tuple[Term, ...]
    per_term: tuple[Scores, ...]
    settings: ScoringSettings
    hits_outside: int
    trials: Trials
    outcomes: Outcomes
    searched: tuple[Term, ...]
    channels: tuple[tuple[str, int], ...]
    language: str

    def to_json(self) -> dict[str, Any]:
        """The report as plain values: summary, terms and conditions."""
        return {
            "summary": asdict(self.summary),
            "terms": [
                {"kwid": term.kwid, "term": term.text, **asdict(scores)}
                for term, scores in zip(self.terms, self.per_term, strict=True)
            ],
            "conditions": {**asdict(self.settings), "hits_outside": self.hits_outside},
        }

    def alignment(self) -> Iterator[tuple[str, ...]]:
        """The rows of F4DE's alignment file, under ALIGNMENT_COLUMNS: every hit, and every target without one.

        Sorted by term, recording and channel; seconds have the decimals they need, at least three.
        """
        table = self.outcomes
        columns = (table.target_tbeg, table.target_tend, table.hit_tbeg, table.hit_tend, table.score, table.accepted)
        rows = zip(table.term, table.channel, table.label, *columns, strict=True)
        for term, channel, label, target_tbeg, target_tend, tbeg, tend, score, accepted in rows:
            file, number = self.channels[channel]
            target = ("", "") if np.isnan(target_tbeg) else (decimal(target_tbeg), f"{target_tend:.4f}")
            hit = ("", "", "", "")
            if not np.isnan(tbeg):
                hit = (decimal(tbeg), f"{tend:.15g}", decimal(score), "YES" if accepted else "NO")
            searched = self.searched[term]
            yield (self.language, file, str(number), searched.kwid, searched.text, *target, *hit, str(label))
