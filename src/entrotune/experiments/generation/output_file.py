"""Responses on disk: appended as they come, so that a command that was killed goes on where it was."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entrotune.files import atomic_write_json, atomic_write_text
from entrotune.line_files import Line, append_lines, beside, claim, lines_text, read_lines

SCHEMA_VERSION = 1

Key = tuple[str, int]


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
        self.lines = _by_key(path)
        self.rejects = _by_key(beside(path, "rejects.jsonl"))

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
                    path, lines_text(sorted(lines.values(), key=lambda one: (place[one["prompt_id"]], one["index"])))
                )
        if selected:
            atomic_write_text(beside(self.path, "selected.jsonl"), lines_text(selected))
        atomic_write_json(beside(self.path, "summary.json"), dict(summary))


def _key(line: Mapping[str, Any]) -> Key:
    return line["prompt_id"], line["index"]


def _by_key(path: Path) -> dict[Key, Line]:
    return dict(read_lines(path, lambda line: (_key(line), line)))
