"""Answers to multiple-choice rows, kept as they come, so that a run that was killed goes on where it stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.data import Reject
from entrotune.evaluation.choice_likelihood import ChoiceAnswer, ChoiceReader, encode_choices, why_unanswerable
from entrotune.evaluation.choices import ChoiceRow
from entrotune.line_files import Line, append_lines, beside, claim, read_lines

SCHEMA_VERSION = 1
_ENCODED_AT_ONCE = 512


class AnswerFile:
    """`answers.jsonl`: a line an answer, and `answers.settings.json`, which tells how they were made.

    Opening it drops a last line that was not written to its end.

    Raises:
        UserError: it was made with other settings (the first that differs is named) or is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        claim(path, beside(path, "settings.json"), {"schema_version": SCHEMA_VERSION, **settings})
        self.answers = {answer.id: answer for answer in read_lines(path, _answer)}

    def append(self, answers: Sequence[ChoiceAnswer]) -> None:
        """Add a batch in one write that is on the disk when this returns."""
        append_lines(self.path, [asdict(answer) for answer in answers])
        self.answers |= {answer.id: answer for answer in answers}


def _answer(told: Line) -> ChoiceAnswer:
    return ChoiceAnswer(id=told["id"], **{name: tuple(told[name]) for name in ("nll", "tokens", "bytes")})


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
