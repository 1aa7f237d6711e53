"""Rows to texts whose likelihood is asked for, with what stands before them and which of their characters count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entrotune.data import Reject, Row, answers_of
from entrotune.data.rejects import Rejects, RowError
from entrotune.data.rows import row_content
from entrotune.errors import UserError
from entrotune.scoring.perplexity.sizes import Mask
from entrotune.scoring.sequences import raw_texts

Spans = Sequence[Sequence[int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One text to score.

    Attributes:
        id: of its row, or `row#0`, `row#1`, … where that has several answers.
        row: where it comes from.
        context: stands before the text and is not scored; may be empty.
        text: what is scored.
        counted: [characters of `text`] those that count; a token counts if any of its characters does.
    """

    id: str
    row: Row
    context: str
    text: str
    counted: Mask


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What of a row is scored.

    Attributes:
        context: a text that stands before each.
        context_column: the column that stands before the text of its own row; `prompt` for that of rows with answers.
        separator: between context and text; not scored.
        spans: [start, end) in characters of each text; only they are scored.
        spans_column: the column with the spans of its own row.
    """

    context: str | None = None
    context_column: str | None = None
    separator: str = ""
    spans: Spans | None = None
    spans_column: str | None = None

    def check(self) -> None:
        """Raise `UserError` for what excludes each other."""
        if self.context is not None and self.context_column is not None:
            raise UserError("context and context_column exclude each other; give one of them")
        if self.spans is not None and self.spans_column is not None:
            raise UserError("spans and spans_column exclude each other; give one of them")
        if self.separator and self.context is None and self.context_column is None:
            raise UserError("separator stands between a context and the text; give a context or a context_column too")


def texts_of(rows: Sequence[Row], parts: Parts, rejects: Rejects) -> list[Text]:
    """The texts of rows; what cannot be scored goes to `rejects`.

    Raises:
        UserError: no row has a column that is named.
    """
    parts.check()
    for name in (parts.context_column, parts.spans_column):
        if name is not None:
            check_column(rows, name)
    found = []
    for row in rows:
        try:
            found += _texts(row, parts)
        except RowError as error:
            rejects.add(reject(row, row.id, str(error)))
    return found


def reject(row: Row, id: str, reason: str) -> Reject:
    """The reject of a row, or of one of its answers."""
    return Reject(source=row.source, line=row.line, id=id, reason=reason, row=row_content(row))


def check_column(rows: Sequence[Row], name: str) -> None:
    """Raise `UserError` where no row has the column."""
    have = dict.fromkeys(key for row in rows for key in (*row.extra, *row_content(row)))
    if name not in have:
        raise UserError(f"no row has a column {name!r}; they have {', '.join(map(repr, have)) or 'none'}")


def column(row: Row, name: str) -> Any:
    """What a row has in a column.

    Raises:
        RowError: nothing.
    """
    value = row.extra[name] if name in row.extra else row_content(row).get(name)
    if value is None:
        raise RowError(f"missing column: {name}")
    return value


def _texts(row: Row, parts: Parts) -> list[Text]:
    if row.input_ids is not None:
        raise RowError("tokens and no text: bytes and words are counted in text, and each model has tokens of its own")
    context, texts = _split(row, parts)
    spans = parts.spans if parts.spans_column is None else column(row, parts.spans_column)
    made = []
    for index, text in enumerate(texts):
        if not text:
            raise RowError("empty: there is no text to score")
        made.append(
            Text(
                id=row.id if len(texts) == 1 else f"{row.id}#{index}",
                row=row,
                context=context + parts.separator if context else "",
                text=text,
                counted=np.ones(len(text), dtype=bool) if spans is None else _marked(spans, len(text)),
            )
        )
    return made


def _split(row: Row, parts: Parts) -> tuple[str, Sequence[str]]:
    """What stands before the texts of a row, and the texts."""
    if parts.context_column is None:
        return parts.context or "", raw_texts(row)
    if parts.context_column == "prompt" and isinstance(row.prompt, str):
        if not row.answers:
            raise RowError("missing column: the answer to the prompt")
        return row.prompt, answers_of(row)
    context = column(row, parts.context_column)
    if not isinstance(context, str):
        raise RowError(f"wrong type: the context in {parts.context_column} is {type(context).__name__}, expected text")
    return context, raw_texts(row)


def _marked(spans: Any, length: int) -> Mask:
    """Which of `length` characters lie in one of the spans."""
    marked = np.zeros(length, dtype=bool)
    if not isinstance(spans, list | tuple) or not spans:
        raise RowError(f"wrong spans: expected a list of [start, end] in characters, got {spans!r:.60}")
    for span in spans:
        whole = isinstance(span, list | tuple) and len(span) == 2 and all(type(end) is int for end in span)
        if not whole:
            raise RowError(f"wrong spans: expected [start, end] in characters, got {span!r:.60}")
        start, end = span
        if not 0 <= start < end <= length:
            raise RowError(f"span out of range: [{start}, {end}] in a text of {length:,} characters")
        marked[start:end] = True
    return marked
