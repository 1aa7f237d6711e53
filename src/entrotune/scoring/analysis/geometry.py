"""Models as points: distances between their scores, and principal components of them.

N: rows, K: models, R: resamples.
"""

from typing import Any

import numpy as np

from entrotune.scoring.analysis.effects import Floats

_RESAMPLES = 400
# Beyond these rows a resample's share moves in the fourth digit; fewer resamples tell as much.
_MANY_ROWS = 200_000


def standardised(columns_NK: Floats) -> Floats:
    """Each column with mean 0 and standard deviation 1 (of N, not N − 1)."""
    return (columns_NK - columns_NK.mean(axis=0)) / columns_NK.std(axis=0)


def distances(columns_NK: Floats) -> Floats:
    """[K, K] Euclidean distances over rows, divided by √N: root mean square differences, comparable for any N."""
    size = columns_NK.shape[1]
    matrix = np.zeros((size, size))
    for i in range(size):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = np.sqrt(((columns_NK[:, i] - columns_NK[:, j]) ** 2).mean())
    return matrix


def principal_components(columns_NK: Floats, *, seed: int) -> dict[str, Any]:
    """PCA of the standardised matrix: the eigenvectors of the models' correlation matrix.

    Returns:
        `explained` (share of variance of each component, with the 95% interval of the first over resampled rows) and
        `loadings` [component][model]: correlations of a model's scores with the component. The sign of a component is
        such that its loadings sum to 0 or more.
    """
    scaled = standardised(columns_NK)
    values_K, vectors_KK = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    values_K, vectors_KK = np.clip(values_K[::-1], 0, None), vectors_KK[:, ::-1]
    vectors_KK = vectors_KK * np.where(vectors_KK.sum(axis=0) < 0, -1.0, 1.0)
    shares_R = _resampled_shares(columns_NK, seed)
    return {
        "explained": (values_K / values_K.sum()).tolist(),
        "first": {
            "value": float(values_K[0] / values_K.sum()),
            "low": float(np.quantile(shares_R, 0.025)),
            "high": float(np.quantile(shares_R, 0.975)),
        },
        "loadings": (vectors_KK * np.sqrt(values_K)).T.tolist(),
    }


def _resampled_shares(columns_NK: Floats, seed: int) -> Floats:
    """[R] the first component's share in resampled rows."""
    generator, n = np.random.default_rng(seed), len(columns_NK)
    resamples = _RESAMPLES if n <= _MANY_ROWS else _RESAMPLES // 8
    shares = [
        np.linalg.eigvalsh(np.corrcoef(columns_NK[generator.integers(n, size=n)].T))[-1] / columns_NK.shape[1]
        for _ in range(resamples)
    ]
    return np.array(shares)
