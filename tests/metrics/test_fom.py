import numpy as np
import pytest

from stdsearch.metrics.fom import figures_of_merit
from stdsearch.metrics.twv import Trials


def ranked_list(targets: str, n_targets: int) -> Trials:
    """One term's hits, best first, "+" true and "-" false."""
    n = len(targets)
    return Trials.from_hits(
        np.zeros(n, dtype=int),
        np.linspace(1, 0.1, n),
        np.ones(n, dtype=bool),
        np.array([mark == "+" for mark in targets], dtype=bool),
        n_targets=np.array([n_targets]),
        n_trials=36_000,
    )


@pytest.mark.parametrize(
    ("targets", "hours", "rates"),
    [
        ("+-+-+-", 0.3, [1, 2, 3]),  # 3 false alarms allowed: found before each of them
        ("+-+-+-+", 0.2, [1, 2]),
        ("++", 0.5, [2, 2, 2, 2, 2]),  # no false alarm at all
        ("-+", 0.1, [0]),
        ("-----+", 0.3, [0, 0, 0]),
    ],
)
def test_rates_before_each_allowed_false_alarm(targets, hours, rates):
    assert figures_of_merit(ranked_list(targets, 4), hours * 3600)[0] == pytest.approx(np.mean(rates) / 4)


def test_interpolates_between_whole_false_alarms():
    # 0.24 h allow 2.4 false alarms: N = 2, a = 0.4
    assert figures_of_merit(ranked_list("+-+-+-", 4), 0.24 * 3600)[0] == pytest.approx((1 + 2 + 0.4 * 3) / 2.4 / 4)
    # 0.26 h allow 2.6: N = 3, a = -0.4
    assert figures_of_merit(ranked_list("+-+-+-+", 4), 0.26 * 3600)[0] == pytest.approx((1 + 2 + 3 - 0.4 * 4) / 2.6 / 4)


def test_terms_are_apart_and_those_without_targets_undefined():
    trials = Trials.from_hits(
        np.array([2, 0, 1, 0]),
        np.array([0.9, 0.8, 0.7, 0.6]),
        np.ones(4, dtype=bool),
        np.array([False, False, True, True]),
        n_targets=np.array([1, 1, 0, 2]),
        n_trials=3600,
    )
    merit = figures_of_merit(trials, 720.0)
    np.testing.assert_allclose(merit, [0.5, 1.0, np.nan, 0.0])


def test_no_speech_is_refused():
    with pytest.raises(ValueError, match="seconds"):
        figures_of_merit(ranked_list("+", 1), 0.0)
