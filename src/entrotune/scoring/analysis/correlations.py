"""Pearson's and Spearman's correlations of the columns of a matrix, with intervals.

N: rows, K: columns.
"""

import math
from typing import Any

import numpy as np
from scipy import stats

from entrotune.scoring.analysis.effects import Floats, Interval, fisher_interval


def pearson(a: Floats, b: Floats, *, level: float = 0.95) -> Interval:
    """Pearson's r; the interval on Fisher's z scale with the delete-one jackknife's error and N − 2 degrees of freedom.

    That error needs no normal distribution, which the skewed distributions of entropies are not, and with the tens of
    rows that are few here it is not too small, as that of the influence function is. No interval where r is defined by
    one row alone: where without it a column is constant, or r is 1 or −1.
    """
    za, zb = _standardised(a), _standardised(b)
    n, r = len(a), float((za * zb).mean())
    if abs(r) >= 1 - 1e-12:
        return fisher_interval(math.copysign(1.0, r), 0.0, level=level)
    # Sums of squares and of products without each row, about the means without it.
    rest = n / (n - 1)
    below_N = (n - rest * za**2) * (n - rest * zb**2)
    if not (below_N > 1e-12 * n**2).all():
        return Interval(r, None, None)
    left_N = (n * r - rest * za * zb) / np.sqrt(below_N)
    if not (np.abs(left_N) < 1 - 1e-12).all():
        return Interval(r, None, None)
    error = math.sqrt((n - 1) * np.arctanh(left_N).var())
    return fisher_interval(r, error, degrees=n - 2, level=level)


def spearman(a: Floats, b: Floats, *, level: float = 0.95) -> Interval:
    """Spearman's ρ, ties with mean ranks; the interval of Bonett and Wright (2000, doi 10.1007/BF02294183)."""
    rho = float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])
    return fisher_interval(rho, math.sqrt((1 + rho**2 / 2) / (len(a) - 3)), level=level)


def correlation_matrix(columns_NK: Floats, method: str) -> list[list[dict[str, Any]]]:
    """[K, K] of estimates by `pearson` or `spearman`; the diagonal is 1 without an interval."""
    correlate = {"pearson": pearson, "spearman": spearman}[method]
    size = columns_NK.shape[1]
    matrix: list[list[dict[str, Any]]] = [[Interval(1.0, None, None).to_dict()] * size for _ in range(size)]
    for i in range(size):
        for j in range(i):
            matrix[i][j] = matrix[j][i] = correlate(columns_NK[:, i], columns_NK[:, j]).to_dict()
    return matrix


def _standardised(values: Floats) -> Floats:
    return (values - values.mean()) / values.std()
