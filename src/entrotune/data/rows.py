"""The canonical row that every format becomes, and what can be said about rows without a tokenizer."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from entrotune.data.rejects import Reject
from entrotune.errors import UserError

Message = dict[str, str]
"""One turn: `{"role": "system" | "developer" | "user" | "assistant" | "tool", "content": text}`."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training or evaluation item; exactly one of `messages`, `prompt`, `text` and `input_ids` is given.

    `source` and `line` say where it was read: a line for text files, the number of the row for parquet and the hub.
    `answers` are completions of `prompt`; none where the row serves evaluation only. `extra` keeps the other columns.
    """

    id: str
    source: str
    line: int | None = None
    messages: tuple[Message, ...] | None = None
    prompt: str | tuple[Message, ...] | None = None
    answers: tuple[str, ...] = ()
    text: str | None = None
    input_ids: tuple[int, ...] | None = None
    labels: tuple[int, ...] | None = None
    references: tuple[str, ...] = ()
    checker: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RowSet:
    """What `load_rows` read: `read` records became `rows` and `rejects`, in the order of the source."""

    rows: list[Row]
    rejects: list[Reject]
    format: str
    source: str
    read: int

    def describe(self) -> str:
        """Say in one sentence, and a line per kind of reject, what was read."""
        answers = sum(len(row.answers) for row in self.rows)
        told = f" with {answers:,} answers" if self.format == "answers" else ""
        told += " (prompts without answers: for evaluation only)" if self.format == "prompt" else ""
        lines = [
            f"{self.source}: read {self.read:,} rows as {self.format}: {len(self.rows):,} usable{told}, "
            f"{len(self.rejects):,} rejected."
        ]
        # The same fault names different values ("7 cells", "9 cells"): the words before the details make the kind.
        kinds = Counter(reject.reason.split(": ")[0] for reject in self.rejects)
        first = {reject.reason.split(": ")[0]: reject.where for reject in reversed(self.rejects)}
        lines += [f"  {count:,} × {kind} (first at {first[kind]})" for kind, count in kinds.most_common(5)]
        return "\n".join(lines)


def prompt_messages(row: Row) -> tuple[Message, ...] | None:
    """Return the turns before the answer, or `None` for plain text and pretokenised rows."""
    if row.messages is not None:
        return row.messages[:-1]
    if isinstance(row.prompt, str):
        return ({"role": "user", "content": row.prompt},)
    return row.prompt


def answers_of(row: Row) -> tuple[str, ...]:
    """Return the row's answers: its `answers`, or the last turn of its `messages`."""
    return (row.messages[-1]["content"],) if row.messages is not None else row.answers


def prompt_key(row: Row, *, ignore_case: bool = True) -> str:
    """Return a text that rows with the same prompt share.

    A string prompt equals the chat of one user turn that holds it. With `ignore_case`, case and the amount of
    white space do not count. Plain text is its own prompt; a pretokenised row's is the tokens that are not supervised.
    """

    def normal(text: str) -> str:
        return " ".join(text.casefold().split()) if ignore_case else text

    messages = prompt_messages(row)
    if messages:
        return json.dumps([[message["role"], normal(message["content"])] for message in messages])
    if row.input_ids is not None:
        pairs = zip(row.input_ids, row.labels or row.input_ids, strict=True)
        prompt = [token for token, label in pairs if label == -100]
        return json.dumps(["tokens", *(prompt if prompt and len(prompt) < len(row.input_ids) else row.input_ids)])
    return json.dumps(["text", normal(row.text if row.text is not None else answers_of(row)[0])])


def merge_answers(rows: Iterable[Row], *, ignore_case: bool = False) -> list[Row]:
    """Merge rows with the same prompt into one row with all their answers, in the order of first appearance.

    Repeated answers are kept: how often people gave an answer is part of the distribution to learn. The first row of
    a prompt gives id, spelling, checker and extra columns; references are joined without repetition.

    Raises:
        UserError: a row has no prompt (plain text, pretokenised).
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if not prompt_messages(row):
            raise UserError(f"row {row.id} has no prompt to merge by; merging needs rows with a prompt and answers")
        groups.setdefault(prompt_key(row, ignore_case=ignore_case), []).append(row)
    return [_merged(group) for group in groups.values()]


def _merged(group: Sequence[Row]) -> Row:
    first = group[0]
    return replace(
        first,
        messages=None,
        prompt=first.prompt if first.prompt is not None else prompt_messages(first),
        answers=tuple(answer for row in group for answer in answers_of(row)),
        references=tuple(dict.fromkeys(reference for row in group for reference in row.references)),
    )


def row_content(row: Row) -> dict[str, Any]:
    """Return what the row says, without where it was read: only the fields that are given, ready for JSON."""
    names = ("messages", "prompt", "answers", "text", "input_ids", "labels", "references", "checker")
    return {name: value for name in names if (value := getattr(row, name)) not in (None, ())}


def fingerprint(rows: Iterable[Row]) -> str:
    """Return a SHA-256 (hex) of what the rows say, in order; ids, file names and extra columns do not count."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row_content(row), sort_keys=True, default=str).encode("ascii") + b"\n")
    return digest.hexdigest()


def texts_of(row: Row, *, need: str) -> list[str]:
    """All that a row says: its text, or its turns, or its prompt and answers.

    Args:
        need: what text is wanted for, to be told where there is none.

    Raises:
        UserError: the row has tokens of a tokenizer instead.
    """
    if row.text is not None:
        return [row.text]
    if row.messages is not None:
        return [message["content"] for message in row.messages]
    if row.prompt is None:
        raise UserError(f"{row.source}:{row.line} has tokens and no text; {need}")
    prompt = [row.prompt] if isinstance(row.prompt, str) else [message["content"] for message in row.prompt]
    return [*prompt, *answers_of(row)]
