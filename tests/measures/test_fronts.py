"""Fronts against brute force."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.measures import hypervolume, knee, pareto

Points = list[tuple[int, int]]
points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12)


def dominated(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return other != one and other[0] >= one[0] and other[1] >= one[1]


@given(points)
def test_pareto_is_what_nothing_dominates(found: Points) -> None:
    kept = [i for i, one in enumerate(found) if not any(dominated(one, other) for other in found)]
    assert pareto(found) == kept


@given(points, st.tuples(st.integers(-1, 4), st.integers(-1, 4)))
def test_hypervolume_is_the_number_of_covered_cells(found: Points, reference: tuple[int, int]) -> None:
    cells = product(range(reference[0], 9), range(reference[1], 9))
    covered = sum(any(x > i and y > j for x, y in found) for i, j in cells)
    assert hypervolume(found, reference) == covered


@given(points)
def test_knee_is_the_farthest_point_from_the_line(found: Points) -> None:
    kept = pareto(found)
    front = sorted({found[i] for i in kept})
    chosen = knee(found)
    if len(front) < 3:
        assert chosen is None
        return
    (x0, y0), (x1, y1) = front[0], front[-1]
    # Twice the area of the triangle with the line: the distance up to a factor, which scaling does not change.
    areas = {one: (one[0] - x0) * (y0 - y1) - (y0 - one[1]) * (x1 - x0) for one in front}
    if max(areas.values()) <= 0:
        assert chosen is None
    else:
        assert chosen in kept
        assert areas[found[chosen]] == max(areas.values())


@given(points)
def test_a_new_point_never_shrinks_the_volume(found: Points) -> None:
    assert hypervolume([*found, (3, 3)], (0, 0)) >= max(9, hypervolume(found, (0, 0)))


def test_unknown_numbers_are_left_out() -> None:
    found = [(1.0, math.nan), (0.0, 0.5), (math.nan, 2.0)]
    assert pareto(found) == [1]
    assert hypervolume(found, (-1.0, 0.0)) == 0.5
    assert knee(found) is None
    assert pareto([]) == []
    assert hypervolume([], (0, 0)) == 0


def test_a_bend_outwards_is_a_knee_and_one_inwards_is_none() -> None:
    assert knee([(0, 1), (0.9, 0.9), (1, 0)]) == 1
    assert knee([(0, 1), (0.2, 0.2), (1, 0)]) is None


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="two coordinates"):
        pareto(np.zeros((3, 3)))
