"""Pearson's and Spearman's correlations of the columns of a matrix, with intervals.

N: rows, K: columns.
"""

import math
from typing import Any

import numpy as np
from scipy import stats

from entrotune.scoring.analysis.effects import Floats, Interval, fisher_interval


def pearson(a: Floats, b: Floats, *, level: float = 0.95) -> Interval:
    """Pearson's r; the interval on Fisher's z scale with the error of its influence function.

    That error needs no normal distribution (its variance is that of z_a z_b − r (z_a² + z_b²) / 2), which the skewed
    distributions of entropies are not.
    """
    za, zb = _standardised(a), _standardised(b)
    r = float((za * zb).mean())
    if abs(r) >= 1 - 1e-12:
        return fisher_interval(math.copysign(1.0, r), 0.0, level=level)
    influence = za * zb - r / 2 * (za**2 + zb**2)
    return fisher_interval(r, float(influence.std()) / math.sqrt(len(a)) / (1 - r**2), level=level)


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
