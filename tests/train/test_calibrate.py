import numpy as np
import pytest

from stdsearch.errors import StdSearchError
from train.calibrate import Labelled, fit_calibration, fit_logistic


def test_logistic_recovers_what_made_the_labels():
    random = np.random.default_rng(0)
    x = {"a": random.normal(3, 2, 20000), "b": random.normal(0, 1, 20000), "idle": random.normal(size=20000)}
    odds = 0.8 * (x["a"] - 3) - 1.5 * x["b"] + 0.4
    model = fit_logistic(x, random.random(20000) < 1 / (1 + np.exp(-odds)))
    assert np.abs(model.log_odds(x) - odds).max() < 0.8
    assert np.abs(model.log_odds(x) - odds).mean() < 0.1
    assert abs(model.weights[2]) < 0.05


def test_rare_truth_is_told_without_shrinking_from_it():
    """True candidates are one in a hundred, so that the log loss is small, and so must the penalty be."""
    random = np.random.default_rng(0)
    x = random.normal(size=100_000)
    true = random.random(100_000) < 1 / (1 + np.exp(7 - 2.5 * x))
    said = 1 / (1 + np.exp(-fit_logistic({"x": x}, true).log_odds({"x": x})))
    sure = said > 0.5
    assert said[sure].mean() == pytest.approx(true[sure].mean(), abs=0.05)


def test_constant_features_do_no_harm():
    model = fit_logistic({"same": np.ones(10), "x": np.arange(10.0)}, np.arange(10) > 5)
    assert np.isfinite(model.log_odds({"same": np.ones(3), "x": np.arange(3.0)})).all()


def terms(n, random):
    """Terms whose one true candidate has a higher score than the others, by an offset of the term's own."""
    for _ in range(n):
        true = np.arange(20) == 0
        score = random.normal(0, 0.5) + random.normal(0, 0.2, 20) + true
        yield Labelled({"first": score, "pace": random.random(20)}, true)


def test_probabilities_are_calibrated_and_context_helps():
    random = np.random.default_rng(1)
    calibration = fit_calibration(list(terms(400, random)))
    unseen = list(terms(400, random))
    odds = [calibration.own_odds(term.features) for term in unseen]
    probability = np.concatenate([calibration.probability(o) for o in odds])
    alone = 1 / (1 + np.exp(-np.concatenate(odds)))
    true = np.concatenate([term.true for term in unseen])

    def log_loss(p):
        return -np.where(true, np.log(p), np.log1p(-p)).mean()

    assert log_loss(probability) < log_loss(alone)
    assert probability.sum() == pytest.approx(true.sum(), rel=0.15)


def test_a_task_that_nothing_was_found_of_is_refused():
    nothing = Labelled({"first": np.zeros(3)}, np.zeros(3, bool))
    for terms in ([nothing], []):
        with pytest.raises(StdSearchError, match="no true candidate"):
            fit_calibration(terms)
