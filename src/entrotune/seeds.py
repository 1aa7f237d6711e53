"""What is a seed, for every command: what PyTorch, NumPy and transformers all take."""

from typing import Any

from entrotune.errors import UserError

_RANGE = "from 0 to 2**32 - 1"


def check_seed(name: str, value: Any) -> None:
    """Raise `UserError` where the option `name` holds no seed."""
    if not _is_seed(value):
        raise UserError(f"{name} must be a whole number {_RANGE}, not {value!r}")


def check_seeds(name: str, values: Any) -> None:
    """Raise `UserError` where the option `name` holds no seeds that differ."""
    known = isinstance(values, list) and all(_is_seed(value) for value in values)
    if not known or not values or len(set(values)) < len(values):
        raise UserError(f"{name} must be one or more different whole numbers {_RANGE}, not {values!r}")


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
