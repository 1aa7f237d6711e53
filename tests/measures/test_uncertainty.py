import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.measures import (
    Estimate,
    bootstrap_mean,
    bootstrap_ratio,
    paired_difference,
    paired_ratio_difference,
    verdict,
)

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


@pytest.mark.parametrize("n", [8, 30])
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_intervals_of_a_mean_cover_it_as_often_as_they_say(law: str, n: int) -> None:
    generator = np.random.default_rng(11)
    samples_TN = generator.normal(size=(600, n)) if law == "normal" else generator.uniform(-1, 1, size=(600, n))
    estimates = [bootstrap_mean(sample_N, seed=i, resamples=1000) for i, sample_N in enumerate(samples_TN)]
    # 600 trials: standard error 0.9%. The plain percentile interval covers 88 to 90% at n = 8.
    assert 0.92 <= np.mean([e.low <= 0 <= e.high for e in estimates]) <= 0.985  # type: ignore[operator]


def test_intervals_of_a_ratio_and_of_paired_differences_cover() -> None:
    generator = np.random.default_rng(12)
    covered = []
    for trial in range(400):
        tokens = generator.integers(1, 40, size=40)
        # NLL of a token: 2 nats, more for long rows; b is a plus 0.3 with a shared noise of the prompt.
        noise = generator.normal(size=40)
        nll_a = tokens * (2 + 0.5 * noise)
        nll_b = tokens * (2.3 + 0.5 * noise + 0.1 * generator.normal(size=40))
        ratio = bootstrap_ratio(nll_a, tokens, seed=trial, resamples=500)
        difference = paired_ratio_difference(nll_b, tokens, nll_a, tokens, seed=trial, resamples=500)
        covered.append((ratio.low <= 2 <= ratio.high, difference.low <= 0.3 <= difference.high))  # type: ignore[operator]
    assert (np.mean(covered, axis=0) > 0.91).all()
    assert (np.mean(covered, axis=0) < 0.99).all()


def test_an_interval_that_few_of_many_values_carry_is_as_wide_as_for_these() -> None:
    """8 of 300 prompts were sampled from: 90% cover it where all 300 count."""
    generator = np.random.default_rng(13)
    covered = []
    for trial in range(600):
        own = generator.normal(size=8)
        values = np.full(300, own.mean())
        values[:8] += 300 * (own - own.mean()) / 8
        for carried_by in (8, None):
            found = bootstrap_mean(values, seed=trial, resamples=1000, carried_by=carried_by)
            covered.append(found.low <= 0 <= found.high)  # type: ignore[operator]
    few, all_of_them = np.mean(np.array(covered).reshape(-1, 2), axis=0)
    assert 0.93 <= few <= 0.985
    assert all_of_them < few


def test_level_is_the_one_asked_for() -> None:
    values = np.random.default_rng(0).normal(size=50)
    narrow, wide = (bootstrap_mean(values, seed=1, level=level) for level in (0.5, 0.99))
    assert wide.level == 0.99
    # For large samples the interval is about ±z·s/√n.
    for estimate, z in ((narrow, 0.674), (wide, 2.576)):
        expected = 2 * z * values.std(ddof=1) / 50**0.5
        assert estimate.high - estimate.low == pytest.approx(expected, rel=0.12)  # type: ignore[operator]


@given(VALUES, st.integers(0, 2**32))
def test_an_interval_is_reproducible_and_within_the_data(values: list[float], seed: int) -> None:
    estimate = bootstrap_mean(values, seed=seed, resamples=100)
    assert estimate == bootstrap_mean(values, seed=seed, resamples=100)
    assert estimate.value == pytest.approx(np.mean(values), abs=1e-9)
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9  # type: ignore[operator]


def test_another_seed_gives_another_interval() -> None:
    values = np.arange(20.0) ** 2
    assert bootstrap_mean(values, seed=0) != bootstrap_mean(values, seed=1)


