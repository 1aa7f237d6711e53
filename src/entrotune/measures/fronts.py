"""Fronts of two quantities, both of which are better the larger they are: Pareto set, hypervolume, knee.

N: points.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto(points: ArrayLike) -> list[int]:
    """The points that no other one matches in both coordinates and betters in one, in the order given.

    Equal points are all kept. A point with a NaN is never in the set.

    Args:
        points: [N, 2].
    """
    points_N2 = _points(points)
    best = -np.inf
    kept: list[int] = []
    for first in np.unique(points_N2[:, 0][_known(points_N2)])[::-1]:
        among = np.flatnonzero(_known(points_N2) & (points_N2[:, 0] == first))
        highest = points_N2[among, 1].max()
        if highest > best:
            kept += among[points_N2[among, 1] == highest].tolist()
            best = highest
    return sorted(kept)


def hypervolume(points: ArrayLike, reference: Sequence[float]) -> float:
    """The area between a reference point and the points: where some point is at least as good in both coordinates.

    Points that are not better than the reference in both coordinates add nothing.

    Args:
        points: [N, 2].
        reference: a point that is worse than those that count.
    """
    points_N2 = _points(points)
    x, y = reference
    counted_N2 = points_N2[pareto(points_N2)]
    counted_N2 = np.unique(counted_N2[(counted_N2[:, 0] > x) & (counted_N2[:, 1] > y)], axis=0)
    # Along the first coordinate, the second falls.
    widths = np.diff(counted_N2[:, 0], prepend=x)
    return float((widths * (counted_N2[:, 1] - y)).sum())


def knee(points: ArrayLike) -> int | None:
    """The point of the Pareto set that stands out farthest beyond the line between the set's ends.

    Each coordinate is scaled to the range it has within the set. None where the set has fewer than three different
    points, or none beyond the line. After Das 1999, "On characterizing the knee of the Pareto curve".

    Args:
        points: [N, 2].
    """
    points_N2 = _points(points)
    kept = pareto(points_N2)
    front = points_N2[kept]
    if len(np.unique(front, axis=0)) < 3:
        return None
    low, high = front.min(0), front.max(0)
    # The scaled line runs from (0, 1) to (1, 0).
    beyond = ((front - low) / (high - low)).sum(1) - 1
    place = int(beyond.argmax())
    return kept[place] if beyond[place] > 1e-12 else None


def _points(points: ArrayLike) -> NDArray[np.float64]:
    points_N2 = np.asarray(points, dtype=np.float64)
    if points_N2.size == 0:
        return np.empty((0, 2))
    if points_N2.ndim != 2 or points_N2.shape[1] != 2:
        raise ValueError(f"expected points of two coordinates, got an array of shape {points_N2.shape}")
    return points_N2


def _known(points_N2: NDArray[np.float64]) -> NDArray[np.bool_]:
    return ~(np.isnan(points_N2[:, 0]) | np.isnan(points_N2[:, 1]))
