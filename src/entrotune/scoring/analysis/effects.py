"""How far two classes of rows lie apart on one number: AUC, Cohen's d, point-biserial correlation, with intervals.

All are signed the same way: above 0.5 or 0 where the number is higher in rows answered right.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval; None where one or the other is not defined."""

    value: float | None
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, float | None]:
        """The estimate for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def auc(values: Floats, right: Bools, *, level: float = 0.95) -> Interval:
    """The probability that a right row has the higher value than a wrong one; ties count half.

    Its interval is DeLong's (1988, doi 10.2307/2531595), taken on the logit scale so that it stays within 0 and 1, with
    the t distribution of Brunner and Munzel (2000), without which it is too narrow for a class of few rows; None where
    the classes do not overlap at all.
    """
    high_M, low_N = values[right], values[~right]
    m, n = len(high_M), len(low_N)
    ranks = stats.rankdata(np.concatenate([high_M, low_N]))
    # Share of wrong rows below each right one, and of right rows above each wrong one, by differences of midranks.
    above_M = (ranks[:m] - stats.rankdata(high_M)) / n
    below_N = 1 - (ranks[m:] - stats.rankdata(low_N)) / m
    value = float(above_M.mean())
    if min(m, n) < 2 or not 0 < value < 1:
        return Interval(value, None, None)
    above, below = float(above_M.var(ddof=1) / m), float(below_N.var(ddof=1) / n)
    if not above + below > 0:
        return Interval(value, None, None)
    logit, spread = math.log(value / (1 - value)), math.sqrt(above + below) / (value * (1 - value))
    degrees = (above + below) ** 2 / (above**2 / (m - 1) + below**2 / (n - 1))
    reach = stats.t.isf((1 - level) / 2, degrees) * spread
    return Interval(value, *(1 / (1 + math.exp(-(logit + end))) for end in (-reach, reach)))


def cohens_d(values: Floats, right: Bools, *, level: float = 0.95) -> Interval:
    """Difference of the class means, right less wrong, in pooled standard deviations.

    The interval is the large-sample one of Hedges and Olkin (1985, chapter 5). Undefined where neither class varies.
    """
    high, low = values[right], values[~right]
    if np.ptp(high) == np.ptp(low) == 0:
        return Interval(None, None, None)
    m, n = len(high), len(low)
    pooled = math.sqrt((_squares(high) + _squares(low)) / (m + n - 2))
    value = float(high.mean() - low.mean()) / pooled
    reach = stats.norm.isf((1 - level) / 2) * math.sqrt((m + n) / (m * n) + value**2 / (2 * (m + n)))
    return Interval(value, value - reach, value + reach)


def point_biserial(values: Floats, right: Bools, *, level: float = 0.95) -> Interval:
    """Pearson's correlation with being right (1 or 0); the interval by Fisher's z."""
    value = float(np.corrcoef(values, right.astype(np.float64))[0, 1])
    return fisher_interval(value, 1 / math.sqrt(len(values) - 3), level=level)


def fisher_interval(correlation: float, error: float, *, degrees: float = math.inf, level: float = 0.95) -> Interval:
    """The interval of a correlation whose inverse hyperbolic tangent has this standard error, by Student's t."""
    if abs(correlation) >= 1 - 1e-15:
        return Interval(max(-1.0, min(1.0, correlation)), None, None)
    reach = stats.t.isf((1 - level) / 2, degrees) * error
    return Interval(correlation, *(math.tanh(math.atanh(correlation) + end) for end in (-reach, reach)))


def class_difference(values: Floats, right: Bools) -> dict[str, Any]:
    """Means of both classes, the three effect sizes, and the F test of equal means (one-way ANOVA).

    Where neither class varies, Cohen's d and F are not defined (None), and p is 0.
    """
    varies = np.ptp(values[right]) > 0 or np.ptp(values[~right]) > 0
    f, p = stats.f_oneway(values[right], values[~right]) if varies else (None, 0.0)
    return {
        "mean_right": float(values[right].mean()),
        "mean_wrong": float(values[~right].mean()),
        "auc": auc(values, right).to_dict(),
        "cohens_d": cohens_d(values, right).to_dict(),
        "point_biserial": point_biserial(values, right).to_dict(),
        "f": None if f is None else float(f),
        "f_p": float(p),
    }


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """A share with Wilson's interval."""
    z = float(stats.norm.isf((1 - level) / 2))
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, max(0.0, middle - reach), min(1.0, middle + reach))


def _squares(values: Floats) -> float:
    return float(((values - values.mean()) ** 2).sum())