def test_blocks_of_resamples_are_all_filled() -> None:
    # Over a million rows the resamples come one at a time.
    values = np.random.default_rng(3).normal(size=1_100_000)
    estimate = bootstrap_mean(values, seed=0, resamples=20)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 / 1_100_000**0.5, rel=0.5)  # type: ignore[operator]
    assert estimate.low < estimate.value < estimate.high  # type: ignore[operator]


def test_undefined_prompts_are_skipped_and_counted() -> None:
    estimate = bootstrap_mean([1.0, math.nan, 3.0, math.nan], seed=0)
    assert (estimate.value, estimate.n, estimate.skipped) == (2, 2, 2)
    assert estimate.to_dict() == {"value": 2, "low": 1, "high": 3, "n": 2, "skipped": 2}


def test_fewer_than_two_prompts_have_no_interval() -> None:
    assert bootstrap_mean([4.0], seed=0) == Estimate(4, None, None, 1)
    assert bootstrap_mean([4.0], seed=0).to_dict() == {"value": 4, "low": None, "high": None, "n": 1}
    empty = bootstrap_mean([math.nan], seed=0)
    assert math.isnan(empty.value)
    assert (
        json.dumps(empty.to_dict(), allow_nan=False)
        == '{"value": null, "low": null, "high": null, "n": 0, "skipped": 1}'
    )
    assert verdict(empty) == "no difference shown"


def test_ratio_weighs_rows_by_their_tokens() -> None:
    # 1 token of 10 nats, 9 tokens of 10 nats in all: 20/10 a token, where the mean of the rows' means is over 5.
    estimate = bootstrap_ratio([10, 10], [1, 9], seed=0)
    assert estimate.value == 2
    # The resamples are {1,1}, {1,2} and {2,2} only.
    assert (estimate.low, estimate.high) == pytest.approx((10 / 9, 10))


def test_rows_without_tokens_are_left_out_of_a_ratio() -> None:
    estimate = bootstrap_ratio([1, 0, math.nan], [1, 0, 4], seed=0)
    assert (estimate.value, estimate.n, estimate.skipped) == (1, 1, 2)


def test_differences_are_paired() -> None:
    generator = np.random.default_rng(1)
    prompts = generator.normal(size=20) * 100
    a, b = prompts + 1 + 0.1 * generator.normal(size=20), prompts
    estimate = paired_difference(a, b, seed=0)
    assert estimate.value == pytest.approx(1, abs=0.1)
    assert estimate.high - estimate.low < 0.2  # type: ignore[operator]
    ones = np.ones(20)
    assert paired_ratio_difference(a, ones, b, ones, seed=0) == Estimate(
        pytest.approx(estimate.value),  # type: ignore[arg-type]
        pytest.approx(estimate.low),  # type: ignore[arg-type]
        pytest.approx(estimate.high),  # type: ignore[arg-type]
        20,
    )


def test_a_prompt_undefined_on_one_side_is_left_out_of_both() -> None:
    estimate = paired_difference([1, 2, math.nan], [0, math.nan, 0], seed=0)
    assert (estimate.value, estimate.n, estimate.skipped) == (1, 1, 2)
    ratio = paired_ratio_difference([3, 8, 1], [1, 2, 1], [1, 0, 1], [1, 0, 1], seed=0)
    assert (ratio.value, ratio.n, ratio.skipped) == (2 - 1, 2, 1)


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (Estimate(1, 0.5, 1.5, 20), "higher"),
        (Estimate(-1, -1.5, -0.5, 20), "lower"),
        (Estimate(1, -0.5, 2.5, 20), "no difference shown"),
        (Estimate(1, 0, 2, 20), "no difference shown"),
        (Estimate(1, None, None, 1), "no difference shown"),
        # Five prompts all agree by chance once in 16 times, six once in 32.
        (Estimate(1, 0.5, 1.5, 5), "no difference shown"),
        (Estimate(1, 0.5, 1.5, 6), "higher"),
        (Estimate(1, 0.5, 1.5, 5, level=0.9), "higher"),
    ],
)
def test_verdict(estimate: Estimate, expected: str) -> None:
    assert verdict(estimate) == expected


