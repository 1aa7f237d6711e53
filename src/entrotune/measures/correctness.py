"""Correctness of several samples: pass@k and the oracle best of n, both exact expectations over subsets."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> Any:
    """Probability that `k` of `n` samples, of which `c` are correct, hold a correct one: 1 − C(n−c, k)/C(n, k).

    The unbiased estimator of Chen et al. 2021 (arXiv 2107.03374), in whole numbers until the last division.

    Args:
        n: samples per prompt, a number or an array.
        c: correct samples among them, broadcast against `n`.
        k: samples that may be tried.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ValueError: unless 1 ≤ k ≤ n and 0 ≤ c ≤ n, all whole.
    """
    n_given, c_given = np.broadcast_arrays(np.asarray(n), np.asarray(c))
    if not (_whole(n_given) and _whole(c_given) and k > 0):
        raise ValueError("pass@k needs whole numbers of samples and of correct ones, and k of at least 1")
    if (k > n_given).any():
        raise ValueError(f"pass@{k} needs at least {k} samples a prompt, got {int(n_given.min())}")
    if (c_given < 0).any() or (c_given > n_given).any():
        raise ValueError("pass@k needs between 0 and n correct samples")
    values = [_one_pass_at_k(int(ni), int(ci), k) for ni, ci in zip(n_given.flat, c_given.flat, strict=True)]
    return np.array(values).reshape(n_given.shape) if n_given.ndim else values[0]


def best_of_n(scores: ArrayLike, k: int | None = None) -> Any:
    """Oracle best of `k`: expected largest score of a random subset of `k` samples, exact and unbiased.

    Σ C(i−1, k−1)/C(n, k)·(i-th smallest score). For correct (1) and wrong (0) it is pass@k; for real scores whoever
    picks the best must know the scores, which is what "oracle" says.

    Args:
        scores: [..., n] scores of the samples of a prompt; booleans or numbers.
        k: samples to choose from; all where not given.

    Returns:
        A float, or an array of the leading shape. A prompt with a NaN score is NaN.

    Raises:
        ValueError: unless 1 ≤ k ≤ n.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=-1)
    n = ordered.shape[-1] if ordered.ndim else 0
    k = n if k is None else k
    if not 1 <= k <= n:
        raise ValueError(f"the best of {k} needs at least {max(k, 1)} samples a prompt, got {n}")
    # Only the n − k + 1 largest can be the best of k: no 0·(−inf) among the rest. A NaN is sorted last and stays.
    best = ordered[..., k - 1 :] @ np.array(_best_weights(n, k))
    return best if best.ndim else float(best)


@lru_cache(maxsize=65536)
def _one_pass_at_k(n: int, c: int, k: int) -> float:
    subsets = math.comb(n, k)
    return (subsets - math.comb(n - c, k)) / subsets


@lru_cache(maxsize=1024)
def _best_weights(n: int, k: int) -> tuple[float, ...]:
    subsets = math.comb(n, k)
    return tuple(math.comb(rank - 1, k - 1) / subsets for rank in range(k, n + 1))


def _whole(values: NDArray[Any]) -> bool:
    return bool(np.issubdtype(values.dtype, np.number) and np.isfinite(values).all() and (values == values // 1).all())
