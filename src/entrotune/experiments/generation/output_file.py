"""Responses on disk: appended as they come, so that a command that was killed goes on where it was."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from entrotune.errors import UserError
from entrotune.files import atomic_write_json, atomic_write_text

SCHEMA_VERSION = 1

Line = dict[str, Any]
Key = tuple[str, int]
K = TypeVar("K")


def beside(path: Path, kind: str) -> Path:
    """A file that goes with `people.jsonl`: `people.rejects.jsonl`, `people.settings.json`."""
    return path.with_name(f"{path.stem}.{kind}")


class OutputFile:
    """Usable responses in `path`, rejected ones with their reason in `.rejects.jsonl`, settings in `.settings.json`.

    Without a path everything stays in memory.

    Raises:
        UserError: the file was made with other settings (the first that differs is named) or is damaged.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.path = path
        self.lines: dict[Key, Line] = {}
        self.rejects: dict[Key, Line] = {}
        if path is None:
            return
        if overwrite:
            for kind in ("rejects.jsonl", "settings.json", "summary.json", "selected.jsonl", "prompt-rejects.jsonl"):
                beside(path, kind).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        claim(path, beside(path, "settings.json"), {"schema_version": SCHEMA_VERSION, **settings})
        self.lines = read_lines(path, _key)
        self.rejects = read_lines(beside(path, "rejects.jsonl"), _key)

    @property
    def done(self) -> set[Key]:
        """Prompt id and index of what is there already."""
        return self.lines.keys() | self.rejects.keys()

    def append(self, lines: Sequence[Line]) -> None:
        """Add responses; they are on the disk when this returns. Those with a `reason` are rejects."""
        good = [line for line in lines if "reason" not in line]
        bad = [line for line in lines if "reason" in line]
        self.lines |= {_key(line): line for line in good}
        self.rejects |= {_key(line): line for line in bad}
        if self.path is not None:
            append_lines(self.path, good)
            append_lines(beside(self.path, "rejects.jsonl"), bad)

    def finish(self, order: Sequence[str], n: int, selected: Sequence[Line], summary: Mapping[str, Any]) -> None:
        """Bring all lines into the order of prompts and indices, and write what was chosen and the summary."""
        if self.path is None:
            return
        place = {prompt: at for at, prompt in enumerate(order)}
        for path, lines in ((self.path, self.lines), (beside(self.path, "rejects.jsonl"), self.rejects)):
            if lines or path == self.path:
                atomic_write_text(
                    path, _text(sorted(lines.values(), key=lambda one: (place[one["prompt_id"]], one["index"])))
                )
        if selected:
            atomic_write_text(beside(self.path, "selected.jsonl"), _text(selected))
        atomic_write_json(beside(self.path, "summary.json"), dict(summary))


def claim(path: Path, kept: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of what is made at `path` into the file `kept`, or see that it was made with the same.

    Raises:
        UserError: a setting differs, or `path` exists without its settings.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        if path.exists():
            raise UserError(f"'{path}' exists without '{kept.name}'; move it away or use overwrite")
        atomic_write_json(kept, settings)
        return
    before = json.loads(kept.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(settings))
    for name in now.keys() | before.keys():
        if now.get(name) != before.get(name):
            raise UserError(
                f"'{path}' was made with {name} {before.get(name)!r:.200}, not {now.get(name)!r:.200}: "
                "give the same, another file, or overwrite"
            )


def _key(line: Mapping[str, Any]) -> Key:
    return line["prompt_id"], line["index"]


def _text(lines: Iterable[Line]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def append_lines(path: Path, lines: Sequence[Line]) -> None:
    """Add lines to a file; they are on the disk when this returns."""
    if not lines:
        return
    with path.open("ab") as file:
        file.write(_text(lines).encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, key: Callable[[Line], K]) -> dict[K, Line]:
    """The lines of a file by their keys; one that was not finished is cut off.

    Raises:
        UserError: a line is damaged.
    """
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):  # the process was killed within a line
        os.truncate(path, whole)
    found: dict[K, Line] = {}
    for number, raw in enumerate(content[:whole].splitlines(), start=1):
        try:
            line = json.loads(raw)
            found[key(line)] = line
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}:{number} is damaged; mend the line, or use overwrite") from None
    return found
