import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.metrics import twv
from stdsearch.metrics.twv import BETA, Trials

CASES = Path(__file__).resolve().parents[2] / ".." / "shared" / "f4de"


def trials_of(rows: list[tuple[int, float, bool, bool]], n_targets: list[int], n_trials: int = 100, **kwargs) -> Trials:
    term, score, accepted, target = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    return Trials.from_hits(
        np.array(term, dtype=int),
        np.array(score, dtype=float),
        np.array(accepted, dtype=bool),
        np.array(target, dtype=bool),
        n_targets=np.array(n_targets),
        n_trials=n_trials,
        **kwargs,
    )


def test_worked_example():
    """Two terms in 1000 s: one found once out of twice with one false alarm, the other found."""
    trials = trials_of([(0, 0.9, True, True), (0, 0.8, True, False), (1, 0.7, True, True)], [2, 1], n_trials=1000)
    points = twv.actual(trials, beta=10)
    np.testing.assert_allclose(points.p_miss, [0.5, 0.0])
    np.testing.assert_allclose(points.p_fa, [1 / 998, 0.0])
    np.testing.assert_allclose(points.value, [0.5 - 10 / 998, 1.0])
    assert twv.over_terms(trials, points, beta=10).value == pytest.approx(1 - (0.25 + 10 / 998 / 2))
    assert points.threshold.tolist() == [0.8, 0.7]


def test_beta_is_the_published_one():
    assert pytest.approx(999.9) == BETA


def test_thresholds_tie_towards_the_lowest():
    # below 0.9, one more target of two against one false alarm: both thresholds are worth 0.5
    trials = trials_of([(0, 0.9, True, True), (0, 0.5, True, True), (0, 0.5, True, False)], [2], n_trials=12)
    best = twv.maximum(twv.sweep(trials), beta=5.0)
    assert (best.value, best.threshold) == (0.5, 0.5)
    assert twv.optimum(trials, beta=5.0).threshold.tolist() == [0.5]


def test_to_accept_nothing_is_no_candidate():
    trials = trials_of([(0, 0.9, False, False)], [1])
    assert twv.maximum(twv.sweep(trials)).value == pytest.approx(-BETA / 99)
    assert twv.optimum(trials).value[0] == pytest.approx(-BETA / 99)
    assert twv.actual(trials).value.tolist() == [0.0]


def test_the_optimum_may_be_below_the_maximum_and_below_zero():
    """A term whose every hit is a false alarm must accept one of them; one threshold for all may lie above it."""
    trials = trials_of([(0, 0.9, True, True), (1, 0.1, False, False)], [1, 1], n_trials=101)
    assert twv.maximum(twv.sweep(trials), beta=200).value == pytest.approx(0.5)
    points = twv.optimum(trials, beta=200)
    assert points.value.tolist() == pytest.approx([1.0, 1 - (1 + 200 / 100)])
    assert twv.over_terms(trials, points, beta=200).value == pytest.approx(-0.5)


def test_terms_without_targets_count_only_when_asked():
    rows = [(0, 0.9, True, True), (1, 0.8, True, False), (2, 0.1, False, False)]
    without = trials_of(rows, [1, 0, 0])
    assert twv.over_terms(without, twv.actual(without)).value == 1.0
    counted = trials_of(rows, [1, 0, 0], count_absent=True)
    point = twv.over_terms(counted, twv.actual(counted))
    assert (point.p_miss, point.p_fa) == (0.0, pytest.approx(1 / 100 / 3))
    assert twv.maximum(twv.sweep(counted)).threshold == 0.9
    assert len(twv.sweep(without).threshold) == 1  # no candidate comes from a term that does not count


def test_pooled_takes_all_terms_as_one():
    pooled = trials_of([(0, 0.9, True, True), (1, 0.8, True, False)], [1, 3]).pooled()
    points = twv.actual(pooled)
    assert (points.p_miss.tolist(), points.p_fa.tolist()) == ([0.75], [1 / 96])


