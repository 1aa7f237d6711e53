"""Logistic regression against closed forms, and inputs that have no estimate."""

import math

import numpy as np
import pytest
from scipy import stats

from entrotune.errors import UserError
from entrotune.scoring.analysis.regression import fit_logistic, ratio_test


def test_a_two_by_two_table_has_a_closed_form() -> None:
    # Right and wrong at x = 1: 30 and 10; at x = 0: 15 and 25.
    x = np.repeat([1.0, 1.0, 0.0, 0.0], [30, 10, 15, 25])
    right = np.repeat([True, False, True, False], [30, 10, 15, 25])
    fit = fit_logistic(right, {"x": x})
    found = fit.coefficients["x"]
    slope, error = math.log(30 * 25 / (10 * 15)), math.sqrt(1 / 30 + 1 / 10 + 1 / 15 + 1 / 25)
    assert found["raw"]["value"] == pytest.approx(slope, rel=1e-6)
    assert found["raw_se"] == pytest.approx(error, rel=1e-5)
    assert found["raw"]["high"] == pytest.approx(slope + 1.959964 * error, rel=1e-5)
    assert found["per_sd"]["value"] == pytest.approx(slope * x.std(ddof=1), rel=1e-6)
    assert found["p"] == pytest.approx(2 * stats.norm.sf(slope / error), rel=1e-4)
    likelihood = 30 * math.log(0.75) + 10 * math.log(0.25) + 15 * math.log(15 / 40) + 25 * math.log(25 / 40)
    null = 45 * math.log(45 / 80) + 35 * math.log(35 / 80)
    assert fit.log_likelihood == pytest.approx(likelihood)
    assert fit.mcfadden == pytest.approx(1 - likelihood / null)
    assert fit.p == pytest.approx(stats.chi2.sf(2 * (likelihood - null), 1), rel=1e-6)


def test_likelihood_and_p_do_not_depend_on_the_unit() -> None:
    generator = np.random.default_rng(0)
    x, z = generator.normal(size=(2, 300))
    right = generator.random(300) < 1 / (1 + np.exp(-0.8 * x + 0.5 * z))
    one = fit_logistic(right, {"x": x, "z": z})
    other = fit_logistic(right, {"x": 1e6 * x - 3e7, "z": z})
    assert other.log_likelihood == pytest.approx(one.log_likelihood)
    assert other.coefficients["x"]["p"] == pytest.approx(one.coefficients["x"]["p"])
    assert other.coefficients["x"]["raw"]["value"] == pytest.approx(1e-6 * one.coefficients["x"]["raw"]["value"])
    assert one.coefficients["x"]["per_sd"]["low"] < 0.8 * x.std() < one.coefficients["x"]["per_sd"]["high"]


def test_p_values_are_uniform_where_there_is_no_effect() -> None:
    generator = np.random.default_rng(5)
    found = [fit_logistic(generator.random(150) < 0.3, {"x": generator.gamma(2.0, size=150)}).p for _ in range(300)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_nested_models() -> None:
    statistic, p = ratio_test(-100.0, -103.0, 2)
    assert (statistic, p) == (6.0, pytest.approx(math.exp(-3)))
    assert ratio_test(-100.0, -100.0 + 1e-9, 1) == (0.0, 1.0)


RIGHT = np.arange(40) >= 20
SEPARATED = {
    "complete": ({"x": np.arange(40.0)}, "x separates right from wrong perfectly"),
    "reversed": ({"x": -np.arange(40.0)}, "x separates right from wrong perfectly"),
    "all but equal ones": ({"x": np.repeat([0.0, 1.0, 2.0], [18, 4, 18])}, "x separates"),
    "one side": ({"x": (np.arange(40) > 35).astype(float)}, "x separates"),
    "together": (
        {"x": np.tile([0.0, 1.0], 20), "z": np.tile([0.0, 1.0], 20) + 3 * RIGHT},
        "x and z together separate",
    ),
    "one row of many": ({"x": (np.arange(40) == 39).astype(float)}, "x separates"),
    "dependent": ({"x": np.sin(np.arange(40.0)), "z": 2 * np.sin(np.arange(40.0)) + 1}, "determine each other"),
}


@pytest.mark.parametrize("name", SEPARATED)
def test_what_has_no_finite_estimate_is_said(name: str) -> None:
    predictors, told = SEPARATED[name]
    fit = fit_logistic(RIGHT, predictors)
    assert fit.problem is not None
    assert told in fit.problem
    assert fit.coefficients == {}


def test_strong_but_overlapping_classes_have_an_estimate() -> None:
    x = np.arange(40.0)
    x[[19, 20]] = x[[20, 19]]
    fit = fit_logistic(RIGHT, {"x": x})
    assert fit.problem is None
    assert fit.mcfadden > 0.8


@pytest.mark.parametrize("away", [1e-2, 1e-3])
def test_predictors_that_are_nearly_the_same_do_not_separate(away: float) -> None:
    """Each coefficient has a large error; that is no separation, and what is said of both together is sound."""
    generator = np.random.default_rng(2)
    x, noise, right = generator.normal(size=300), generator.normal(size=300), generator.random(300) < 0.5
    fit = fit_logistic(right, {"x": x, "z": x + away * noise})
    apart = fit_logistic(right, {"x": x, "z": noise})
    assert fit.problem is None
    assert fit.log_likelihood == pytest.approx(apart.log_likelihood)
    assert fit.coefficients["z"]["z"] == pytest.approx(apart.coefficients["z"]["z"], rel=1e-3)


def test_many_rows_that_overlap_in_few_have_an_estimate() -> None:
    generator = np.random.default_rng(1)
    fit = fit_logistic(np.arange(2000) > 1000 + generator.normal(0, 3, 2000), {"x": np.arange(2000.0)})
    assert fit.problem is None
    assert fit.coefficients["x"]["per_sd_se"] > 30
    assert fit.p < 1e-100


def test_a_constant_is_refused() -> None:
    with pytest.raises(UserError, match="z is the same in all rows"):
        fit_logistic(RIGHT, {"x": np.sin(np.arange(40.0)), "z": np.ones(40)})
