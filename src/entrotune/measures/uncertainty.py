"""Estimates with bootstrap intervals over prompts, paired comparisons, and what may be said of them.

The interval is the expanded percentile interval (Hesterberg 2014, arXiv 1411.5279, section 5.3): quantiles of the
resampled statistic at levels moved out so that for symmetric data it agrees with Student's t. The plain percentile
interval is too narrow for the tens of prompts that are usual here, and BCa does not mend that; studentised
intervals are erratic for small n. Unlike t it never leaves the range of the data.

What no bootstrap over prompts knows: that all prompts agreeing (5 of 5 correct) leaves room for those not seen.

C: columns, N: prompts, R: resamples.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

Verdict = Literal["higher", "lower", "no difference shown"]

# Draws held at once: 8 MB of indices.
_BLOCK = 2**20


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval over prompts.

    Attributes:
        value: the estimate; NaN where no prompt has it defined.
        low: lower end of the interval; None for fewer than two prompts.
        high: upper end.
        n: prompts used.
        level: confidence level of the interval.
        skipped: prompts left out because the measure is undefined (NaN) for them.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    level: float = 0.95
    skipped: int = 0

    def to_dict(self) -> dict[str, float | int | None]:
        """The estimate for JSON: value, low and high (null where not finite), n, and skipped where it is not 0."""
        low, value, high = (
            end if end is not None and math.isfinite(end) else None for end in (self.low, self.value, self.high)
        )
        record: dict[str, float | int | None] = {"value": value, "low": low, "high": high, "n": self.n}
        return record | ({"skipped": self.skipped} if self.skipped else {})

    def increasing(self, function: Callable[[float], float]) -> "Estimate":
        """The estimate of an increasing function of the number: `nll.increasing(math.exp)` is the perplexity.

        Infinite where the function is too large for a float.
        """

        def mapped(number: float) -> float:
            try:
                return function(number)
            except OverflowError:
                return math.inf

        low, high = (None if end is None else mapped(end) for end in (self.low, self.high))
        value = math.nan if math.isnan(self.value) else mapped(self.value)
        return Estimate(value, low, high, self.n, self.level, self.skipped)


def bootstrap_mean(
    values: ArrayLike, *, seed: int, resamples: int = 2000, level: float = 0.95, carried_by: int | None = None
) -> Estimate:
    """Mean over prompts with its interval.

    Args:
        values: [N], one a prompt; NaN where the measure is undefined: such prompts are left out and counted. Values
            of several seeds for one prompt belong together: average them first.
        seed: of the resampling; equal arguments give equal intervals.
        resamples: R.
        level: confidence level, between 0 and 1.
        carried_by: of how many of the values the error is, where many others add next to nothing to it; the interval
            is widened as for so many.

    Raises:
        ValueError: for infinite values or arguments out of range.
    """
    return _estimate([values], _first_mean, seed, resamples, level, carried_by)


def bootstrap_ratio(
    numerators: ArrayLike, denominators: ArrayLike, *, seed: int, resamples: int = 2000, level: float = 0.95
) -> Estimate:
    """Ratio of sums, Σ numerators / Σ denominators, with rows resampled: a mean over tokens, such as NLL.

    Rows whose denominator is 0 (no token) or NaN are left out and counted. Arguments as for `bootstrap_mean`.

    Raises:
        ValueError: for negative denominators, too, and for a numerator other than 0 over a denominator of 0.
    """
    return _estimate(_ratio_columns(numerators, denominators), _first_ratio, seed, resamples, level)


def paired_difference(a: ArrayLike, b: ArrayLike, *, seed: int, resamples: int = 2000, level: float = 0.95) -> Estimate:
    """Mean over prompts of a − b with its interval; prompts undefined in either are left out of both.

    `a[i]` and `b[i]` are of the same prompt; values that differ by rounding alone are taken as equal, else the rounding
    of a measure could pass for a difference that all prompts share. Where only so few prompts differ that all of them
    leaning one way by chance is likelier than 1 − level (fewer than 6 at 95%), the interval holds 0: it would shut out
    0 for 4 wins in 4, which is no more than chance. Arguments as for `bootstrap_mean`.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape == b.shape:
        b = np.where(np.isclose(a, b, rtol=1e-12, atol=0.0), a, b)
    found = _estimate([a, b], lambda sums_CR, n: (sums_CR[0] - sums_CR[1]) / n, seed, resamples, level)
    return with_zero(found, differing=int((np.abs(a - b) > 0).sum()))


