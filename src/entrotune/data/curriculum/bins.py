"""From scores to bins: what length explains taken out, the ends cut off, equal shares by rank.

N: rows. Everything goes by rank, and ranks of equal scores by the order of the input, so that no result depends on how
a sort treats ties.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def residuals(scores_N: Floats, lengths_N: Floats, *, regression: str) -> Floats:
    """What a straight line in the length does not explain of the scores.

    Args:
        scores_N: one a row.
        lengths_N: what is regressed out, such as the number of tokens.
        regression: `linear` fits the values; `rank` fits ranks (equal values share their mean rank), so that any rising
            or falling relation counts and an outlier is one row among others.

    Returns:
        Residuals of mean 0 whose correlation with the regressor (lengths, or their ranks) is 0 up to rounding.
    """
    x, y = (rankdata(lengths_N), rankdata(scores_N)) if regression == "rank" else (lengths_N, scores_N)
    x, y = x - x.mean(), y - y.mean()
    spread = float(x @ x)
    return y if spread == 0 else y - x * (float(x @ y) / spread)


def ranks(values_N: Floats) -> Ints:
    """0 for the lowest … N − 1 for the highest; equal values in the order of the input."""
    found = np.empty(len(values_N), dtype=np.int64)
    found[np.argsort(values_N, kind="stable")] = np.arange(len(values_N))
    return found


def kept_rows(ranks_N: Ints, *, keep: tuple[float, float], drop_top: float) -> NDArray[np.bool_]:
    """Which rows stay: those with ceil(low · N) ≤ rank < ceil(high · N), without the floor(N · percent / 100) highest.

    Both are shares of all rows.
    """
    count = len(ranks_N)
    low, high = (math.ceil(round(share * count, 9)) for share in keep)
    highest = count - math.floor(round(count * drop_top / 100, 9))
    return (ranks_N >= low) & (ranks_N < min(high, highest))


def bin_of(ranks_N: Ints, bins: int) -> Ints:
    """The bin of each row, 0 … bins − 1: equal shares by rank, so sizes differ by at most one row."""
    return ranks_N * bins // len(ranks_N)
