"""From numbers of tokens to numbers of rows, many rows at once.

N: rows, M: positions of all of them, one row after the other.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrotune.scoring.folder import QUANTILES

Floats = NDArray[np.float64]


def row_starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """[N] where the positions of each row begin."""
    return np.cumsum(lengths) - lengths


def row_scores(
    tokens: Mapping[str, NDArray[Any]],
    lengths: NDArray[np.int64],
    follows: NDArray[np.bool_],
    nll_bytes: Floats,
) -> dict[str, Floats]:
    """The statistics of each row; NaN where a row has none, as nll without a token that follows.

    Args:
        tokens: [M] numbers of positions, named as in `RowStatistics`.
        lengths: [N] positions of each row, at least 1.
        follows: [M] whether a token follows the position.
        nll_bytes: [N] of the text whose tokens have an nll.
    """
    starts = row_starts(lengths)
    last = starts + lengths - 1

    def total(values: NDArray[np.floating] | NDArray[np.bool_]) -> Floats:
        return _sums(values, starts)

    entropy, varentropy = (tokens[name].astype(np.float64) for name in ("entropy", "varentropy"))
    count = total(follows)
    nll = total(np.where(follows, tokens["nll"], 0.0))
    found = {
        "nll_tokens": count,
        "entropy_sum": total(entropy),
        "varentropy_sum": total(varentropy),
        "entropy_last": entropy[last],
        "varentropy_last": varentropy[last],
        "sqrt_varentropy_mean": total(np.sqrt(varentropy)) / lengths,
        "renyi2_mean": total(tokens["renyi2"]) / lengths,
        "nll_sum": np.where(count > 0, nll, np.nan),
        "nll_mean": _ratio(nll, count),
        "top1": _ratio(total(tokens["is_top1"]), count),
        "bits_per_byte": _ratio(nll, nll_bytes * math.log(2)),
    }
    found |= {f"{name}_mean": found[f"{name}_sum"] / lengths for name in ("entropy", "varentropy")}
    with np.errstate(over="ignore"):
        found["perplexity"] = np.exp(found["nll_mean"])
    return found | _quantiles(entropy, starts, lengths)


def topk_scores(truncated: Mapping[str, Any], lengths: NDArray[np.int64]) -> dict[str, Floats]:
    """Means over each row of what its positions' likeliest tokens show."""
    starts = row_starts(lengths)
    names = {"mass": "topk_mass_mean"} | {name: f"{name}_topk_mean" for name in ("entropy", "varentropy")}
    return {names[name]: _sums(np.asarray(values), starts) / lengths for name, values in truncated.items()}


def _sums(values: NDArray[Any], starts: NDArray[np.int64]) -> Floats:
    """[N] sums of each row; every row has a position."""
    if not len(starts):
        return np.empty(0)
    return np.add.reduceat(values.astype(np.float64), starts)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _quantiles(values: Floats, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> dict[str, Floats]:
    """Quantiles within each row, linear between neighbours."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    ordered = values[np.lexsort((values, owner))]
    found = {}
    for percent in QUANTILES:
        at = percent / 100 * (lengths - 1)
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, lengths - 1)
        below, above = ordered[starts + low], ordered[starts + high]
        found[f"entropy_q{percent:02d}"] = below + (above - below) * (at - low)
    return found
