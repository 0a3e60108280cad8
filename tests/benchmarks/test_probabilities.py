import numpy as np
import pytest
from probabilities import by_cost, cross_entropies, reliability

from stdsearch.metrics.twv import Trials


def drawn(n: int, *, stretch: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n,) said by a system that stretches its log odds, and what came true of the real ones."""
    random = np.random.default_rng(0)
    odds = random.normal(-1, 2, size=n)
    true = random.random(n) < 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-stretch * odds)), true


def test_true_probabilities_come_true() -> None:
    rows = reliability(*drawn(40000))
    assert sum(row["hits"] for row in rows) == 40000
    assert all(abs(row["predicted"] - row["true"]) < 0.04 for row in rows)


def test_a_system_too_sure_of_itself_is_seen_to_be() -> None:
    rows = {row["from"]: row for row in reliability(*drawn(40000, stretch=2.0))}
    assert rows[0.9]["true"] < rows[0.9]["predicted"] - 0.05
    assert rows[0.05]["true"] > rows[0.05]["predicted"] + 0.05


def test_probabilities_of_0_and_1_have_a_bin() -> None:
    rows = reliability(np.array([0.0, 1.0]), np.array([False, True]))
    assert [(row["from"], row["to"], row["true"]) for row in rows] == [(0.0, 0.01, 0.0), (0.95, 1.0, 1.0)]


def test_cross_entropy_is_the_log_loss_over_that_of_the_share() -> None:
    p, true = drawn(5000)
    share = true.mean()
    loss = -np.mean(np.where(true, np.log(p), np.log(1 - p)))
    prior = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert cross_entropies(p, true)["cnxe"] == pytest.approx(loss / prior, abs=1e-3)


def test_only_bad_calibration_parts_cross_entropy_from_its_minimum() -> None:
    good, bad = cross_entropies(*drawn(20000)), cross_entropies(*drawn(20000, stretch=2.0))
    assert good["cnxe"] - good["min_cnxe"] < 0.002
    assert bad["cnxe"] - bad["min_cnxe"] > 0.05
    assert bad["min_cnxe"] == pytest.approx(good["min_cnxe"], abs=1e-3)


def test_decisions_follow_the_cost() -> None:
    """Term 0 has false hits worth accepting only where false alarms are cheap; term 1 a sure one."""
    trials = Trials.from_hits(
        np.array([0, 0, 0, 0, 0, 1]),
        np.array([0.3, 0.3, 0.3, 0.3, 0.3, 0.999]),
        np.zeros(6, bool),
        np.array([False, False, False, False, False, True]),
        n_targets=np.array([1, 1]),
        n_trials=1000,
    )
    cheap, *_, dear = by_cost(trials, 1000.0)
    assert cheap["atwv"] == pytest.approx(0.5 - 5 / 999 / 2, abs=1e-4)
    assert dear == {"beta": 999.9, "atwv": 0.5, "mtwv": 0.5}