def test_counts():
    rows = [(0, 0.9, True, True), (0, 0.8, False, True), (0, 0.7, True, False), (0, 0.6, False, False)]
    counts = twv.count(trials_of(rows, [3, 0]))
    assert [getattr(counts, name)[0] for name in ("targets", "hits", "correct", "misses")] == [3, 4, 1, 2]
    assert [counts.non_targets[0], counts.false_alarms[0], counts.correct_rejected[0]] == [2, 1, 1]
    assert counts.hits[1] == 0


def test_supremum_accepts_every_hit():
    assert twv.supremum(trials_of([(0, 0.1, False, True), (0, 0.2, False, False)], [2])).value.tolist() == [0.5]


def test_terms_can_be_chosen():
    trials = trials_of([(0, 0.9, True, True), (1, 0.8, True, False), (2, 0.7, True, True)], [1, 1, 4])
    chosen = trials.of_terms(np.array([False, True, True]))
    assert chosen.n_targets.tolist() == [1, 4]
    assert twv.actual(chosen).p_miss.tolist() == [1.0, 0.75]


def test_without_hits_the_maximum_is_undefined():
    nothing = trials_of([], [1])
    assert np.isnan(twv.maximum(twv.sweep(nothing)).value)
    assert twv.over_terms(nothing, twv.actual(nothing)).value == 0.0
    assert twv.optimum(nothing).value.tolist() == [0.0]


def test_a_term_whose_every_trial_is_a_target_has_no_p_fa():
    trials = trials_of([(0, 0.9, True, True), (1, 0.8, True, True), (1, 0.7, True, False)], [4, 1], n_trials=4)
    points = twv.actual(trials, beta=1.0)
    assert np.isnan(points.p_fa).tolist() == np.isnan(points.value).tolist() == [True, False]
    overall = twv.over_terms(trials, points, beta=1.0)
    assert (overall.p_miss, overall.p_fa) == (0.375, pytest.approx(1 / 3))
    assert twv.maximum(twv.sweep(trials), beta=1.0).value == pytest.approx(1 - 0.375)
    assert np.isnan(twv.optimum(trials, beta=1.0).value).tolist() == [True, False]
    every = trials_of([(0, 0.9, True, True)], [4], n_trials=4)
    assert np.isnan(twv.over_terms(every, twv.actual(every)).value)
    assert np.isnan(twv.maximum(twv.sweep(every)).value)


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="6 targets, more than the 5 trials"):
        trials_of([], [6], n_trials=5)
    nowhere = trials_of([(0, 0.9, True, False)], [0])
    with pytest.raises(ValueError, match="no term has a target"):
        twv.over_terms(nowhere, twv.actual(nowhere))


hits = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6).map(lambda s: s / 10), st.booleans(), st.booleans()), max_size=25
)


def with_enough_targets(rows, missed: int = 1) -> list[int]:
    return [sum(target for term, _, _, target in rows if term == k) + missed * (k < 3) for k in range(4)]


def at_threshold(rows, n_targets: list[int], threshold: float, beta: float, n_trials: int) -> float:
    occurring = [k for k in range(len(n_targets)) if n_targets[k]]
    values = []
    for k in occurring:
        kept = [target for term, score, _, target in rows if term == k and score >= threshold]
        p_miss = 1 - sum(kept) / n_targets[k]
        values.append(1 - (p_miss + beta * (len(kept) - sum(kept)) / (n_trials - n_targets[k])))
    return sum(values) / len(values)


@given(hits)
def test_maximum_equals_trying_every_threshold(rows):
    n_targets = with_enough_targets(rows)
    best = twv.maximum(twv.sweep(trials_of(rows, n_targets)), beta=20)
    candidates = sorted({score for term, score, _, _ in rows if n_targets[term]})
    if not candidates:
        assert np.isnan(best.value)
        return
    values = [at_threshold(rows, n_targets, threshold, 20, 100) for threshold in candidates]
    assert best.value == pytest.approx(max(values), abs=1e-9)
    ties = [t for t, value in zip(candidates, values, strict=True) if value > max(values) - 1e-9]
    assert best.threshold == ties[0]


