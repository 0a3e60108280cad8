"""How good a system is: NIST's term-weighted value and its kin, and the other measures of the field.

`score` is the way in for a KWSList; the modules hold the measures on plain arrays. Needs numpy and scipy only.
"""

from stdsearch.metrics.report import Report, Scores, ScoringSettings
from stdsearch.metrics.scoring import Sources, score

__all__ = ["Report", "Scores", "ScoringSettings", "Sources", "score"]
