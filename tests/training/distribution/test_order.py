"""Which sets a pass uses."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.training.distribution.order import drawn_prefix, visits

MIXTURES = st.lists(st.floats(0.01, 100), min_size=1, max_size=12)


@given(st.integers(1, 30), st.integers(0, 9), st.integers(0, 9))
def test_equal_weights_use_each_set_once(count: int, number: int, seed: int) -> None:
    assert sorted(visits([0.3] * count, number, seed)) == list(range(count))


@given(MIXTURES, st.integers(0, 9))
def test_a_set_is_used_as_often_as_its_weight_says(mixture: list[float], number: int) -> None:
    found = Counter(visits(mixture, number, 0))
    assert found.total() == len(mixture)
    for index, weight in enumerate(mixture):
        expected = weight / sum(mixture) * len(mixture)
        assert expected - 1 - 1e-6 <= found[index] <= expected + 1 + 1e-6


def test_the_mean_over_passes_is_exact() -> None:
    mixture = [1.0, 2.5, 0.5]
    found = Counter(at for number in range(3000) for at in visits(mixture, number, 0))
    for index, weight in enumerate(mixture):
        assert found[index] / 3000 == pytest.approx(weight / 4 * 3, abs=0.03)


def test_passes_differ_and_repeat() -> None:
    assert visits([1] * 20, 0, 5) == visits([1] * 20, 0, 5)
    assert visits([1] * 20, 0, 5) != visits([1] * 20, 1, 5) != visits([1] * 20, 1, 6)
    assert {drawn_prefix(3, number, 0, 0) for number in range(30)} == {0, 1, 2}
