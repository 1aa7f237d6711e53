"""JSON lines, and JSON files that hold one list; both keep the line numbers of their records."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrotune.data.records import JSON_DECODER, Record, bad_byte, is_json, json_problem
from entrotune.errors import UserError

_SPACE = re.compile(r"[ \t\r\n]*")
_LIST_OF_OBJECTS = re.compile(rb"\s*\[\s*\{")
_PEEKED = 256
_BOM = b"\xef\xbb\xbf"


def read_json_lines(path: Path) -> Iterator[Record]:
    """Yield a record a line, one line in memory at a time; blank lines are no records.

    A file that is one list of objects is read as `read_json` does.
    """
    if _is_one_list(path):
        yield from read_json(path)
        return
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = raw.removeprefix(_BOM) if number == 1 else raw
            if line.strip():
                yield _json_line(str(path), number, line.strip(b" \t\r\n"))


def _json_line(source: str, number: int, raw: bytes) -> Record:
    problem = bad_byte(raw)
    if problem is not None:
        return Record(source, number, raw.decode("utf-8", "backslashreplace"), problem)
    text = raw.decode("utf-8")
    try:
        return Record(source, number, JSON_DECODER.decode(text))
    except (ValueError, RecursionError) as error:
        return Record(source, number, text, json_problem(error))


def read_json(path: Path) -> Iterator[Record]:
    """Yield the items of a list, or of the list under "data" of an object; JSON lines are read as such.

    Bytes that are not UTF-8 become lone surrogates, so that only the items that hold them are rejected.

    Raises:
        UserError: the file is not JSON (the place is named), or holds no list.
    """
    text = path.read_bytes().removeprefix(_BOM).decode("utf-8", "surrogateescape")
    start = _after_space(text, 0)
    if text.startswith("{", start) and _is_json_lines(text):
        yield from read_json_lines(path)
        return
    try:
        begin = _list_start(text, start)
        if begin is None:
            raise UserError(f'{path} holds no list of rows; expected a list of objects or {{"data": [...]}}')
        yield from _items(str(path), text, begin)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: {json_problem(error)}; mend the file") from None
    except RecursionError as error:
        raise UserError(f"{path}: {json_problem(error)}; expected a list of objects") from None


def _is_one_list(path: Path) -> bool:
    """Tell whether the file is a list that begins with an object; read whole only where it seems so."""
    with path.open("rb") as file:
        if not _LIST_OF_OBJECTS.match(file.read(_PEEKED).removeprefix(_BOM)):
            return False
    return is_json(path.read_bytes().removeprefix(_BOM).decode("utf-8", "surrogateescape"), list)


def _is_json_lines(text: str) -> bool:
    """Tell whether the first line is a whole object and more follows."""
    first, _, rest = text.strip().partition("\n")
    return bool(rest.strip()) and is_json(first, dict)


def _list_start(text: str, start: int) -> int | None:
    """Return where the list begins that is the file, or that its object has under the key "data"."""
    if not text.startswith("{", start):
        return start if text.startswith("[", start) else None
    position = _after_space(text, start + 1)
    while not text.startswith("}", position):
        key, position = _value(text, position)
        position = _after_space(text, _expect(text, position, ":"))
        if key == "data":
            return position if text.startswith("[", position) else None
        _, position = _value(text, position)
        if not text.startswith("}", position):
            position = _after_space(text, _expect(text, position, ","))
    return None


def _items(source: str, text: str, begin: int) -> Iterator[Record]:
    line, counted, on_line = 1, 0, 0
    position = _after_space(text, begin + 1)
    while not text.startswith("]", position):
        further = text.count("\n", counted, position)
        line, counted, on_line = line + further, position, 1 if further else on_line + 1
        item, position = _value(text, position)
        yield Record(source, line, item, on_line=on_line)
        if not text.startswith("]", position):
            position = _after_space(text, _expect(text, position, ","))


def _value(text: str, position: int) -> tuple[Any, int]:
    try:
        value, end = JSON_DECODER.raw_decode(text, position)
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # NaN, or a number with too many digits
        raise json.JSONDecodeError(str(error), text, position) from None
    return value, _after_space(text, end)


def _expect(text: str, position: int, mark: str) -> int:
    if not text.startswith(mark, position):
        raise json.JSONDecodeError(f"expected {mark!r}", text, position)
    return position + 1


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()
