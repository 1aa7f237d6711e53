"""The slope of a line through rows, and its interval."""

import math

import numpy as np
import pytest

from entrotune.measures import bootstrap_slope, verdict


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_equal_to_least_squares(offset: float) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=50) + offset
    y = 0.7 * (x - offset) + draw.normal(size=50)
    found = bootstrap_slope(x, y, seed=0)
    assert found.value == pytest.approx(np.polyfit(x - offset, y, 1)[0])
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.7 < found.high
    assert verdict(found) == "higher"


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    draw, held = np.random.default_rng(1), 0
    for trial in range(200):
        x = draw.uniform(size=40)
        found = bootstrap_slope(x, -2 * x + draw.normal(size=40), seed=trial, resamples=500)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= -2 <= found.high
    assert 178 <= held <= 200


def test_one_place_has_no_slope() -> None:
    found = bootstrap_slope([3.0, 3.0, 3.0], [1.0, 2.0, 5.0], seed=0)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert math.isnan(bootstrap_slope([], [], seed=0).value)


def test_rows_without_a_value_are_left_out_and_counted() -> None:
    found = bootstrap_slope([0.0, 1.0, 2.0, 9.0], [0.0, 2.0, 4.0, math.nan], seed=0)
    assert (found.value, found.skipped) == (pytest.approx(2.0), 1)