def test_verdicts_on_equal_models_are_seldom_wrong() -> None:
    generator = np.random.default_rng(4)
    verdicts = [
        verdict(paired_difference(generator.normal(size=n), generator.normal(size=n), seed=i, resamples=500))
        for i, n in enumerate([3, 6, 12] * 150)
    ]
    assert np.mean([word != "no difference shown" for word in verdicts]) < 0.07


def paired_by_sums(a: np.ndarray, b: np.ndarray) -> Estimate:
    ones = np.ones(len(a))
    return paired_ratio_difference(a, ones, b, ones, seed=0)


@pytest.mark.parametrize("prompts", [7, 200])
@pytest.mark.parametrize("paired", [lambda a, b: paired_difference(a, b, seed=0), paired_by_sums])
def test_fewer_than_six_prompts_that_differ_do_not_shut_out_zero(paired, prompts: int) -> None:
    """A resample lacks all of 4 wins once in 55 times, seldom enough for a bootstrap; a sign test gives p = 0.125."""
    for wins in range(1, 8):
        a = np.where(np.arange(prompts) < wins, 1.0, 0.0)
        up, down = paired(a, np.zeros(prompts)), paired(np.zeros(prompts), a)
        assert (verdict(up) == "higher", verdict(down) == "lower") == (wins > 5, wins > 5)
        assert (up.low, down.high) == (-down.high, -up.low)
        assert (up.low > 0) == (wins > 5)
        assert up.value == wins / prompts


def test_equal_models_that_seldom_differ_are_seldom_told_apart() -> None:
    """Each of six prompts differs with probability 0.7: bootstrap intervals alone are wrong in 6.3% of cases."""
    generator = np.random.default_rng(6)
    differences_TN = generator.choice([-1.0, 0.0, 1.0], p=[0.35, 0.3, 0.35], size=(600, 6))
    found = [verdict(paired_difference(row, np.zeros(6), seed=0, resamples=500)) for row in differences_TN]
    assert np.mean([word != "no difference shown" for word in found]) < 0.02


def test_a_perplexity_too_large_for_a_float_is_null_in_json() -> None:
    told = Estimate(900.0, 600.0, 1000.0, 8).increasing(math.exp)
    assert (told.value, told.high) == (math.inf, math.inf)
    assert told.to_dict() == {"value": None, "low": math.exp(600), "high": None, "n": 8}


def test_perplexity_is_an_increasing_function_of_nll() -> None:
    perplexity = Estimate(0, -1, None, 3, 0.9, 2).increasing(math.exp)
    assert perplexity == Estimate(1, math.exp(-1), None, 3, 0.9, 2)
    assert math.isnan(Estimate(math.nan, None, None, 0).increasing(math.exp).value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_mean([1, math.inf], seed=0), "infinite"),
        (lambda: bootstrap_mean([[1.0]], seed=0), "one value a prompt"),
        (lambda: bootstrap_mean([1, 2], seed=0, level=95), "level must be between 0 and 1"),
        (lambda: bootstrap_mean([1, 2], seed=0, resamples=0), "resamples at least 1"),
        (lambda: paired_difference([1, 2], [1], seed=0), "lists of one length"),
        (lambda: bootstrap_ratio([1, 2], [1], seed=0), "lists of one length"),
        (lambda: bootstrap_ratio([1, 2], [1, -1], seed=0), "must be 0 or more"),
        (lambda: bootstrap_ratio([1, 2], [1, 0], seed=0), "must have numerator 0"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_rounding_is_no_difference() -> None:
    a = np.full(12, 2.0)
    estimate = paired_difference(a * (1 + 4e-16), a, seed=0)
    assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)
    assert verdict(estimate) == "no difference shown"
    assert verdict(paired_difference(a * (1 + 1e-9), a, seed=0)) == "higher"
