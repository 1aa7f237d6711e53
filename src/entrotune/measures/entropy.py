"""Entropy of counted outcomes, evenness, and how many outcomes a number of draws shows."""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Estimator = Literal["plug-in", "miller-madow", "chao-shen"]


def count_entropy(counts: ArrayLike, *, estimator: Estimator = "plug-in") -> float:
    """Entropy in nats of the distribution that the counts were drawn from; NaN where all counts are 0.

    Args:
        counts: how often each outcome was seen; zeros are outcomes that were not.
        estimator: `plug-in` takes frequencies for probabilities, too low by about (outcomes − 1)/(2·draws);
            `miller-madow` adds that with the outcomes seen (Miller 1955); `chao-shen` weighs by the estimated share
            of unseen outcomes (Chao and Shen 2003), the one to use when many outcomes were seen once.

    Raises:
        ValueError: for negative or fractional counts or another estimator.
    """
    seen = _counts(counts)
    seen = seen[seen > 0]
    if not len(seen):
        return math.nan
    frequencies = seen / seen.sum()
    plug_in = max(0.0, float(-np.sum(frequencies * np.log(frequencies))))
    if estimator == "plug-in":
        return plug_in
    if estimator == "miller-madow":
        return plug_in + (len(seen) - 1) / (2 * float(seen.sum()))
    if estimator == "chao-shen":
        return _chao_shen(seen)
    raise ValueError(f"estimator must be plug-in, miller-madow or chao-shen, got {estimator!r}")


def evenness(counts: ArrayLike) -> float:
    """Plug-in entropy over its maximum ln n, n the number of outcomes given, zeros included: 0 to 1 (Pielou 1966).

    NaN where all counts are 0 or there are fewer than two outcomes.
    """
    number = len(_counts(counts))
    return count_entropy(counts) / math.log(number) if number > 1 else math.nan


def expected_coverage(probabilities: ArrayLike, draws: int) -> float:
    """Expected number of different outcomes among `draws` independent draws: Σ 1 − (1 − p)^draws.

    The probabilities may sum to less than 1; what is missing are draws outside the outcomes of interest.

    Raises:
        ValueError: for a negative number of draws, or probabilities that are negative or sum to more than 1.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if draws < 0:
        raise ValueError(f"draws must be 0 or more, got {draws}")
    if not (p >= 0).all() or p.sum() > 1 + 1e-6:
        raise ValueError(f"probabilities must be 0 or more and sum to at most 1, got a sum of {p.sum():.6g}")
    if draws == 0:
        return 0.0
    certain = p >= 1
    # expm1 and log1p keep the digits that 1 − (1 − p)^draws loses for small p.
    return float(certain.sum() - np.expm1(draws * np.log1p(-p[~certain])).sum())


def _chao_shen(seen: NDArray[np.int64]) -> float:
    draws = int(seen.sum())
    singletons = int((seen == 1).sum())
    # All outcomes seen once would mean coverage 0 and no estimate; one fewer is the usual convention.
    coverage = 1 - min(singletons, draws - 1) / draws if draws > 1 else 1.0
    p = coverage * seen / draws
    p = p[p < 1]
    inclusion = -np.expm1(draws * np.log1p(-p))
    return float(-np.sum(p * np.log(p) / inclusion))


def _counts(counts: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(counts)
    whole = given.astype(np.int64) if given.size else np.zeros(0, np.int64)
    if given.ndim != 1 or (whole < 0).any() or (whole != given).any():
        raise ValueError("counts must be a list of whole numbers, 0 or more")
    return whole
