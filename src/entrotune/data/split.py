"""Training and validation rows that share no prompt."""

import hashlib
import math
from collections.abc import Sequence

from entrotune.data.rows import Row, prompt_key
from entrotune.errors import UserError


def split_rows(rows: Sequence[Row], *, validation: float | int, seed: int) -> tuple[list[Row], list[Row]]:
    """Split into (training, validation); rows whose prompts differ only in case or white space stay together.

    Prompts go to validation in the order of a hash of seed and prompt while they fit, so the split is the same in any
    process and hardly changes when rows are added. Both sides keep the order of `rows`.

    Args:
        validation: a share of the rows (float between 0 and 1) or a number of rows (int). It is met exactly where the
            sizes of the groups with one prompt allow, else from below; at least one group is taken.
        seed: another seed gives another split.

    Raises:
        UserError: `validation` is no such number, or nothing would be left on a side.
    """
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(prompt_key(row), []).append(index)
    if len(groups) < 2:
        raise UserError(
            f"there is only one different prompt among the usable rows ({len(rows):,}), so none can be held out for "
            "validation; expected at least 2, or another file as validation"
        )
    wanted = _wanted(validation, len(rows))
    chosen: set[int] = set()
    ordered = sorted(groups, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    for key in ordered:
        if len(chosen) + len(groups[key]) <= wanted:
            chosen.update(groups[key])
    if not chosen:
        chosen.update(groups[min(ordered, key=lambda key: len(groups[key]))])
    training = [row for index, row in enumerate(rows) if index not in chosen]
    return training, [row for index, row in enumerate(rows) if index in chosen]


def _wanted(validation: float | int, count: int) -> int:
    """Return the number of validation rows that a share or a number asks for."""
    if isinstance(validation, bool) or not isinstance(validation, (int, float)) or not math.isfinite(validation):
        raise UserError(f"validation is {validation!r}; expected a share between 0 and 1 or a number of rows")
    if isinstance(validation, float) and not 0 < validation < 1:
        raise UserError(f"validation is {validation}; a share lies between 0 and 1 (a number of rows is an integer)")
    if isinstance(validation, int) and not 1 <= validation < count:
        raise UserError(
            f"validation is {validation} of {count} rows; expected 1 to {count - 1}, to leave both sides rows"
        )
    return validation if isinstance(validation, int) else min(max(1, round(validation * count)), count - 1)
