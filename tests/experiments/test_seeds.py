"""Records of several seeds as one."""

import numpy as np
import pytest

from entrotune.evaluation import Column, SettingRecord
from entrotune.experiments.seeds import over_seeds

IDS = ("a", "b", "c")


def record(nll: list[float], tokens: list[float], distinct: list[float]) -> SettingRecord:
    columns = {
        "nll": Column(IDS, np.array(nll), np.array(tokens)),
        "distinct_1": Column(IDS, np.array(distinct)),
    }
    return SettingRecord(temperature=0.7, samples_per_prompt=2, columns=columns, samples=(), corpus={"bleu": 3.0})


def test_values_and_weights_are_averaged_for_each_prompt() -> None:
    one = record([1.0, 2.0, 3.0], [2, 4, 6], [0.2, np.nan, np.nan])
    other = record([3.0, 2.0, 1.0], [4, 4, 2], [0.4, 0.6, np.nan])
    mean = over_seeds([one, other])
    assert (mean.temperature, mean.samples_per_prompt, mean.corpus) == (0.7, 2, {})
    assert mean.columns["nll"].ids == IDS
    assert mean.columns["nll"].values.tolist() == [2, 2, 2]
    weights = mean.columns["nll"].weights
    assert weights is not None
    assert weights.tolist() == [3, 4, 4]  # not the first seed's
    assert mean.columns["distinct_1"].weights is None
    assert mean.columns["distinct_1"].values.tolist() == pytest.approx([0.3, 0.6, np.nan], nan_ok=True)


def test_one_seed_is_its_own_mean() -> None:
    only = record([1.0, 2.0, 3.0], [2, 4, 6], [0.2, np.nan, np.nan])
    assert over_seeds([only]) is only
