"""Coefficients by a column of the data: for each value of the column a number, a schedule or a controller."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrotune.errors import UserError
from entrotune.objectives.schedules import Course

BY = "by"
DEFAULT = "default"


@dataclass(frozen=True)
class Branches:
    """What a coefficient is for the rows of each value of a column.

    Attributes:
        name: of the coefficient.
        column: of the data.
        courses: by value; `default` is that of all values without one of their own.
    """

    name: str
    column: str
    courses: Mapping[str, Course]

    def branch(self, value: str | None) -> str | None:
        """Which of the courses rows with this value have; None where there is none for them."""
        if value is not None and value in self.courses:
            return value
        return DEFAULT if DEFAULT in self.courses else None


def read_branches(name: str, given: Mapping[Any, Any]) -> tuple[str, dict[str, Any]]:
    """Column and values, as given, of `{"by": "task", "qa": 0.02, "default": 0.1}`.

    Raises:
        UserError: no column, or no value.
    """
    column = given[BY]
    if not isinstance(column, str) or not column:
        raise UserError(
            f"coefficients.{name}: by is {column!r}; expected the name of a column of the data, such as task"
        )
    branches = {value_text(key): value for key, value in given.items() if key != BY}
    if not branches or None in branches or len(branches) < len(given) - 1:
        raise UserError(
            f"coefficients.{name} goes by {column} and is {given!r}; expected a value for each of the column's, such "
            f"as {{by: {column}, qa: 0.02, story: 0.2, default: 0.1}}"
        )
    return column, {key: value for key, value in branches.items() if key is not None}


def value_text(value: Any) -> str | None:
    """A value of a column as it is written in a recipe; None where there is none.

    Raises:
        TypeError: it is a list or an object.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(type(value).__name__)
