import numpy as np
import pytest
from scipy.optimize import minimize

from stdsearch.metrics.cnxe import (
    EFFECTIVE_PRIOR,
    MEDIAEVAL_BETA,
    minimum_cross_entropy,
    normalised_cross_entropy,
)


def test_mediaevals_constants():
    assert pytest.approx(0.0741289, abs=1e-6) == EFFECTIVE_PRIOR
    assert pytest.approx(12.49) == MEDIAEVAL_BETA


def test_scores_that_say_nothing_leave_everything_open():
    assert normalised_cross_entropy(np.zeros(4), np.zeros(9)) == pytest.approx(1.0)
    assert minimum_cross_entropy(np.full(4, 2.0), np.full(9, 2.0)) == pytest.approx(1.0)


def test_sure_and_right_leaves_nothing_open_sure_and_wrong_more_than_all():
    assert normalised_cross_entropy(np.full(3, 50.0), np.full(3, -50.0)) == pytest.approx(0.0, abs=1e-9)
    assert normalised_cross_entropy(np.full(3, -50.0), np.full(3, 50.0)) > 10


def test_worked_figure():
    """One trial of each kind at prior 1/2, llr = ±ln 3: the posterior is 3/4 for the truth, log2(4/3) bits are open."""
    assert normalised_cross_entropy(np.log([3.0]), -np.log([3.0]), prior=0.5) == pytest.approx(np.log2(4 / 3))


def test_minimum_is_that_of_a_general_optimiser():
    random = np.random.default_rng(1)
    targets, others = random.normal(3, 2, 200), random.normal(-1, 1.5, 1000)

    def cost(parameters: np.ndarray) -> float:
        gamma, delta = parameters
        return normalised_cross_entropy(gamma * targets + delta, gamma * others + delta)

    reference = minimize(cost, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).fun
    assert minimum_cross_entropy(targets, others) == pytest.approx(reference, abs=1e-8)
    assert minimum_cross_entropy(targets, others) <= normalised_cross_entropy(targets, others)


def test_minimum_ignores_scale_and_offset():
    random = np.random.default_rng(2)
    targets, others = random.normal(1, 1, 50), random.normal(0, 1, 300)
    assert minimum_cross_entropy(1000 * targets + 7, 1000 * others + 7) == pytest.approx(
        minimum_cross_entropy(targets, others), abs=1e-9
    )


def test_minimum_of_separable_scores_goes_to_zero():
    assert minimum_cross_entropy(np.array([2.0, 3.0]), np.array([0.0, 1.0])) < 1e-6


def test_trials_of_one_kind_only_are_refused():
    for measure in (normalised_cross_entropy, minimum_cross_entropy):
        with pytest.raises(ValueError, match="both kinds"):
            measure(np.array([1.0]), np.array([]))