@given(hits)
def test_optimum_equals_trying_every_threshold_of_each_term(rows):
    n_targets = with_enough_targets(rows)
    points = twv.optimum(trials_of(rows, n_targets), beta=20)
    for k in range(4):
        own = [(0, *row[1:]) for row in rows if row[0] == k]
        if not n_targets[k]:
            assert np.isnan(points.value[k])
        elif not own:
            assert points.value[k] == 0.0
        else:
            values = [at_threshold(own, [n_targets[k]], score, 20, 100) for _, score, _, _ in own]
            assert points.value[k] == pytest.approx(max(values), abs=1e-9)


@given(hits, st.integers(0, 2), st.integers(0, 6))
def test_a_false_alarm_never_raises_the_value(rows, term, score):
    n_targets = with_enough_targets(rows)
    before, after = trials_of(rows, n_targets), trials_of([*rows, (term, score / 10, True, False)], n_targets)
    assert twv.over_terms(after, twv.actual(after)).value <= twv.over_terms(before, twv.actual(before)).value
    old, new = twv.sweep(before), twv.sweep(after)
    for threshold in old.threshold:
        was = twv.term_value(old.p_miss, old.p_fa, BETA)[old.threshold == threshold][0]
        now = twv.term_value(new.p_miss, new.p_fa, BETA)[new.threshold == threshold][0]
        assert now <= was + 1e-9


@given(hits.filter(lambda rows: any(target for *_, target in rows)), st.randoms())
def test_losing_a_correct_hit_never_lowers_p_miss(rows, random):
    n_targets = with_enough_targets(rows)
    gone = random.choice([i for i, row in enumerate(rows) if row[3]])
    before, after = trials_of(rows, n_targets), trials_of(rows[:gone] + rows[gone + 1 :], n_targets)
    assert (twv.actual(after).p_miss[:3] >= twv.actual(before).p_miss[:3]).all()


@pytest.mark.skipif(not CASES.is_dir(), reason="NIST's cases are not beside the repository")
class TestF4DEsUnitTest:
    """The points of MetricTWV's own unit test."""

    unit = json.loads((CASES / "unit" / "metric_twv.json").read_text()) if CASES.is_dir() else {}

    def sweep(self, rows: list[dict], blocks: list[str], *, count_absent: bool) -> twv.Sweep:
        place = {name: k for k, name in enumerate(blocks)}
        n_targets = [sum(row["target"] for row in rows if row["block"] == name) for name in blocks]
        scored = [
            (place[row["block"]], row["score"], row["decision"] == "YES", bool(row["target"]))
            for row in rows
            if row["decision"] != "OMITTED"
        ]
        return twv.sweep(trials_of(scored, n_targets, n_trials=10, count_absent=count_absent))

    def assert_points(self, curve: twv.Sweep, expected: list[list[float]]) -> None:
        value = twv.term_value(curve.p_miss, curve.p_fa, self.unit["beta"])
        points = np.stack([curve.threshold, curve.p_miss, curve.p_fa, value], axis=1)[::-1]
        np.testing.assert_allclose(points, np.array([row[:4] for row in expected], dtype=float), atol=5.5e-4)

    def test_value_of_rates(self):
        for case in self.unit["combCalc"]:
            assert twv.term_value(case["pmiss"], case["pfa"], self.unit["beta"]) == pytest.approx(case["twv"], abs=1e-5)

    def test_blocks_with_targets(self):
        curve = self.sweep(self.unit["trials"], ["she", "he", "notskip"], count_absent=False)
        self.assert_points(curve, self.unit["three_blocks_targets_only"])

    def test_blocks_without_targets_count_too(self):
        rows = self.unit["trials"] + self.unit["extra_trials_no_target"]
        curve = self.sweep(rows, ["she", "he", "notskip", "skip", "empty1"], count_absent=True)
        self.assert_points(curve, self.unit["five_blocks_include_no_target"])
