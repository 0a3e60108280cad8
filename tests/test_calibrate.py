import numpy as np
import pytest

from stdsearch.calibrate import Calibration, Logistic, decide, expand, from_json, in_context, normalise, to_json
from stdsearch.errors import StdSearchError

OWN = Logistic(("first", "pace²"), (0.5, 0.01), (0.1, 0.02), (2.0, -1.0), -0.5)
CONTEXT = Logistic(("odds", "behind"), (0.0, 1.0), (1.0, 2.0), (1.0, -0.5), 0.25)


def test_log_odds_by_hand():
    features = {"first": np.array([0.7, 0.5]), "pace": np.array([0.1, 0.3])}
    odds = OWN.log_odds(expand(features))
    assert odds == pytest.approx([-0.5 + 2 * 2 - 0, -0.5 + 0 - (0.09 - 0.01) / 0.02])


def test_probability_is_between_0_and_1_and_keeps_the_order():
    calibration = Calibration(OWN, CONTEXT)
    odds = np.array([-900.0, -1.0, 0.0, 3.0, 900.0])
    probability = calibration.probability(odds)
    assert (np.diff(probability) >= 0).all()
    assert 0 <= probability[0] < probability[-1] <= 1


def test_context_by_hand():
    context = in_context(np.array([1.0, 4.0, -2.0]))
    assert context["behind"].tolist() == [3, 0, 6]
    assert context["rank"] == pytest.approx(np.log([2, 1, 3]))
    assert context["ahead"] == pytest.approx([0, 3, -3])


def test_context_of_nothing_is_nothing():
    assert all(len(value) == 0 for value in in_context(np.empty(0)).values())


def test_terms_are_calibrated_and_decided_together_as_each_alone() -> None:
    """Of the terms 0 to 3 the third has no candidate; the first has equals, the last more than ten."""
    random = np.random.default_rng(0)
    term = random.permutation(np.repeat([0, 1, 3], [3, 1, 15]))
    odds = np.where(term == 0, 1.5, random.normal(size=len(term)))
    probability = 1 / (1 + np.exp(-odds))
    together, decisions = in_context(odds, term), decide(probability, 100.0, 10.0, term=term)
    for one in (0, 1, 3):
        here = term == one
        for name, value in in_context(odds[here]).items():
            np.testing.assert_allclose(together[name][here], value, atol=1e-12, err_msg=name)
        assert decisions[here].tolist() == decide(probability[here], 100.0, 10.0).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_decisions_maximise_the_expected_value(seed):
    """A hit is accepted exactly where doing so raises its expected contribution to 1 - P_miss - beta P_fa."""
    random = np.random.default_rng(seed)
    probability, seconds, beta = random.random(30) ** 4, 2000.0, 999.9
    expected = probability.sum()
    gain = probability / expected - beta * (1 - probability) / (seconds - expected)
    assert decide(probability, seconds, beta).tolist() == (gain >= 0).tolist()


def test_a_cheaper_false_alarm_accepts_no_less():
    probability = np.linspace(0, 1, 50)
    assert (decide(probability, 1000.0, 10.0) >= decide(probability, 1000.0, 999.9)).all()


@pytest.mark.parametrize("seed", range(3))
def test_kst_puts_the_threshold_of_every_term_at_a_half(seed: int) -> None:
    random = np.random.default_rng(seed)
    term = np.repeat([0, 1, 2], [10, 1, 20])
    probability = random.random(31) ** 4
    scores = normalise(probability, "kst", 2000.0, term=term)
    assert (scores >= 0.5).tolist() == decide(probability, 2000.0, term=term).tolist()
    for one in range(3):
        here = term == one
        expected = probability[here].sum()
        threshold = 999.9 * expected / (2000.0 + 998.9 * expected)
        exponent = np.log(0.5) / np.log(threshold)
        assert scores[here] == pytest.approx([p**exponent for p in probability[here]])
        assert scores[here] == pytest.approx(normalise(probability[here], "kst", 2000.0))


def test_sto_makes_the_scores_of_a_term_sum_to_one() -> None:
    probability, term = np.array([0.2, 0.6, 0.0, 0.9]), np.array([1, 1, 3, 0])
    assert normalise(probability, "sto", 60.0, term=term) == pytest.approx([0.25, 0.75, 0.0, 1.0])


def test_a_normalisation_of_no_known_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'KST' is no normalisation"):
        normalise(np.array([0.5]), "KST", 60.0)


@pytest.mark.parametrize("how", ["kst", "sto"])
def test_normalised_scores_stay_between_0_and_1(how: str) -> None:
    """However sure, however short the archive, and where nothing is probable at all."""
    for probability in (np.ones(9), np.zeros(3), np.array([1.0, 1e-300, 0.0])):
        scores = normalise(probability, how, 5.0)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_json_round_trip():
    calibrations = {"text": Calibration(OWN, CONTEXT)}
    assert from_json(to_json(calibrations)) == calibrations


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"text": 1}', '{"text": {"own": {}}}', '{"text": {"own": null, "context": null}}',
     to_json({"text": Calibration(OWN, CONTEXT)}).replace("[2.0, -1.0]", "[2.0]")],
)  # fmt: skip
def test_damage_is_told(text):
    with pytest.raises(StdSearchError, match="calibration is damaged"):
        from_json(text)
