"""Groups of rows that share their coefficients, and an objective that has other coefficients in each."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.objectives.branches import DEFAULT, Branches, value_text
from entrotune.objectives.objective import Objective
from entrotune.objectives.rows import Needs


class Groups:
    """The groups that coefficients by columns make of rows; they follow from the recipe alone, not from the data.

    A group is a value for each column. Values that no coefficient names are one, `default`.

    Args:
        branches: the coefficients that go by a column.

    Attributes:
        columns: that they go by.
        keys: for each group, a value for each column.
        labels: how groups are called: `qa`, or `task=qa, source=web` where there are several columns.
    """

    def __init__(self, branches: Sequence[Branches]) -> None:
        self.branches = tuple(branches)
        self.columns = tuple(dict.fromkeys(found.column for found in branches))
        named = [dict.fromkeys(v for b in branches if b.column == column for v in b.courses) for column in self.columns]
        values = [[*(value for value in found if value != DEFAULT), DEFAULT] for found in named]
        self.keys = [key for key in itertools.product(*values) if self._lacking(key) is None]
        self.labels = [self._label(key) for key in self.keys]
        self._numbers = {key: number for number, key in enumerate(self.keys)}
        self._known = [set(found) for found in values]

    def __len__(self) -> int:
        return len(self.keys)

    def _label(self, key: tuple[str, ...]) -> str:
        if len(key) == 1:
            return key[0]
        return ", ".join(f"{column}={value}" for column, value in zip(self.columns, key, strict=True))

    def _lacking(self, key: tuple[str, ...]) -> Branches | None:
        """A coefficient without a value for a group."""
        values = dict(zip(self.columns, key, strict=True))
        return next((b for b in self.branches if b.branch(values[b.column]) is None), None)

    def branch(self, group: int, branches: Branches) -> str:
        """Which of its courses a coefficient has in a group."""
        found = branches.branch(self.keys[group][self.columns.index(branches.column)])
        assert found is not None  # the group would not be
        return found

    def number(self, row: Mapping[str, Any], place: str) -> int:
        """The group of a row.

        Args:
            row: its columns.
            place: where it stands, such as `data.jsonl:3`, to be told.

        Raises:
            UserError: a coefficient has no value for it.
        """
        texts = [self.text(row, column, place) for column in self.columns]
        pairs = zip(texts, self._known, strict=True)
        key = tuple(text if text is not None and text in known else DEFAULT for text, known in pairs)
        if key not in self._numbers:
            lacking = self._lacking(key)
            assert lacking is not None
            raise UserError(_no_value(lacking, texts[self.columns.index(lacking.column)], place))
        return self._numbers[key]

    @staticmethod
    def text(row: Mapping[str, Any], column: str, place: str) -> str | None:
        """The value of a row's column as it is written in a recipe; arguments and errors are those of `number`."""
        try:
            return value_text(row.get(column))
        except TypeError as error:
            raise UserError(
                f"{place}: {column} is a {error}, but coefficients go by it; expected text, a number or true/false"
            ) from None


def _no_value(lacking: Branches, text: str | None, place: str) -> str:
    name, column, known = f"coefficients.{lacking.name}", lacking.column, ", ".join(lacking.courses)
    if text is None:
        return f"{place}: the row has no {column}, by which {name} goes; give it one of {known}, or {name} a default"
    return f"{place}: {column} is {text!r}, and {name} has values for {known}; give it one for {text}, or a default"


@dataclass(frozen=True)
class GroupedObjective:
    """An objective whose named coefficients are those of a token's group.

    Attributes:
        objective: with names.
        values: of the names, for each group.
    """

    objective: Objective
    values: tuple[Mapping[str, float], ...]

    @property
    def needs(self) -> Needs:
        """The row statistics all terms together need."""
        return self.objective.needs

    def coefficients(self, groups: Tensor | None) -> dict[str, float | Tensor]:
        """The value of each name for tokens of these groups, [...]; a number where all groups share it."""
        return {name: self._in(groups, [given[name] for given in self.values]) for name in self.objective.names}

    @staticmethod
    def _in(groups: Tensor | None, values: list[float]) -> float | Tensor:
        if len(set(values)) == 1:
            return values[0]
        assert groups is not None
        return torch.tensor(values, dtype=torch.float64, device=groups.device)[groups]

    def coefficient_values(self) -> dict[str, float]:
        """The coefficients of terms that all groups share: what is logged at every step."""
        first, *others = (self.objective.with_coefficients(values).coefficient_values() for values in self.values)
        return {term: value for term, value in first.items() if all(other[term] == value for other in others)}
