import numpy as np
import pytest

from stdsearch.metrics import twv
from stdsearch.metrics.bootstrap import BootstrapSettings, Interval, difference_intervals, intervals
from stdsearch.metrics.twv import Trials


def system(found: np.ndarray) -> Trials:
    """Terms with one target each, found or missed, without false alarms."""
    terms = np.flatnonzero(found)
    return Trials.from_hits(
        terms,
        np.full(len(terms), 0.9),
        np.ones(len(terms), dtype=bool),
        np.ones(len(terms), dtype=bool),
        n_targets=np.ones(len(found), dtype=int),
        n_trials=1000,
    )


def test_interval_is_that_of_a_binomial():
    found = np.arange(100) < 60
    ranges = intervals(system(found), settings=BootstrapSettings(n_resamples=2000, seed=1))
    spread = 1.96 * np.sqrt(0.6 * 0.4 / 100)
    for measure in ("atwv", "mtwv", "map"):
        assert ranges[measure].low == pytest.approx(0.6 - spread, abs=0.015)
        assert ranges[measure].high == pytest.approx(0.6 + spread, abs=0.015)


def test_one_seed_one_interval():
    trials = system(np.arange(30) < 11)
    settings = BootstrapSettings(n_resamples=50, seed=7)
    assert intervals(trials, settings=settings) == intervals(trials, settings=settings)
    assert intervals(trials, settings=settings) != intervals(trials, settings=BootstrapSettings(50, seed=8))


def test_a_system_does_not_differ_from_itself_and_a_better_one_does():
    worse, better = system(np.arange(50) < 20), system(np.arange(50) < 35)
    settings = BootstrapSettings(n_resamples=200)
    assert difference_intervals(worse, worse, settings=settings)["atwv"] == Interval(0.0, 0.0)
    gain = difference_intervals(better, worse, settings=settings)["atwv"]
    assert 0 < gain.low < 0.3 < gain.high
    alone = intervals(better, settings=settings)["atwv"]
    assert gain.high - gain.low < 2 * (alone.high - alone.low)  # the draws are shared


def test_weights_of_one_give_the_plain_figures():
    random = np.random.default_rng(5)
    n_targets = np.array([4, 2, 3, 0])
    trials = Trials.from_hits(
        random.integers(0, 4, 40), random.random(40), random.random(40) < 0.5, np.arange(40) < 5,
        n_targets=n_targets + 5, n_trials=500,
    )  # fmt: skip
    weight = np.ones(4)
    assert twv.maximum(twv.sweep(trials, weight)) == twv.maximum(twv.sweep(trials))
    doubled = twv.over_terms(trials, twv.actual(trials), weight=np.array([2.0, 1, 1, 0]))
    values = twv.actual(trials).value
    assert doubled.value == pytest.approx((2 * values[0] + values[1] + values[2]) / 4)


def test_a_draw_has_the_thresholds_of_its_own_terms():
    """Else a term that was not drawn, with the best score of all, would let a draw accept nothing."""
    trials = Trials.from_hits(
        np.arange(3), np.array([0.9, 0.8, 0.7]), np.ones(3, bool), np.zeros(3, bool),
        n_targets=np.ones(3, int), n_trials=1001,
    )  # fmt: skip
    weight = np.array([0.0, 2.0, 1.0])
    drawn = Trials.from_hits(
        np.arange(3), np.array([0.8, 0.8, 0.7]), np.ones(3, bool), np.zeros(3, bool),
        n_targets=np.ones(3, int), n_trials=1001,
    )  # fmt: skip
    assert twv.maximum(twv.sweep(trials, weight)).value == pytest.approx(twv.maximum(twv.sweep(drawn)).value)
    assert twv.maximum(twv.sweep(drawn)).value < -0.6


def test_different_references_are_refused():
    with pytest.raises(ValueError, match="same terms"):
        difference_intervals(system(np.ones(3, bool)), system(np.ones(4, bool)))


def test_progress_is_told_each_draw():
    calls: list[None] = []
    intervals(system(np.ones(3, bool)), settings=BootstrapSettings(n_resamples=7), progress=lambda: calls.append(None))
    assert len(calls) == 7
