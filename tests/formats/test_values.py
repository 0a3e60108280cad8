import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.formats.values import BadValueError, choice, decimal, finite, seconds, whole


@pytest.mark.parametrize("text", ["", "x", "nan", "NaN", "inf", "-INF", "1e999", "1_000", "1,5", "0x10"])
def test_no_finite_number(text):
    with pytest.raises(BadValueError, match=r"^score .* is not a finite number$"):
        finite("score", text)


def test_numbers():
    assert (finite("tbeg", " -2.5 "), finite("score", "1E-3"), seconds("dur", "0"), whole("channel", "02")) == (
        -2.5,
        0.001,
        0.0,
        2,
    )


@pytest.mark.parametrize("text", ["-1", "1.0", "", " 1", "²", "9" * 10, "9" * 5000])
def test_no_whole_number(text):
    with pytest.raises(BadValueError, match="whole number"):
        whole("channel", text)


def test_negative_seconds_and_foreign_choices():
    with pytest.raises(BadValueError, match=r"dur '-0\.1' is negative"):
        seconds("dur", "-0.1")
    with pytest.raises(BadValueError, match="decision 'yes' must be 'YES' or 'NO'"):
        choice("decision", "yes", ("YES", "NO"))


def test_a_message_stays_short():
    with pytest.raises(BadValueError) as refusal:
        finite("score", "x\n" * 10_000)
    assert len(str(refusal.value)) < 100
    assert "\n" not in str(refusal.value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_loses_nothing_and_has_no_exponent(value):
    text = decimal(value)
    assert float(text) == value
    assert "e" not in text
