"""Different values at equal numbers of answers."""

import itertools
import math

import numpy as np
import pytest

from entrotune.measures import distinct_ratio, expected_distinct


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_is_the_mean_over_all_parts_of_that_size(size: int) -> None:
    values = ["a", "a", "a", "b", "c"]
    parts = list(itertools.combinations(values, size))
    assert expected_distinct(values, size) == pytest.approx(sum(len(set(part)) for part in parts) / len(parts))


def test_a_ratio_is_taken_at_half_the_smaller_sample() -> None:
    few, many = ["x"] * 8, list(range(20))
    found = distinct_ratio(many, few)
    assert found.value == pytest.approx(4.0)  # of 4 answers all differ, or none
    assert (found.low, found.high) == (None, None)  # leaving one out changes nothing: no error can be told by that
    assert distinct_ratio(few, many).value == pytest.approx(0.25)


def test_the_interval_is_that_of_leaving_out_each_answer() -> None:
    values, others = ["a"] * 5 + ["b", "b", "b", "c", "d"], ["x"] * 6 + ["y"] * 3 + ["z"]

    def variance(all_values: list[str]) -> float:
        left = [math.log(expected_distinct(all_values[:at] + all_values[at + 1 :], 5)) for at in range(10)]
        return 9 / 10 * sum((one - sum(left) / 10) ** 2 for one in left)

    found = distinct_ratio(values, others)
    half = 1.959964 * math.sqrt(variance(values) + variance(others))
    assert found.high is not None
    assert math.log(found.high / found.value) == pytest.approx(half, rel=1e-5)


def test_too_few_have_no_interval_or_no_ratio() -> None:
    found = distinct_ratio(["a", "b", "c"], ["a", "a", "a"])
    assert (found.value, found.low, found.high) == (pytest.approx(1.0), None, None)
    assert math.isnan(distinct_ratio(["a"], ["a", "b"]).value)


def test_values_that_never_repeat_do_not_show_a_ratio_of_exactly_one() -> None:
    """40 of 2,000 and of 500 values: one pair of samples in seven has no repeat, and the truth is 1.014."""
    found = distinct_ratio(list(range(40)), list(range(100, 140)))
    assert (found.value, found.low, found.high) == (pytest.approx(1.0), None, None)
    repeated = distinct_ratio([*range(39), 0], list(range(100, 140)))
    assert repeated.low is not None
    assert repeated.low < repeated.value


def test_intervals_hold_the_true_ratio_in_most_samples() -> None:
    """Values drawn from 20 and from 40 equally likely ones; the truth at 30 draws is 1 − (1 − 1/n)^30 times n."""
    truth = math.log(40 * (1 - (1 - 1 / 40) ** 30)) - math.log(20 * (1 - (1 - 1 / 20) ** 30))
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = distinct_ratio(rng.integers(40, size=60).tolist(), rng.integers(20, size=60).tolist())
        assert found.low is not None
        assert found.high is not None
        covered += math.log(found.low) <= truth <= math.log(found.high)
    assert covered >= 175
