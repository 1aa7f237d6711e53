"""Scores of the same rows under several models, compared: the numbers of `analyze models`."""

from typing import Any

import numpy as np

from entrotune.scoring.analysis.agreement import agreement, percentile_ranks, rank_spread
from entrotune.scoring.analysis.columns import COLUMNS
from entrotune.scoring.analysis.correlations import correlation_matrix
from entrotune.scoring.analysis.curves import rank_curves, sorted_curves
from entrotune.scoring.analysis.effects import Floats
from entrotune.scoring.analysis.geometry import distances, principal_components, standardised
from entrotune.scoring.analysis.joining import Joined

SHOWN_ROWS = 12


def compare_models(joined: Joined, metric: str, *, seed: int) -> dict[str, Any]:
    """Everything about one metric, ready for `analysis.json`.

    Raises:
        UserError: see `Joined.metric`.
    """
    columns_NK, kept = joined.metric(metric)
    ids = [joined.ids[at] for at in kept]
    return {
        "label": COLUMNS[metric].label,
        "unit": COLUMNS[metric].unit,
        "n": len(ids),
        "undefined": len(joined.ids) - len(ids),
        "models": [_described(columns_NK[:, at]) for at in range(columns_NK.shape[1])],
        "pearson": correlation_matrix(columns_NK, "pearson"),
        "spearman": correlation_matrix(columns_NK, "spearman"),
        "distances": {
            "raw": distances(columns_NK).tolist(),
            "standardised": distances(standardised(columns_NK)).tolist(),
        },
        "components": principal_components(columns_NK, seed=seed),
        "sorted": sorted_curves(columns_NK),
        "ranks": rank_curves(columns_NK),
        "agreement": agreement(columns_NK, seed=seed),
        "rows": _told_rows(columns_NK, ids),
    }


def _described(values: Floats) -> dict[str, float]:
    quantiles = np.quantile(values, [0.05, 0.5, 0.95])
    named = dict(zip(("q05", "median", "q95"), (float(at) for at in quantiles), strict=True))
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1)), **named}


def _told_rows(columns_NK: Floats, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows whose ranks differ least and most between models; equal ones in the order of the rows."""
    ranks_NK = percentile_ranks(columns_NK)
    spread_N = rank_spread(ranks_NK)
    order = np.argsort(spread_N, kind="stable")
    most = np.argsort(-spread_N, kind="stable")

    def told(at: int) -> dict[str, Any]:
        return {
            "id": ids[at],
            "spread": float(spread_N[at]),
            "values": columns_NK[at].tolist(),
            "ranks": ranks_NK[at].tolist(),
        }

    return {"agree": [told(at) for at in order[:SHOWN_ROWS]], "disagree": [told(at) for at in most[:SHOWN_ROWS]]}
