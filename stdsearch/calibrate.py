"""From features to the probability that a hit is true, and from probabilities to decisions.

Two logistic models, fitted on dev by `train.calibrate`: the first weighs a candidate's own features; the second sees
that log odds in the context of the term, since how far a candidate lies behind the term's best one tells much.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from stdsearch.errors import StdSearchError, in_a_line

BETA = 999.9  # NIST: C/V (1 / P_term - 1) with C/V = 0.1, P_term = 1e-4
CONTEXT = ("odds", "behind", "rank", "ahead")


@dataclass(frozen=True, slots=True)
class Logistic:
    """log odds = bias + Σ weights · (feature - centre) / spread."""

    features: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def log_odds(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Log odds (n,) of features by name, each (n,)."""
        if missing := [name for name in self.features if name not in features]:
            raise StdSearchError(f"the model's calibration asks for {in_a_line(missing[0])!r}; calibrate it again")
        x = np.stack([features[name] for name in self.features], axis=1)
        return self.bias + (x - np.array(self.centre)) / np.array(self.spread) @ np.array(self.weights)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How one kind of query ("text", "audio" or "both") is scored."""

    own: Logistic
    context: Logistic

    def own_odds(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Log odds (n,) of candidates by their own features."""
        return self.own.log_odds(expand(features))

    def probability(self, odds: np.ndarray, term: np.ndarray | None = None) -> np.ndarray:
        """Probabilities (n,) of all candidates of one term, or of those that term (n,) says, from their own odds."""
        return 1 / (1 + np.exp(-np.clip(self.context.log_odds(in_context(odds, term)), -30, 30)))


def expand(features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The features and, under "name²", their squares: a best pace or length lies in the middle."""
    return {**features, **{f"{name}²": value**2 for name, value in features.items()}}


def in_context(odds: np.ndarray, term: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """How log odds (n,) compare with those of the term's other candidates; term (n,), from 0 on, if of several.

    odds: themselves; behind: the best one's less its own; ahead: its own less the mean of the ten best;
    rank: log of its place, from 1.
    """
    if not len(odds):
        return dict.fromkeys(CONTEXT, odds)
    term = np.zeros(len(odds), int) if term is None else term
    order = np.lexsort((-odds, term))
    rank = np.empty(len(odds))
    rank[order] = 1 + np.arange(len(odds)) - np.searchsorted(term[order], term[order])
    best, ten = rank == 1, rank <= 10
    behind = np.bincount(term[best], odds[best])[term] - odds
    ahead = odds - (np.bincount(term[ten], odds[ten]) / np.maximum(np.bincount(term[ten]), 1))[term]
    return {"odds": odds, "behind": behind, "rank": np.log(rank), "ahead": ahead}


def thresholds(
    probability: np.ndarray, seconds: float, beta: float = BETA, *, term: np.ndarray | None = None
) -> np.ndarray:
    """The probability (n,) from which each hit is worth accepting, of one term or of those that term (n,) says.

    seconds: of the archive. A hit is worth accepting if its chance of finding an occurrence outweighs that of a false
    alarm. With N occurrences expected (the sum of the probabilities), a hit adds p / N to the value and costs
    beta (1 - p) / (T - N), so it is accepted where p >= beta N / (T + (beta - 1) N): the term-specific threshold of
    Miller et al. (2007).
    """
    expected = _of_term(probability, term)
    return beta * expected / (seconds + (beta - 1) * expected)


def decide(
    probability: np.ndarray, seconds: float, beta: float = BETA, *, term: np.ndarray | None = None
) -> np.ndarray:
    """YES (True) or NO for the hits (n,); arguments as of `thresholds`."""
    return probability >= thresholds(probability, seconds, beta, term=term)


def normalise(
    probability: np.ndarray, how: str, seconds: float, beta: float = BETA, *, term: np.ndarray | None = None
) -> np.ndarray:
    """Scores (n,) in [0, 1] that compare between terms by what NIST's measure makes of them; order is kept in a term.

    how: "kst", keyword-specific thresholding (Karakos et al., 2013): each term's threshold comes to lie at 0.5, as
    p ** (log 0.5 / log threshold); "sto", sum to one: p / Σ p of the term's hits. Other arguments as of `thresholds`.
    Raises ValueError for any other.
    """
    if how not in ("kst", "sto"):
        raise ValueError(f"{how!r} is no normalisation; it is kst or sto")
    if how == "sto":
        total = _of_term(probability, term)
        return np.divide(probability, total, out=np.zeros_like(probability), where=total > 0)
    at = np.clip(thresholds(probability, seconds, beta, term=term), 1e-9, 1 - 1e-9)
    return probability ** (np.log(0.5) / np.log(at))


def _of_term(probability: np.ndarray, term: np.ndarray | None) -> np.ndarray:
    """The sum (n,) of the probabilities of each hit's term: how many true hits are expected."""
    if term is None:
        return np.full_like(probability, probability.sum())
    return np.bincount(term, probability)[term]


def to_json(calibrations: Mapping[str, Calibration]) -> str:
    """Calibrations by kind of query, as the metadata of an encoder or a verifier carry them."""
    return json.dumps({mode: asdict(calibration) for mode, calibration in calibrations.items()})


def from_json(text: str) -> dict[str, Calibration]:
    """What to_json wrote. Raises StdSearchError if it is anything else."""
    try:
        return {
            mode: Calibration(*(_logistic(parts[part]) for part in ("own", "context")))
            for mode, parts in json.loads(text).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StdSearchError(f"the model's calibration is damaged ({in_a_line(error)}); calibrate it again") from None


def carried_by(metadata: Mapping[str, str]) -> dict[str, Calibration]:
    """The calibrations in an encoder's metadata; none in that of an encoder that was never calibrated."""
    return from_json(metadata["calibration"]) if "calibration" in metadata else {}


def _logistic(values: Mapping) -> Logistic:
    centre, spread, weights = (tuple(map(float, values[name])) for name in ("centre", "spread", "weights"))
    names = tuple(map(str, values["features"]))
    if not len(names) == len(centre) == len(spread) == len(weights):
        raise ValueError("columns of different lengths")
    bias = float(values["bias"])
    if not names or not np.isfinite([*centre, *spread, *weights, bias]).all() or 0 in spread:
        raise ValueError("numbers by which nothing can be weighed")
    return Logistic(names, centre, spread, weights, bias)


AS_THEY_ARE = Logistic(("odds",), (0.0,), (1.0,), (1.0,), 0.0)
# for an encoder that was never calibrated: the order of the cosines, and no claim to probabilities
UNCALIBRATED = Calibration(Logistic(("first",), (0.5,), (0.1,), (1.0,), -2.0), AS_THEY_ARE)
# for a verifier that was never calibrated: its own log odds
BY_VERIFIER = Calibration(Logistic(("verifier",), (0.0,), (1.0,), (1.0,), 0.0), AS_THEY_ARE)
