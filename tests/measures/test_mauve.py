"""MAUVE at its limits: equal and disjoint distributions, and what their numbers alone would do."""

import numpy as np
import pytest

from entrotune.errors import UserError
from entrotune.measures.mauve import mauve

pytest.importorskip("mauve")


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 4))


def test_one_set_against_itself_is_one(points: np.ndarray) -> None:
    found = mauve(points, points[::-1])
    assert found["value"] == pytest.approx(1, abs=1e-6)
    assert found["star"] == pytest.approx(1, abs=1e-6)
    assert (found["people"], found["sampled"], found["buckets"]) == (60, 60, 6)
    assert found["error"] == pytest.approx(0.1**0.5)
    assert mauve(np.ones((20, 3)), np.ones((30, 3)))["value"] == 1.0


def test_equal_distributions_are_near_one_and_disjoint_near_zero(points: np.ndarray) -> None:
    others = np.random.default_rng(1).normal(size=(60, 4))
    near, far = mauve(points, others), mauve(np.abs(points) + 1, -np.abs(others) - 1)
    assert near["value"] > 0.8
    assert near["value"] >= near["same"]["low"]
    # Divergences of disjoint sets to the mixture are −log w and −log(1 − w): the area of (1 − w)^5 over w^5 is 1/252.
    assert far["value"] == pytest.approx(1 / 252, rel=0.05)
    # Dealt out at random, the same points are near one: the value says that they differ.
    assert far["same"]["low"] > 0.6
    assert mauve(points, others) == near


def test_bad_input(points: np.ndarray) -> None:
    with pytest.raises(UserError, match="at least 20 texts a side, got 19 of people and 60 samples"):
        mauve(points[:19], points)
    with pytest.raises(ValueError, match=r"expected features \[n, d\]"):
        mauve(points, points[:, :2])
    with pytest.raises(ValueError, match="finite"):
        mauve(points, np.full_like(points, np.nan))
