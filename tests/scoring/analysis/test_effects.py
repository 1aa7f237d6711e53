"""Effect sizes against their definitions and other libraries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from entrotune.measures import holm
from entrotune.scoring.analysis.effects import auc, class_difference, cohens_d, point_biserial, wilson

# Few different values, so that there are ties.
CLASSES = st.tuples(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.lists(st.integers(0, 6), min_size=1))


def _joined(high: list[int], low: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([*high, *low], dtype=float), np.array([True] * len(high) + [False] * len(low))


@given(CLASSES)
def test_auc_counts_pairs(classes: tuple[list[int], list[int]]) -> None:
    high, low = classes
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in high for b in low]
    found = auc(*_joined(high, low))
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    if found.low is not None:
        assert 0 < found.low <= found.value <= found.high < 1


def test_interval_of_auc_is_delongs() -> None:
    generator = np.random.default_rng(3)
    high, low = generator.normal(0.4, 1, 30), generator.normal(0, 1, 50)
    wins = (high[:, None] > low[None, :]).astype(float)
    value, variance = wins.mean(), wins.mean(1).var(ddof=1) / 30 + wins.mean(0).var(ddof=1) / 50
    found = auc(np.concatenate([high, low]), np.arange(80) < 30)
    logit, spread = math.log(value / (1 - value)), math.sqrt(variance) / value / (1 - value)
    # Brunner and Munzel's test has the same variance: p of AUC = 0.5, (0.5 - AUC) / √variance on t, gives its freedom.
    test = stats.brunnermunzel(low, high)
    assert test.statistic == pytest.approx((value - 0.5) / math.sqrt(variance))
    degrees = brentq(lambda df: 2 * stats.t.sf(abs(test.statistic), df) - test.pvalue, 2, 1000)
    ends = [1 / (1 + math.exp(-(logit + sign * stats.t.isf(0.025, degrees) * spread))) for sign in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(ends, rel=1e-5)


@pytest.mark.parametrize(("rights", "n"), [(25, 60), (5, 205)])
def test_interval_of_auc_covers(rights: int, n: int) -> None:
    """With five rows of a class the normal distribution in place of t covers 90%."""
    truth, covered = stats.norm.cdf(0.5 / math.sqrt(2)), 0
    generator, right = np.random.default_rng(0), np.arange(n) < rights
    for _ in range(600):
        found = auc(generator.normal(size=n) + 0.5 * right, right)
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / 600 <= 0.98


@pytest.mark.parametrize(("high", "low", "value"), [([3, 4], [1, 2], 1.0), ([1, 2], [3, 4], 0.0)])
def test_classes_that_do_not_overlap_have_no_interval(high: list[int], low: list[int], value: float) -> None:
    found = auc(*_joined(high, low))
    assert (found.value, found.low, found.high) == (value, None, None)


def test_cohens_d_by_hand() -> None:
    # Means 4 and 2, both variances 1: d = 2; error √(6/9 + 4/12) = 1.
    found = cohens_d(*_joined([3, 4, 5], [1, 2, 3]))
    assert found.value == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((2 - 1.959964, 2 + 1.959964), rel=1e-5)


def test_classes_without_any_spread_have_no_d_and_no_f() -> None:
    found = class_difference(*_joined([10] * 4, [12] * 5))
    assert found["cohens_d"] == {"value": None, "low": None, "high": None}
    assert (found["f"], found["f_p"], found["auc"]["value"]) == (None, 0.0, 0.0)
    assert found["point_biserial"] == {"value": pytest.approx(-1.0), "low": None, "high": None}
    assert cohens_d(*_joined([10, 11], [12, 12])).value == pytest.approx(-1.5 / math.sqrt(0.5 / 2))


def test_point_biserial_f_and_means_agree_with_scipy() -> None:
    generator = np.random.default_rng(1)
    right = generator.random(80) < 0.4
    values = generator.exponential(size=80) + 0.3 * right
    found = class_difference(values, right)
    r, p = stats.pointbiserialr(right, values)
    assert found["point_biserial"]["value"] == pytest.approx(r)
    assert found["f_p"] == pytest.approx(p)
    assert found["f"] == pytest.approx(r**2 * 78 / (1 - r**2))
    interval = stats.pearsonr(right, values).confidence_interval()
    assert (found["point_biserial"]["low"], found["point_biserial"]["high"]) == pytest.approx(tuple(interval))
    assert found["mean_right"] - found["mean_wrong"] == pytest.approx(values[right].mean() - values[~right].mean())
    assert point_biserial(-values, right).value == pytest.approx(-r)


@settings(max_examples=10, deadline=None)  # statsmodels collects garbage at each call, which takes long
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_that_of_statsmodels(counts: tuple[int, int]) -> None:
    found = wilson(*counts)
    assert (found.low, found.high) == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-12)
