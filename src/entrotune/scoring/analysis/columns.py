"""The numbers of a score table that analyses use: their names in words, and reading them as arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from entrotune.errors import UserError
from entrotune.scoring.analysis.effects import Bools, Floats

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Column:
    """How a column is called, its unit, and, for one that is computed here, its numerator (over the row's bytes)."""

    label: str
    unit: str
    per_byte_of: str | None = None


COLUMNS = {
    "entropy_mean": Column("mean entropy", "nats/token"),
    "entropy_last": Column("last-token entropy", "nats"),
    "entropy_sum": Column("summed entropy", "nats"),
    "entropy_per_byte": Column("entropy per byte", "nats/byte", "entropy_sum"),
    "varentropy_mean": Column("mean varentropy", "nats²/token"),
    "varentropy_last": Column("last-token varentropy", "nats²"),
    "varentropy_sum": Column("summed varentropy", "nats²"),
    "varentropy_per_byte": Column("varentropy per byte", "nats²/byte", "varentropy_sum"),
    "sqrt_varentropy_mean": Column("mean √varentropy", "nats/token"),
    "sqrt_varentropy_last": Column("last-token √varentropy", "nats"),
    "entropy_q05": Column("5% quantile of entropy", "nats"),
    "entropy_q25": Column("25% quantile of entropy", "nats"),
    "entropy_q50": Column("median entropy", "nats"),
    "entropy_q75": Column("75% quantile of entropy", "nats"),
    "entropy_q95": Column("95% quantile of entropy", "nats"),
    "renyi2_mean": Column("mean Rényi-2 entropy", "nats/token"),
    "nll_mean": Column("mean NLL", "nats/token"),
    "nll_sum": Column("summed NLL", "nats"),
    "perplexity": Column("perplexity", ""),
    "bits_per_byte": Column("bits per byte", "bits/byte"),
    "top1": Column("top-1 share", ""),
}
# Comparable between models that cut text into different tokens.
PER_BYTE = frozenset({"bits_per_byte", *(name for name, column in COLUMNS.items() if column.per_byte_of)})


def column_values(table: "pyarrow.Table", name: str) -> Floats:
    """[N] the numbers of a column, computed where the table holds only what they are made of; NaN for null.

    Raises:
        UserError: a name that is no number of a score table.
    """
    if name not in COLUMNS:
        raise UserError(f"there is no score {name!r}; there are {', '.join(COLUMNS)}")
    numerator = COLUMNS[name].per_byte_of
    if numerator is not None:
        size = _read(table, "bytes")
        return np.divide(_read(table, numerator), size, out=np.full_like(size, np.nan), where=size > 0)
    if name == "sqrt_varentropy_last":
        return np.sqrt(np.maximum(_read(table, "varentropy_last"), 0.0))
    return _read(table, name)


def lengths(table: "pyarrow.Table") -> Floats:
    """[N] tokens of each row."""
    return _read(table, "tokens")


def undefined_rows(table: "pyarrow.Table", name: str) -> Bools:
    """[N] rows for which a number does not exist by definition: an NLL of a row without a predicted token."""
    of_nll = name.startswith(("nll", "perplexity", "bits", "top1"))
    counted = _read(table, "nll_tokens" if of_nll else "tokens") == 0
    return counted | (_read(table, "bytes") == 0) if name in PER_BYTE else counted


def refuse_nan(values: Floats, ids: list[str], what: str) -> None:
    """Raise `UserError` naming the first row whose number is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise UserError(
            f"{what} is not a finite number in {len(bad):,} of {len(values):,} rows, first in row {ids[bad[0]]!r}; "
            "score these rows again (float32 where the model overflows in float16), or leave them out"
        )


def _read(table: "pyarrow.Table", name: str) -> Floats:
    if name not in table.column_names:
        raise UserError(f"the scores have no column {name!r}; they were written by another version: score anew")
    return np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)
