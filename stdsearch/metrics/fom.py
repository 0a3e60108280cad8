"""Figure of merit: the detection rate averaged over 1 to 10 false alarms per term per hour.

The classic measure of word spotting, and a fair one for archives too small for TWV, whose first false alarm costs
dearly there. Source: Rohlicek et al., "Continuous hidden Markov modeling for speaker-independent word spotting",
ICASSP 1989; interpolated between whole false alarms as the HTK Book does (section on word spotting).
"""

import numpy as np

from stdsearch.metrics.ranking import ranked
from stdsearch.metrics.twv import Trials

FALSE_ALARMS_PER_HOUR = 10


def figures_of_merit(trials: Trials, seconds: float) -> np.ndarray:
    """The figure of merit of each term in so many seconds of speech, shape (K,); NaN for a term without targets.

    With p_i the share of targets ranked before the i-th false alarm, it is (p_1 + ... + p_N + a · p_(N+1)) / n, where
    n = 10 · hours is the number of false alarms allowed, N the least integer ≥ n - 1/2, and a = n - N. A term with
    fewer false alarms keeps its last rate.
    """
    if seconds <= 0:
        raise ValueError(f"seconds must be positive, not {seconds}")
    allowed = FALSE_ALARMS_PER_HOUR * seconds / 3600
    whole = max(int(np.ceil(allowed - 0.5)), 0)

    n_terms = len(trials.n_targets)
    term, target, _ = ranked(trials)
    found = np.cumsum(target)
    start = np.searchsorted(term, np.arange(n_terms + 1))
    found_before = np.concatenate([[0], found])[start[:-1]]
    total = np.concatenate([[0], found])[start[1:]] - found_before

    false_alarm = np.flatnonzero(~target)
    of_term = term[false_alarm]
    order = np.arange(len(false_alarm)) - np.searchsorted(of_term, of_term)  # 0 for a term's first false alarm
    early = order <= whole
    found_at = found[false_alarm] - found_before[of_term]
    weight = np.where(order < whole, 1.0, allowed - whole)
    merit = np.bincount(of_term[early], weights=(weight * found_at)[early], minlength=n_terms)
    spent = np.bincount(of_term[early], weights=weight[early], minlength=n_terms)
    merit = merit + (allowed - spent) * total
    return np.divide(merit, allowed * trials.n_targets, out=np.full(n_terms, np.nan), where=trials.occurs)
