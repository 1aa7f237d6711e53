"""What is a temperature, for every command."""

import math
from collections.abc import Sequence

from entrotune.errors import UserError

# Logits over a temperature beyond these need not be numbers in float32.
COLDEST, HOTTEST = 1e-30, 1e30


def check_temperatures(values: Sequence[float], *, greedy: bool) -> None:
    """Raise `UserError` where the option `temperatures` holds none that can be sampled at.

    Args:
        greedy: whether 0, the likeliest token, is one.
    """
    if isinstance(values, (int, float)):
        raise UserError(f"temperatures must be a list of numbers, such as [{values}], not {values}")
    given = list(values)
    if not given or len(set(given)) < len(given):
        raise UserError(f"temperatures must be one or more different numbers, not {given}")
    if any(not (math.isfinite(value) and (value >= 0 if greedy else value > 0)) for value in given):
        raise UserError(f"temperatures must be numbers {'of at least' if greedy else 'above'} 0, not {given}")
    if any(value and not COLDEST <= value <= HOTTEST for value in given):
        raise UserError(f"temperatures must be from {COLDEST:g} to {HOTTEST:g}, not {given}")
