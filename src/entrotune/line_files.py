"""Files of JSON lines that grow while a command works, so that one that was killed goes on where it was."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from entrotune.errors import UserError
from entrotune.files import atomic_write_json, naming

Line = dict[str, Any]
T = TypeVar("T")


def beside(path: Path, kind: str) -> Path:
    """A file that goes with `people.jsonl`: `people.rejects.jsonl`, `people.settings.json`."""
    return path.with_name(f"{path.stem}.{kind}")


def claim(path: Path, kept: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of what is made at `path` into the file `kept`, or see that it was made with the same.

    Raises:
        UserError: a setting differs (the first one is named), or `path` exists without its settings.
    """
    if not kept.exists():
        if path.exists():
            raise UserError(f"'{path}' exists without '{kept.name}'; move it away or use overwrite")
        atomic_write_json(kept, settings)
        return
    try:
        before = dict(json.loads(kept.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UserError(f"'{kept}' is damaged, so '{path}' cannot be gone on with; use overwrite") from None
    now = json.loads(json.dumps(settings))
    for name in dict.fromkeys([*now, *before]):
        if now.get(name) != before.get(name):
            raise UserError(
                f"'{path}' was made with {name} {before.get(name)!r:.200}, not {now.get(name)!r:.200}: "
                "give the same, another place to write to, or overwrite"
            )


def lines_text(lines: Iterable[Line]) -> str:
    """JSON lines as a file holds them."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def append_lines(path: Path, lines: Sequence[Line]) -> None:
    """Add lines to a file in one write; they are on the disk when this returns."""
    if not lines:
        return
    with naming(path), path.open("ab") as file:
        file.write(lines_text(lines).encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, parse: Callable[[Line], T]) -> list[T]:
    """What `parse` makes of each line of a file; none where it does not exist. One that was not finished is cut off.

    Raises:
        UserError: a line is damaged: it is no JSON, or `parse` raises a `ValueError`, `KeyError` or `TypeError`.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):  # the process was killed within a line
        os.truncate(path, whole)
    found = []
    for number, raw in enumerate(content[:whole].splitlines(), start=1):
        try:
            found.append(parse(json.loads(raw)))
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}:{number} is damaged; mend the line, or use overwrite") from None
    return found
