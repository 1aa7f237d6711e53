"""Rows that cannot be used: each is named with its place and the reason, and kept for the user to look at."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from entrotune.errors import UserError
from entrotune.files import open_atomic

ON_BAD_ROW = ("skip", "stop")


class RowError(ValueError):
    """Why one row cannot be used; the caller knows the row and makes it a `Reject`."""


@dataclass(frozen=True, kw_only=True)
class Reject:
    """A row that was left out. `row` is what was read: its columns, or the text where that could not be parsed."""

    source: str
    line: int | None
    id: str | None
    reason: str
    row: Any

    @property
    def where(self) -> str:
        """`file:line`, and the id where it has one of its own."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        own = self.id is not None and not place.endswith(self.id.partition("#")[0])
        return place if not own else f"{place} (id {self.id})"


class Rejects:
    """Collects rejects, or stops the work at the first one.

    Raises:
        UserError: `on_bad_row` is neither "skip" nor "stop".
    """

    def __init__(self, on_bad_row: str) -> None:
        if on_bad_row not in ON_BAD_ROW:
            raise UserError(f"on_bad_row is {on_bad_row!r}; expected one of {', '.join(ON_BAD_ROW)}")
        self.stop = on_bad_row == "stop"
        self.found: list[Reject] = []

    def add(self, reject: Reject) -> None:
        """Keep the reject; with "stop" raise `UserError` with its file, line and reason."""
        if self.stop:
            raise UserError(f"{reject.where}: {reject.reason}; mend the row, or go on without it with on_bad_row=skip")
        self.found.append(reject)


def first_reasons(rejects: Sequence[Reject], *, count: int = 3) -> str:
    """Return the first few rejects as one phrase for an error message."""
    told = "; ".join(f"{reject.where}: {reject.reason}" for reject in rejects[:count])
    more = len(rejects) - count
    return f"{told}; and {more:,} more" if more > 0 else told


def _in_json(value: Any) -> Any:
    """NaN and infinity, of which JSON has none, as the texts `nan` and `inf`; all else as it is."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {name: _in_json(item) for name, item in value.items()}
    return [_in_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def write_rejects(path: str | Path, rejects: Iterable[Reject]) -> None:
    """Write one JSON object a line: source, line, id, reason, row. The file appears whole or not at all."""
    with open_atomic(path, "wb") as file:
        for reject in rejects:
            text = json.dumps(_in_json(asdict(reject)), ensure_ascii=False, default=str)
            # A lone surrogate cannot be UTF-8; written as \udxxx it is the JSON escape that was read.
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")