def paired_ratio_difference(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Difference of two ratios of sums (a − b), both from the same resampled prompts.

    See `bootstrap_ratio`, and `paired_difference` for few prompts that differ.
    """
    columns = [*_ratio_columns(numerators_a, denominators_a), *_ratio_columns(numerators_b, denominators_b)]
    found = _estimate(
        columns, lambda sums_CR, n: sums_CR[0] / sums_CR[1] - sums_CR[2] / sums_CR[3], seed, resamples, level
    )
    away_CN = np.abs(np.stack(columns[:2]) - np.stack(columns[2:]))
    return with_zero(found, differing=int(((away_CN > 0).any(axis=0) & ~np.isnan(away_CN).any(axis=0)).sum()))


def bootstrap_slope(x: ArrayLike, y: ArrayLike, *, seed: int, resamples: int = 2000, level: float = 0.95) -> Estimate:
    """Slope of the least-squares line of y on x with its interval, rows (x, y) resampled together.

    Arguments as for `bootstrap_mean`. A resample in which all x are equal shows no slope: 0.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    # About the means, where sums of products lose no digits.
    x = x - np.nanmean(x) if x.size else x
    y = y - np.nanmean(y) if y.size else y
    return _estimate([x, y, x * y, x * x], _slope, seed, resamples, level)


def verdict(estimate: Estimate) -> Verdict:
    """What a difference a − b shows of a: its interval lies above 0, below 0, or neither.

    Nothing is shown by so few prompts that all of them leaning one way by chance is likelier than 1 − level
    (fewer than 6 at 95%).
    """
    if estimate.low is None or estimate.high is None or _chance_alone(estimate.n, estimate.level):
        return "no difference shown"
    if estimate.low > 0:
        return "higher"
    return "lower" if estimate.high < 0 else "no difference shown"


def with_zero(found: Estimate, *, differing: int) -> Estimate:
    """The interval of a difference, widened to 0 where too few prompts differ to shut it out."""
    if found.low is None or found.high is None or not _chance_alone(differing, found.level):
        return found
    return replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0))


def _chance_alone(prompts: int, level: float) -> bool:
    """Whether so many prompts all lean one way by chance oftener than 1 − level."""
    return 2 * 0.5**prompts > 1 - level


_Statistic = Callable[[NDArray[np.float64], int], NDArray[np.float64]]


def _first_mean(sums_CR: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return sums_CR[0] / n


def _first_ratio(sums_CR: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return sums_CR[0] / sums_CR[1]


def _slope(sums_CR: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    x_R, y_R, xy_R, xx_R = sums_CR
    spread_R = xx_R - x_R * x_R / n
    flat_R = spread_R <= 1e-12 * np.maximum(xx_R, 1e-300)
    return np.where(flat_R, 0.0, (xy_R - x_R * y_R / n) / np.where(flat_R, 1.0, spread_R))


def _estimate(
    columns: list[Any],
    statistic: _Statistic,
    seed: int,
    resamples: int,
    level: float,
    carried_by: int | None = None,
) -> Estimate:
    """The statistic of the columns' sums, its interval from resampled rows; rows with a NaN are left out."""
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level must be between 0 and 1 and resamples at least 1, got {level} and {resamples}")
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        raise ValueError(f"expected one value a prompt and lists of one length, got {[a.shape for a in arrays]}")
    columns_CN = np.stack(arrays)
    if np.isinf(columns_CN).any():
        raise ValueError("an infinite value has no mean; mark undefined prompts with NaN")
    defined_CN = columns_CN[:, ~np.isnan(columns_CN).any(axis=0)]
    n = defined_CN.shape[1]
    skipped = columns_CN.shape[1] - n
    if n == 0:
        return Estimate(math.nan, None, None, 0, level, skipped)
    value = float(statistic(defined_CN.sum(axis=1, keepdims=True), n)[0])
    if n == 1:
        return Estimate(value, None, None, 1, level, skipped)
    tail = _expanded_tail(n if carried_by is None else max(2, min(n, carried_by)), level)
    low, high = np.quantile(statistic(_resampled_sums(defined_CN, seed, resamples), n), [tail, 1 - tail])
    return Estimate(value, float(low), float(high), n, level, skipped)


def _resampled_sums(columns_CN: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """[C, R] sums of each column over rows drawn with replacement, the same rows for every column."""
    generator = np.random.default_rng(seed)
    n = columns_CN.shape[1]
    block = max(1, _BLOCK // n)
    sums_CR = np.empty((len(columns_CN), resamples))
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        rows_BN = generator.integers(n, size=(stop - start, n))
        for column_N, sums_R in zip(columns_CN, sums_CR, strict=True):
            sums_R[start:stop] = column_N[rows_BN].sum(axis=1)
    return sums_CR


def _expanded_tail(n: int, level: float) -> float:
    t = stdtrit(n - 1, (1 + level) / 2)
    return float(ndtr(-math.sqrt(n / (n - 1)) * t))


def _ratio_columns(numerators: ArrayLike, denominators: ArrayLike) -> list[NDArray[np.float64]]:
    above = np.asarray(numerators, dtype=np.float64)
    below = np.asarray(denominators, dtype=np.float64)
    if above.shape == below.shape:
        if (below < 0).any():
            raise ValueError("denominators are weights such as token counts: they must be 0 or more")
        if ((below == 0) & (above != 0) & ~np.isnan(above)).any():
            raise ValueError("a row with denominator 0 must have numerator 0: nothing was counted there")
    return [above, np.where(below == 0, math.nan, below)]
