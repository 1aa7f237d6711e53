"""Plain text files: a line, a paragraph or a whole file is a row."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from entrotune.data.records import Record, bad_byte, is_json
from entrotune.errors import UserError

TEXT_UNITS = ("line", "paragraph", "file")
_BOM = b"\xef\xbb\xbf"


def read_text(path: Path, *, unit: str = "line") -> Iterator[Record]:
    """Yield the texts of a file, one unit in memory at a time; a unit of white space only is no record.

    Args:
        unit: `line`, `paragraph` (lines up to the next blank one) or `file`. A record's line is its first.

    Raises:
        UserError: there is no such unit.
    """
    if unit not in TEXT_UNITS:
        raise UserError(f"text_unit is {unit!r}; expected one of {', '.join(TEXT_UNITS)}")
    if unit == "file":
        yield from _records(path, [(1, path.read_bytes().removeprefix(_BOM))])
        return
    with path.open("rb") as file:
        if is_json(file.readline().removeprefix(_BOM).decode("utf-8", "surrogateescape"), dict):
            warnings.warn(
                f"{path}: its lines look like JSON objects and are read as plain text; name it .jsonl if they are rows",
                UserWarning,
                stacklevel=2,
            )
        file.seek(0)
        lines = ((number, raw.removeprefix(_BOM) if number == 1 else raw) for number, raw in enumerate(file, start=1))
        yield from _records(path, lines if unit == "line" else _paragraphs(lines))


def _paragraphs(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    first, held = 0, b""
    for number, raw in lines:
        if raw.strip():
            first = first if held else number
            held += raw
        elif held:
            yield first, held
            held = b""
    yield first, held


def _records(path: Path, units: Iterable[tuple[int, bytes]]) -> Iterator[Record]:
    for line, raw in units:
        if not raw.strip():
            continue
        problem = bad_byte(raw)
        if problem is not None:
            yield Record(str(path), line, raw.decode("utf-8", "backslashreplace"), problem)
        else:
            yield Record(str(path), line, {"text": raw.decode("utf-8").replace("\r\n", "\n").rstrip("\n")})
