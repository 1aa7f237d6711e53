"""Which sets a pass uses, in which order and with which response prefix: a function of the seed alone."""

import random
from collections.abc import Sequence


def visits(mixture: Sequence[float], number: int, seed: int) -> list[int]:
    """Indices of the sets of pass `number`, shuffled: as many as there are sets.

    Systematic sampling: a set of weight m among n sets of summed weight M is used n·m/M times, rounded up or down so
    that the mean over passes is exact. With equal weights each is used once.
    """
    draw = random.Random(f"{seed}:{number}:visits")
    total, count = sum(mixture), len(mixture)
    offset, reached, found = draw.random(), 0.0, []
    for index, weight in enumerate(mixture):
        before, reached = reached, reached + weight / total * count
        if index == count - 1:
            reached = float(count)  # rounding must neither lose the last draw nor add one
        elif abs(reached - round(reached)) < 1e-9:
            reached = float(round(reached))
        found += [index] * (_ticks(reached, offset) - _ticks(before, offset))
    draw.shuffle(found)
    return found


def drawn_prefix(count: int, number: int, visit: int, seed: int) -> int:
    """Which of `count` response prefixes the visit of a pass uses."""
    return random.Random(f"{seed}:{number}:{visit}:prefix").randrange(count)


def _ticks(reached: float, offset: float) -> int:
    """Whole numbers k ≥ 0 with k + offset < reached."""
    whole = int(reached)
    return whole + (reached - whole > offset)
