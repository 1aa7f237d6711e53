"""Records as they lie in a source, before anything is asked of their columns."""

import contextlib
import json
from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a source: its columns, or the `problem` that kept them from being read.

    `cells` says that every value is a text of a table, where lists and objects are written as JSON.
    """

    source: str
    line: int | None
    content: Any
    problem: str | None = None
    cells: bool = False


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


JSON_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""Strict: NaN and Infinity, which Python would take, are refused."""


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


def bad_byte(raw: bytes) -> str | None:
    """Name the first byte that is not UTF-8, or return `None`."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line"
    return None
