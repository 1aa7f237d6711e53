"""Records as they lie in a source, before anything is asked of their columns."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a source: its columns, or the `problem` that kept them from being read.

    `cells` says that every value is a text of a table, where lists and objects are written as JSON. `on_line` counts
    the records that begin on one line of a .json file, from 1.
    """

    source: str
    line: int | None
    content: Any
    problem: str | None = None
    cells: bool = False
    on_line: int = 1

    @property
    def name(self) -> str:
        """What a record without an id of its own is called: `file:line`, and `file:line.2` for the second of a line."""
        place = f"{Path(self.source).name}:{self.line}"
        return place if self.on_line == 1 else f"{place}.{self.on_line}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


# Lists and objects in each other. What reads and writes JSON goes down a few hundred at least, and data much less.
_DEEPEST = 100


class _StrictDecoder(json.JSONDecoder):
    """Refuses NaN and Infinity, which Python would take, and what is nested so deeply that it could not be written."""

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        value, end = super().raw_decode(s, idx)
        if s.count("[", idx, end) + s.count("{", idx, end) > _DEEPEST and _is_deep(value):
            raise RecursionError
        return value, end


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST + 1):
        nested = [item for item in level if isinstance(item, (dict, list)) and item]
        if not nested:
            return False
        level = [inner for item in nested for inner in (item.values() if isinstance(item, dict) else item)]
    return True


JSON_DECODER = _StrictDecoder(parse_constant=_refuse_constant)


def json_problem(error: Exception) -> str:
    """Say why a text is not JSON."""
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON: {error.msg} at column {error.colno}"
    return f"invalid JSON: {'nested too deeply' if isinstance(error, RecursionError) else error}"


def is_unicode(value: Any) -> bool:
    """Tell whether every string inside holds only characters that UTF-8 can write (no lone surrogate)."""
    if isinstance(value, str):
        with contextlib.suppress(UnicodeEncodeError):
            value.encode("utf-8")
            return True
        return False
    if isinstance(value, dict):
        return all(is_unicode(key) and is_unicode(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_unicode(item) for item in value)
    return True


def is_json(text: str, kind: type) -> bool:
    """Tell whether a text is one JSON value of a kind, such as `dict` for an object."""
    try:
        return isinstance(JSON_DECODER.decode(text.strip()), kind)
    except (ValueError, RecursionError):
        return False


def bad_byte(raw: bytes) -> str | None:
    """Name the first byte that is not UTF-8, or return `None`."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line"
    return None
