"""MAUVE: how close the distribution of sampled texts is to that of people's, in a space of features.

Pillutla et al. 2021 (arXiv 2102.01454): features of both are put into buckets by k-means; the score is the area under
the curve of divergences of both histograms to their mixtures, 1 for equal ones. The package mauve-text computes it.
"""

import contextlib
import importlib.util
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from entrotune.errors import UserError

FEWEST = 20
"""Texts on each side that are needed for two buckets of ten."""
ENOUGH = 1000
"""Texts on each side below which the value says more about their number than about the texts."""
_RELABELLED = 20


def mauve(people: ArrayLike, sampled: ArrayLike, *, seed: int = 0) -> dict[str, Any]:
    """MAUVE of two sets of features, and what equal distributions would score at these numbers.

    With k buckets for n texts the histograms, and with them the score, are off by the order of √(k/n) (Liu et al. 2021,
    arXiv 2106.07898); mauve-text takes k = n/10, so more texts give finer buckets, not a smaller error, and values of
    different n do not compare. `same` shows what that does here: the scores of the pooled texts dealt out at random,
    for which nothing is to be found. A value below its `low` tells the two apart.

    Args:
        people: [n, d] features of people's texts.
        sampled: [m, d] features of samples.
        seed: of k-means and of the dealing out.

    Returns:
        `value` (0 to 1), `star` (with smoothed histograms, as the authors advise for small n), `people` and `sampled`
        (n and m), `buckets`, `error` (√(k/n)), and `same` with `value` (mean), `low` and `high` (of 20 deals).

    Raises:
        UserError: mauve-text is not installed, or a side has fewer than 20 texts.
    """
    p, q = (np.ascontiguousarray(side, dtype=np.float64) for side in (people, sampled))
    if p.ndim != 2 or q.ndim != 2 or p.shape[1] != q.shape[1]:
        raise ValueError(f"expected features [n, d] and [m, d], got {p.shape} and {q.shape}")
    check_mauve(len(p), len(q))
    fewest = min(len(p), len(q))
    if not np.isfinite(p).all() or not np.isfinite(q).all():
        raise ValueError("features must be finite numbers")
    value, star, buckets = _scores(p, q, seed)
    pooled, generator = np.concatenate([p, q]), np.random.default_rng(seed)
    dealt = []
    for _ in range(_RELABELLED):
        order = generator.permutation(len(pooled))
        dealt.append(_scores(pooled[order[: len(p)]], pooled[order[len(p) :]], seed)[0])
    return {
        "value": value,
        "star": star,
        "people": len(p),
        "sampled": len(q),
        "buckets": buckets,
        "error": math.sqrt(buckets / fewest),
        "same": {"value": float(np.mean(dealt)), "low": min(dealt), "high": max(dealt), "n": _RELABELLED},
    }


def check_mauve(people: int, sampled: int) -> None:
    """See that MAUVE can be computed of so many texts.

    Raises:
        UserError: mauve-text is not installed, or a side has fewer than 20 texts.
    """
    if min(people, sampled) < FEWEST:
        raise UserError(f"MAUVE needs at least {FEWEST} texts a side, got {people} of people and {sampled} samples")
    if importlib.util.find_spec("mauve") is None:
        raise UserError("MAUVE needs the package mauve-text: pip install 'entrotune[mauve]'")


def _scores(p: NDArray[np.float64], q: NDArray[np.float64], seed: int) -> tuple[float, float, int]:
    from mauve import compute_mauve

    if not np.ptp(np.concatenate([p, q]), axis=0).any():
        return 1.0, 1.0, 1  # one point: equal distributions, which have no principal components
    with _without_advice():
        found = compute_mauve(p_features=p, q_features=q, seed=seed, verbose=False)
    # Areas are sums, which rounding may take a little above 1.
    return min(1.0, float(found.mauve)), min(1.0, float(found.mauve_star)), int(found.num_buckets)


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Silence what faiss writes, from C, to standard error about few points a bucket: `error` and `same` tell of it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  # a device, not a file
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
