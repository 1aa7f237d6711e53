"""Labels that say whether a row was answered right."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.errors import UserError

_WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def read_right(value: Any, *, column: str, id: str) -> bool | None:
    """True, false, or None where there is no label.

    Raises:
        UserError: a value that is neither true nor false, nor 1 or 0.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    raise UserError(
        f"the label {column} of row {id!r} is {value!r}; expected true or false (or 1 or 0): was the row answered "
        "right? For the number of the right ending of multiple-choice rows, give them as choices"
    )


def labels_for(ids: Sequence[str], values: Mapping[str, Any], *, column: str) -> list[bool | None]:
    """The labels of rows in their order; None for a row that `values` does not have, or has without a label.

    Raises:
        UserError: no row has a label, or a value that is none.
    """
    labels = [read_right(values.get(id), column=column, id=id) for id in ids]
    if all(label is None for label in labels):
        raise UserError(f"none of the {len(ids):,} rows has a label in {column}; rows and labels are joined by id")
    return labels
