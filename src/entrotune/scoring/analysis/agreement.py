"""Do models agree more on the rows of lowest and highest score than on those in the middle, and is that beyond chance?

Ranks end at 1 and N: a row at the top can only be moved down, so models with any correlation agree more there than in
the middle. What that alone does is simulated: rows from a Gaussian copula with the models' own rank correlations. Only
what lies beyond it says something about the models.

N: rows, K: models, G: groups of rows, R: simulations.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from entrotune.measures import bootstrap_mean
from entrotune.scoring.analysis.effects import Floats

GROUPS = 10
# The simulations use at most so many rows, drawn from all; beyond them the test gains little.
MOST_ROWS = 20_000
SIMULATIONS = 400


def percentile_ranks(columns_NK: Floats) -> Floats:
    """[N, K] ranks within each column, ties with their mean, scaled to lie within 0 and 1."""
    return (stats.rankdata(columns_NK, axis=0) - 0.5) / len(columns_NK)


def rank_spread(ranks_NK: Floats) -> Floats:
    """[N] standard deviation (K − 1) of a row's percentile ranks over models: 0 where all agree."""
    return ranks_NK.std(axis=1, ddof=1)


def groups_of(ranks_NK: Floats, groups: int = GROUPS) -> NDArray[np.int64]:
    """[N] the group of each row, 0 to G − 1, by its mean rank; equal ranks keep the order of the rows."""
    order = np.argsort(ranks_NK.mean(axis=1), kind="stable")
    group_N = np.empty(len(ranks_NK), dtype=np.int64)
    group_N[order] = np.arange(len(ranks_NK)) * groups // len(ranks_NK)
    return group_N


def agreement(columns_NK: Floats, *, seed: int) -> dict[str, Any]:
    """Spread of ranks in each tenth of the rows by mean rank, and the test of extremes against middle.

    Returns:
        `groups`: for each, `spread` with its 95% bootstrap interval over rows, and `null` with the middle 95% of the
        simulations; `contrast`: mean spread of the two middle groups less that of the two outer groups (above 0: more
        agreement at the extremes), what the simulations give, the excess over their mean, and the two-sided p.
    """
    ranks_NK = percentile_ranks(columns_NK)
    spread_N, group_N = rank_spread(ranks_NK), groups_of(ranks_NK)
    tested_NK = _some_rows(columns_NK, seed)
    observed_G = spread_by_group(percentile_ranks(tested_NK))
    simulated_RG = simulate_spreads(tested_NK, seed=seed)
    observed, simulated_R = _contrast(observed_G), _contrast(simulated_RG)
    low, high = np.quantile(simulated_R, [0.025, 0.975])
    return {
        "groups": [
            {
                "spread": bootstrap_mean(spread_N[group_N == group], seed=seed).to_dict(),
                "null": _middle(simulated_RG[:, group]),
            }
            for group in range(GROUPS)
        ],
        "contrast": {
            "observed": float(observed),
            "null": {"value": float(simulated_R.mean()), "low": float(low), "high": float(high)},
            "excess": {
                "value": float(observed - simulated_R.mean()),
                "low": float(observed - high),
                "high": float(observed - low),
            },
            "p": two_sided(float(observed), simulated_R),
        },
        "simulations": SIMULATIONS,
        "rows_tested": len(tested_NK),
    }


def spread_by_group(ranks_NK: Floats) -> Floats:
    """[G] mean spread of ranks in each group of rows."""
    group_N = groups_of(ranks_NK)
    return np.bincount(group_N, rank_spread(ranks_NK), minlength=GROUPS) / np.bincount(group_N, minlength=GROUPS)


def simulate_spreads(columns_NK: Floats, *, seed: int, simulations: int = SIMULATIONS) -> Floats:
    """[R, G] spread by group where ranks are as in a Gaussian copula with the columns' rank correlations.

    A Spearman correlation ρ is that of normal variables correlated by 2 sin(π ρ / 6) (Pearson 1907); the matrix is
    moved to the nearest with no negative eigenvalue where that map leaves the positive semidefinite ones.
    """
    n, size = columns_NK.shape
    rho_KK = np.corrcoef(stats.rankdata(columns_NK, axis=0).T)
    values_K, vectors_KK = np.linalg.eigh(2 * np.sin(np.pi * rho_KK / 6))
    root_KK = vectors_KK * np.sqrt(np.clip(values_K, 0, None))
    root_KK /= np.linalg.norm(root_KK, axis=1, keepdims=True)
    generator = np.random.default_rng(seed)
    draws = (generator.standard_normal((n, size)) @ root_KK.T for _ in range(simulations))
    return np.array([spread_by_group(percentile_ranks(draw_NK)) for draw_NK in draws])


def two_sided(observed: float, simulated_R: Floats) -> float:
    """Twice the smaller share of simulations at least as far out, the observation counted among them."""
    above, below = (simulated_R >= observed).sum(), (simulated_R <= observed).sum()
    return float(min(1.0, 2 * (1 + min(above, below)) / (1 + len(simulated_R))))


def _contrast(spread_G: Floats) -> Floats:
    middle = spread_G[..., GROUPS // 2 - 1 : GROUPS // 2 + 1].mean(axis=-1)
    return middle - (spread_G[..., 0] + spread_G[..., -1]) / 2


def _middle(values_R: Floats) -> dict[str, float]:
    low, high = np.quantile(values_R, [0.025, 0.975])
    return {"value": float(values_R.mean()), "low": float(low), "high": float(high)}


def _some_rows(columns_NK: Floats, seed: int) -> Floats:
    if len(columns_NK) <= MOST_ROWS:
        return columns_NK
    chosen = np.random.default_rng(seed).choice(len(columns_NK), MOST_ROWS, replace=False)
    return columns_NK[np.sort(chosen)]
