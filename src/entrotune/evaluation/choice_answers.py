"""Answers to multiple-choice rows, kept as they come, so that a run that was killed goes on where it stopped."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.data import Reject
from entrotune.errors import UserError
from entrotune.evaluation.choice_likelihood import ChoiceAnswer, ChoiceReader, encode_choices, why_unanswerable
from entrotune.evaluation.choices import ChoiceRow
from entrotune.files import atomic_write_json

SCHEMA_VERSION = 1
_ENCODED_AT_ONCE = 512


class AnswerFile:
    """`answers.jsonl`: a line an answer, and `answers.settings.json`, which tells how they were made.

    Opening it drops a last line that was not written to its end.

    Raises:
        UserError: it was made with other settings (the first that differs is named) or is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings_path = path, path.with_suffix(".settings.json")
        settings = {"schema_version": SCHEMA_VERSION, **settings}
        if not self.settings_path.exists():
            if path.exists():
                raise UserError(f"'{path}' exists without '{self.settings_path.name}'; move it away or use overwrite")
            atomic_write_json(self.settings_path, settings)
        self._check(settings)
        self.answers = {answer.id: answer for answer in self._read()}

    def append(self, answers: Sequence[ChoiceAnswer]) -> None:
        """Add a batch in one write that is on the disk when this returns."""
        with self.path.open("ab") as file:
            file.write("".join(json.dumps(asdict(answer)) + "\n" for answer in answers).encode())
            file.flush()
            os.fsync(file.fileno())
        self.answers |= {answer.id: answer for answer in answers}

    def _check(self, settings: Mapping[str, Any]) -> None:
        try:
            found = json.loads(self.settings_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"'{self.settings_path}' is not JSON; use overwrite to start anew") from error
        for name in dict.fromkeys([*settings, *found]):
            if found.get(name) != settings.get(name):
                raise UserError(
                    f"'{self.path}' was made with {name} = {found.get(name)}, not {settings.get(name)}; "
                    "use the same settings to go on, another folder, or overwrite"
                )

    def _read(self) -> list[ChoiceAnswer]:
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # the process was killed within a line
            os.truncate(self.path, whole)
        answers = []
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                told = json.loads(line)
                parts = {name: tuple(told[name]) for name in ("nll", "tokens", "bytes")}
                answers.append(ChoiceAnswer(id=told["id"], **parts))
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(f"'{self.path}' line {number} is no answer; use overwrite to start anew") from error
        return answers


def answer_choices(
    reader: ChoiceReader, tokenizer: Any, rows: Sequence[ChoiceRow], kept: AnswerFile, progress: Progress | None = None
) -> list[Reject]:
    """Answer the rows that `kept` does not hold yet, batch by batch into it; returns those that cannot be answered."""
    left = [row for row in rows if row.id not in kept.answers]
    task = progress.add_task("answering", total=len(rows), completed=len(rows) - len(left)) if progress else None
    rejects: list[Reject] = []
    for start in range(0, len(left), _ENCODED_AT_ONCE):
        encoded = encode_choices(left[start : start + _ENCODED_AT_ONCE], tokenizer)
        reasons = [why_unanswerable(one, reader.context) for one in encoded]
        rejects += [
            Reject(source=one.row.source, line=one.row.line, id=one.row.id, reason=reason, row=asdict(one.row))
            for one, reason in zip(encoded, reasons, strict=True)
            if reason is not None
        ]
        answerable = [one for one, reason in zip(encoded, reasons, strict=True) if reason is None]
        for answers in reader.answers(answerable):
            kept.append(answers)
            if progress and task is not None:
                progress.advance(task, len(answers))
    if progress and task is not None:
        progress.remove_task(task)
    return rejects
