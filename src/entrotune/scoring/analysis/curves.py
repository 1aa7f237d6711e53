"""Curves of many rows as few points: sorted scores, ranks along the mean rank, histograms by class.

N: rows, K: models.
"""

from typing import Any

import numpy as np

from entrotune.scoring.analysis.agreement import groups_of, percentile_ranks
from entrotune.scoring.analysis.effects import Bools, Floats, wilson

_LEVELS = 101
_RANK_BINS = 40
_BINS = 30


def sorted_curves(columns_NK: Floats) -> dict[str, Any]:
    """Each model's scores in order: their quantiles at evenly spaced shares of the rows."""
    levels = np.linspace(0, 1, _LEVELS)
    return {"share": levels.tolist(), "values": np.quantile(columns_NK, levels, axis=0).T.tolist()}


def rank_curves(columns_NK: Floats) -> dict[str, Any]:
    """Ranks (0 to 1) of each model along rows in the order of the mean rank: median and middle 80% in bins."""
    ranks_NK = percentile_ranks(columns_NK)
    bins = min(_RANK_BINS, len(columns_NK) // 5)
    group_N = groups_of(ranks_NK, bins)
    quantiles = np.array([np.quantile(ranks_NK[group_N == at], [0.1, 0.5, 0.9], axis=0) for at in range(bins)])
    low, middle, high = (quantiles[:, at].T.tolist() for at in range(3))
    return {"share": ((np.arange(bins) + 0.5) / bins).tolist(), "low": low, "median": middle, "high": high}


def histograms(values: Floats, right: Bools) -> dict[str, Any]:
    """Shares of each class in equal bins; the end bins also hold what lies beyond (half a percent of rows a side)."""
    low, high = np.quantile(values, [0.005, 0.995])
    edges = np.linspace(low, high, min(_BINS, max(5, len(values) // 15)) + 1)
    inside = np.clip(values, low, high)
    shares = {
        name: (np.histogram(inside[chosen], edges)[0] / chosen.sum()).tolist()
        for name, chosen in (("right", right), ("wrong", ~right))
    }
    return {"edges": edges.tolist(), **shares}


def accuracy_by_tenth(values: Floats, right: Bools) -> list[dict[str, Any]]:
    """Share answered right in each tenth of the rows by value (a fifth below 200 rows), with Wilson's interval."""
    groups = 10 if len(values) >= 200 else 5
    group_N = groups_of(values[:, None], groups)
    found = []
    for group in range(groups):
        inside = group_N == group
        share = wilson(int(right[inside].sum()), int(inside.sum()))
        found.append({"mean": float(values[inside].mean()), "n": int(inside.sum()), **share.to_dict()})
    return found
