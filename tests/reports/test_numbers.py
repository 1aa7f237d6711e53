"""How numbers are written, and when one may be called best."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.reports.numbers import Shown, clearly_best, format_number, format_seconds, read_estimate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (-0.0, "0.000"),
        (2.3456, "2.346"),
        (-0.04, "−0.040"),
        (12.345, "12.35"),
        (123.45, "123.5"),
        (12345.6, "12,346"),
        (0.00012, "1.20e−04"),
        (999_999_999, "999,999,999"),
        (1e9, "1.00e+09"),
        (-3e12, "−3.00e+12"),
    ],
)
def test_format_number(value: float, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(-1e300, 1e300))
def test_formatted_numbers_read_back_to_three_digits(value: float) -> None:
    back = float(format_number(value).replace(",", "").replace("−", "-"))
    assert math.isclose(back, value, rel_tol=6e-3, abs_tol=5.1e-4)


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.21, "4.2 s"), (185, "3 min 05 s"), (7830, "2 h 10 min"), (3900, "1 h 05 min"), (None, "–")]
)
def test_format_seconds(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize("entry", [None, "2", True, float("nan"), float("inf"), {}, {"value": None}, []])
def test_what_is_no_finite_number_is_none(entry: object) -> None:
    assert read_estimate(entry) is None


def test_estimate_keeps_what_it_is_given() -> None:
    assert read_estimate({"value": 1, "low": 0, "high": 2, "n": 9}) == Shown(1.0, 0.0, 2.0, 9)
    assert read_estimate({"value": 1, "low": None, "high": float("nan"), "n": 1}) == Shown(1.0, None, None, 1)
    assert read_estimate(1.5) == Shown(1.5)


def test_best_must_be_clear_of_every_other_variant() -> None:
    low, middle, high = Shown(1, 0.5, 1.5), Shown(2, 1.4, 2.6), Shown(3, 2.7, 3.3)
    assert clearly_best([[low], [high]], "higher") == (1, 0)
    assert clearly_best([[low], [high]], "lower") == (0, 0)
    assert clearly_best([[middle], [low]], "lower") is None
    assert clearly_best([[Shown(1, 0.5, 1.5)], [Shown(2, 1.5, 2.5)]], "higher") is None  # they touch
    assert clearly_best([[Shown(1, 0.5, 1.5)], [Shown(2, 1.5, 2.5)]], "lower") is None
    assert clearly_best([[low, middle], [high]], "higher") == (1, 0)
    # Another temperature of the same variant may touch.
    assert clearly_best([[low, middle], [high]], "lower") == (0, 0)
    assert clearly_best([[low, None], [None]], "lower") is None
    assert clearly_best([[low], [high]], None) is None
    assert clearly_best([[low], [Shown(3)]], "higher") is None
    assert clearly_best([[low, high]], "higher") is None
