"""Score tables of the same rows under several models, joined by id.

N: rows that all tables have, K: tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from entrotune.errors import UserError
from entrotune.scoring.analysis.columns import COLUMNS, column_values, refuse_nan, undefined_rows
from entrotune.scoring.analysis.effects import Floats

if TYPE_CHECKING:
    import pyarrow

FEWEST_ROWS = 20


@dataclass(frozen=True)
class Joined:
    """Tables whose rows are matched: `places[k][i]` is where table k has the row of id `ids[i]`."""

    names: list[str]
    tables: "list[pyarrow.Table]"
    ids: list[str]
    hashes: list[str]
    places: list[NDArray[np.int64]]

    @property
    def counts(self) -> dict[str, Any]:
        """Rows that all have; of each table those left out because another lacks them, and those of the common rows
        that were cut or hold tokens which its tokenizer does not know.
        """
        left = {name: len(table) - len(self.ids) for name, table in zip(self.names, self.tables, strict=True)}
        return {
            "rows": len(self.ids),
            "left_out": left,
            "rows_cut": self._rows_with("tokens_cut"),
            "rows_unknown": self._rows_with("tokens_unknown"),
        }

    def _rows_with(self, column: str) -> dict[str, int]:
        """Common rows of each table in which a count is not 0."""
        return {
            name: int((np.asarray(table.column(column))[place] > 0).sum())
            for name, table, place in zip(self.names, self.tables, self.places, strict=True)
        }

    def metric(self, name: str) -> tuple[Floats, NDArray[np.int64]]:
        """[N', K] one number of each row and model, and which of the rows these are.

        Rows for which the number does not exist by definition are left out.

        Raises:
            UserError: a number that is NaN, too few rows left, or a model to which all rows are equal.
        """
        tables = list(zip(self.tables, self.places, strict=True))
        undefined_N = np.any([undefined_rows(table, name)[place] for table, place in tables], axis=0)
        kept = np.flatnonzero(~undefined_N)
        if len(kept) < FEWEST_ROWS:
            raise UserError(f"{name} exists for {len(kept)} of {len(self.ids)} rows; expected at least {FEWEST_ROWS}")
        columns_NK = np.column_stack([column_values(table, name)[place][kept] for table, place in tables])
        ids = [self.ids[at] for at in kept]
        for at, model in enumerate(self.names):
            refuse_nan(columns_NK[:, at], ids, f"{name} of {model}")
            if np.ptp(columns_NK[:, at]) == 0:
                raise UserError(f"{model} has the same {name} in all rows, so it cannot be compared")
        return columns_NK, kept


def join_scores(names: Sequence[str], tables: "Sequence[pyarrow.Table]") -> Joined:
    """Match the rows of score tables by id, in the order of the first, and verify that their texts are the same.

    Raises:
        UserError: an id that is there twice, no or too few common rows, or a row whose text differs.
    """
    places = [_index(name, table) for name, table in zip(names, tables, strict=True)]
    common = [id for id in places[0] if all(id in other for other in places[1:])]
    if not common:
        examples = " and ".join(repr(next(iter(place), "none")) for place in places[:2])
        raise UserError(
            f"{_listed(names)} have no row in common: ids are like {examples}; score the same data with each model"
        )
    if len(common) < FEWEST_ROWS:
        raise UserError(f"{_listed(names)} have {len(common)} rows in common; statistics need at least {FEWEST_ROWS}")
    found = [np.array([place[id] for id in common]) for place in places]
    hashes = [_strings(table, "text_hash") for table in tables]
    for name, texts, place in zip(names[1:], hashes[1:], found[1:], strict=True):
        differ = [id for id, a, b in zip(common, found[0], place, strict=True) if hashes[0][a] != texts[b]]
        if differ:
            raise UserError(
                f"{name} was made from other texts than {names[0]}: {len(differ):,} of {len(common):,} rows differ, "
                f"first {differ[0]!r}; score the same data, in the same mode, with each model"
            )
    return Joined(list(names), list(tables), common, [hashes[0][at] for at in found[0]], found)


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise `UserError` for an empty list, or a name that is no number of a score table."""
    if not metrics:
        raise UserError("metrics is empty; name at least one score, such as entropy_mean")
    for name in metrics:
        if name not in COLUMNS:
            raise UserError(f"there is no score {name!r}; there are {', '.join(COLUMNS)}")


def _index(name: str, table: "pyarrow.Table") -> dict[str, int]:
    ids = _strings(table, "id")
    index = {id: at for at, id in enumerate(ids)}
    if len(index) < len(ids):
        twice = next(id for at, id in enumerate(ids) if index[id] != at)
        raise UserError(f"{name} has the id {twice!r} more than once; give the rows different ids and score again")
    return index


def _strings(table: "pyarrow.Table", name: str) -> list[str]:
    return table.column(name).to_pylist()


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
