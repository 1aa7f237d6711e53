"""Agreement at the extremes: the null model is calibrated, and finds what is planted."""

import numpy as np
import pytest

from entrotune.scoring.analysis.agreement import (
    agreement,
    groups_of,
    percentile_ranks,
    rank_spread,
    simulate_spreads,
)

COVARIANCE = np.array([[1.0, 0.8, 0.5], [0.8, 1.0, 0.6], [0.5, 0.6, 1.0]])


def test_ranks_spread_and_groups_by_hand() -> None:
    columns = np.array([[1.0, 40.0], [2.0, 30.0], [3.0, 20.0], [3.0, 10.0]])
    ranks = percentile_ranks(columns)
    assert ranks.tolist() == [[0.125, 0.875], [0.375, 0.625], [0.75, 0.375], [0.75, 0.125]]
    assert rank_spread(ranks)[0] == pytest.approx(0.75 / np.sqrt(2))
    # Mean ranks 0.5, 0.5, 0.5625 and 0.4375: the fourth row is lowest, then the first.
    assert groups_of(ranks, 2).tolist() == [0, 1, 1, 0]


def test_groups_are_equal_and_in_order() -> None:
    ranks = np.random.default_rng(0).random((100, 3))
    group = groups_of(ranks)
    assert np.bincount(group).tolist() == [10] * 10
    means = ranks.mean(axis=1)
    assert all(means[group == at].max() <= means[group == at + 1].min() for at in range(9))
    assert groups_of(np.ones((20, 2))).tolist() == [at // 2 for at in range(20)]


def test_bounded_ranks_alone_are_not_taken_for_agreement() -> None:
    """Normal variables agree more at the extremes by rank: the test must not call that a finding."""
    generator = np.random.default_rng(7)
    found = [
        agreement(np.exp(generator.multivariate_normal(np.zeros(3), COVARIANCE, 150)), seed=seed)["contrast"]
        for seed in range(30)
    ]
    assert all(one["observed"] > 0 for one in found)
    p_values = [one["p"] for one in found]
    assert sum(p < 0.05 for p in p_values) <= 4
    assert 0.3 < np.mean(p_values) < 0.7
    assert abs(np.mean([one["excess"]["value"] for one in found])) < 0.01


@pytest.mark.parametrize(("sharper", "way"), [("extremes", 1), ("middle", -1)])
def test_agreement_that_is_planted_is_found(sharper: str, way: int) -> None:
    generator = np.random.default_rng(1)
    shared = generator.normal(size=(600, 1))
    outer = np.clip(np.abs(shared), 0, 2) / 2
    noise = 0.05 + 0.8 * ((1 - outer) if sharper == "extremes" else outer)
    found = agreement(shared + noise * generator.normal(size=(600, 3)), seed=0)
    contrast = found["contrast"]
    assert contrast["p"] < 0.01
    assert way * contrast["excess"]["value"] > 0
    assert way * contrast["excess"]["low"] > 0 or way * contrast["excess"]["high"] > 0
    assert len(found["groups"]) == 10


def test_simulations_have_the_rank_correlations_of_the_data() -> None:
    """The mean spread over all rows follows from them, so both must agree."""
    columns = np.random.default_rng(3).multivariate_normal(np.zeros(3), COVARIANCE, 2000)
    own = rank_spread(percentile_ranks(columns)).mean()
    assert simulate_spreads(columns, seed=0, simulations=20).mean() == pytest.approx(own, rel=0.02)


def test_equal_models_agree_everywhere() -> None:
    values = np.random.default_rng(0).random(60)
    found = agreement(np.column_stack([values, 2 * values]), seed=0)
    assert found["contrast"]["observed"] == 0
    assert found["contrast"]["p"] == 1.0
