"""Rows of a data set that TRL cannot use, told rather than dropped in silence."""

import warnings
from typing import Any

from entrotune.errors import UserError


def rows_given(dataset: Any, name: str) -> int | None:
    """The number of rows of the data set called `name`; None of a stream.

    Raises:
        UserError: it has none.
    """
    count = len(dataset) if hasattr(dataset, "__len__") else None
    if count == 0 or (count is None and next(iter(dataset), None) is None):
        raise UserError(f"the {name} dataset is empty: it has no row")
    return count


def told_of_dropped(prepared: Any, count: int | None, args: Any, name: str) -> Any:
    """The prepared rows; a warning says how many of `count` have nothing to learn once TRL has cut them.

    Raises:
        UserError: no row is left.
    """
    if count is None or not hasattr(prepared, "__len__") or len(prepared) == count:
        return prepared
    told = (
        f"{count - len(prepared):,} of {count:,} rows of the {name} dataset have no supervised token within "
        f"max_length={args.max_length}"
    )
    if not len(prepared):
        raise UserError(f"{told}, so none is left; raise max_length, or look at the masks")
    warnings.warn(f"{told}, and are left out", UserWarning, stacklevel=2)
    return prepared
