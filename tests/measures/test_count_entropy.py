import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.measures import count_entropy, evenness, expected_coverage

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=12)


def test_plug_in_by_hand() -> None:
    assert count_entropy([5, 5]) == pytest.approx(math.log(2))
    assert count_entropy([3, 1, 0]) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert count_entropy([7]) == 0
    assert math.isnan(count_entropy([0, 0]))
    assert math.isnan(count_entropy([]))


def test_miller_madow_adds_outcomes_less_one_over_twice_the_draws() -> None:
    assert count_entropy([3, 1, 0], estimator="miller-madow") == pytest.approx(count_entropy([3, 1]) + 1 / 8)


def test_chao_shen_by_hand() -> None:
    # Counts 2 and 1: one singleton of three draws, coverage 2/3, p = 4/9 and 2/9, inclusion 1 − (5/9)³, 1 − (7/9)³.
    expected = -(4 / 9) * math.log(4 / 9) / (1 - (5 / 9) ** 3) - (2 / 9) * math.log(2 / 9) / (1 - (7 / 9) ** 3)
    assert count_entropy([2, 1], estimator="chao-shen") == pytest.approx(expected)
    assert count_entropy([4], estimator="chao-shen") == 0
    assert count_entropy([1], estimator="chao-shen") == 0
    assert math.isfinite(count_entropy([1, 1, 1], estimator="chao-shen"))


def test_corrected_estimators_are_nearer_the_truth_for_few_draws() -> None:
    p = np.arange(1, 51) / np.arange(1, 51).sum()
    truth = -np.sum(p * np.log(p))
    draws_TV = np.random.default_rng(0).multinomial(40, p, size=300)
    plug_in, miller_madow, chao_shen = (
        abs(np.mean([count_entropy(draw, estimator=name) for draw in draws_TV]) - truth)  # type: ignore[arg-type]
        for name in ("plug-in", "miller-madow", "chao-shen")
    )
    assert chao_shen < miller_madow < plug_in
    assert chao_shen < 0.1


@given(COUNTS)
def test_entropy_and_evenness_stay_in_range_whatever_the_order(counts: list[int]) -> None:
    entropy, even = count_entropy(counts), evenness(counts)
    if sum(counts):
        assert 0 <= entropy <= math.log(len(counts)) + 1e-12
        assert count_entropy(counts[::-1]) == pytest.approx(entropy)
        assert math.isnan(even) if len(counts) == 1 else 0 <= even <= 1 + 1e-12
    else:
        assert math.isnan(entropy)
        assert math.isnan(even)


def test_evenness_counts_outcomes_never_seen() -> None:
    assert evenness([4, 4]) == pytest.approx(1)
    assert evenness([4, 4, 0, 0]) == pytest.approx(0.5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3), st.integers(0, 4))
def test_expected_coverage_equals_enumeration(weights: list[float], draws: int) -> None:
    p = np.array([*weights, 1.0]) / (sum(weights) + 1)
    # The last outcome is one outside those of interest.
    expected = sum(
        math.prod(p[list(drawn)]) * len(set(drawn) - {len(weights)})
        for drawn in itertools.product(range(len(p)), repeat=draws)
    )
    assert expected_coverage(p[:-1], draws) == pytest.approx(expected)


def test_expected_coverage_at_the_ends() -> None:
    assert expected_coverage([1.0, 0.0], 5) == 1
    assert expected_coverage([1.0], 0) == 0
    # A probability of 1e-18 that 1 − (1 − p)^n would round away.
    assert expected_coverage([1e-18], 10) == pytest.approx(1e-17, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: count_entropy([1, -1]), "0 or more"),
        (lambda: count_entropy([0.5]), "whole numbers"),
        (lambda: count_entropy([[1]]), "list of whole numbers"),
        (lambda: count_entropy([1], estimator="best"), "got 'best'"),  # type: ignore[arg-type]
        (lambda: expected_coverage([0.5, 0.6], 2), "at most 1, got a sum of 1.1"),
        (lambda: expected_coverage([-0.1], 2), "0 or more"),
        (lambda: expected_coverage([math.nan], 2), "0 or more"),
        (lambda: expected_coverage([0.5], -1), "draws must be 0 or more, got -1"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
