"""Schedules: one pass over the rows, each row once.

N: rows; a row has a bin b, and a place j among the n rows of its bin.
"""

import numpy as np
from numpy.typing import NDArray

from entrotune.data.curriculum.bins import Ints


def one_pass(
    schedule: str, bins_N: Ints, *, periods: int, within: str, is_sorted: bool, generator: np.random.Generator
) -> Ints:
    """The rows in the order of a schedule.

    | schedule | order |
    |---|---|
    | `increasing`, `decreasing` | bin after bin, upwards or downwards |
    | `periodic` | `periods` climbs: climb p takes the p-th part of every bin, upwards |
    | `hill` | up with the first half of every bin (the larger, where n is odd), down with the second |
    | `interleaved` | a row of every bin in turn, upwards, until the bins are empty |
    | `random` | a permutation |

    Args:
        schedule: its name.
        bins_N: the bin of each row; for sorted rows their rank, each a bin of one row. Then the parts of `periodic` and
            `hill` are every periods-th and every second rank.
        periods: climbs of `periodic`.
        within: rows of a bin come `shuffled` or in the order of the `input`.
        is_sorted: whether each row is a bin of its own.
        generator: of `random` and `shuffled`.
    """
    count = len(bins_N)
    if schedule == "random":
        return generator.permutation(count)
    place_N, size_N = _places(bins_N, generator if within == "shuffled" else None)
    if schedule == "interleaved":
        return np.lexsort((bins_N, place_N))
    parts = {"periodic": periods, "hill": 2}.get(schedule, 1)
    part_N = bins_N % parts if is_sorted else place_N * parts // size_N
    falling_N = part_N % 2 == 1 if schedule == "hill" else np.full(count, schedule == "decreasing")
    return np.lexsort((place_N, np.where(falling_N, -bins_N, bins_N), part_N))


def _places(bins_N: Ints, generator: np.random.Generator | None) -> tuple[Ints, NDArray[np.int64]]:
    """Each row's place within its bin, and its bin's size; places are shuffled where a generator is given."""
    count = len(bins_N)
    order = np.arange(count) if generator is None else generator.permutation(count)
    grouped = order[np.argsort(bins_N[order], kind="stable")]
    sizes = np.bincount(bins_N)
    starts = np.cumsum(sizes) - sizes
    place_N = np.empty(count, dtype=np.int64)
    place_N[grouped] = np.arange(count) - starts[bins_N[grouped]]
    return place_N, sizes[bins_N]
