"""Multiple-choice rows: a context, endings to choose from and the number of the right one (HellaSwag's format)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrotune.data import Reject
from entrotune.data.parse import parse_id
from entrotune.data.records import JSON_DECODER, Record, is_unicode
from entrotune.data.rejects import RowError, first_reasons
from entrotune.data.sources import open_source
from entrotune.errors import UserError

COLUMNS = ("ctx", "endings", "label")


@dataclass(frozen=True, kw_only=True)
class ChoiceRow:
    """One task. `label` counts from 0; None where the row does not say which ending is right."""

    id: str
    source: str
    line: int | None
    context: str
    endings: tuple[str, ...]
    label: int | None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ChoiceSet:
    """What was read: `read` records became `rows` and `rejects`."""

    source: str
    read: int
    rows: list[ChoiceRow]
    rejects: list[Reject]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ids, contexts, endings and labels, in order."""
        told = hashlib.sha256()
        for row in self.rows:
            told.update(json.dumps([row.id, row.context, row.endings, row.label]).encode() + b"\n")
        return told.hexdigest()


def load_choices(source: str, *, limit: int | None = None) -> ChoiceSet:
    """Read rows with `ctx`, `endings` and `label` from any source of rows; unusable ones become rejects.

    A row's id is its column `id`, else file and line, as everywhere.

    Raises:
        UserError: no such source, no row at all, or none that can be used.
    """
    rows: list[ChoiceRow] = []
    rejects: list[Reject] = []
    seen: set[str] = set()
    read = 0
    for record in open_source(source, split="validation", limit=limit):
        if limit is not None and len(rows) >= limit:
            break
        read += 1
        try:
            row = _parsed(record)
            if row.id in seen:
                raise RowError(f"duplicate id: {row.id!r} was used before")
        except RowError as error:
            rejects.append(
                Reject(source=record.source, line=record.line, id=None, reason=str(error), row=record.content)
            )
            continue
        seen.add(row.id)
        rows.append(row)
    if not rows:
        why = first_reasons(rejects) if rejects else "it holds no row"
        raise UserError(f"{source} has no usable multiple-choice row: {why}")
    return ChoiceSet(source=source, read=read, rows=rows, rejects=rejects)


def _parsed(record: Record) -> ChoiceRow:
    if record.problem is not None:
        raise RowError(record.problem)
    content = record.content
    if not isinstance(content, dict) or "ctx" not in content or "endings" not in content:
        raise RowError("missing column: multiple-choice rows need ctx and endings")
    if not is_unicode(content):
        raise RowError("not Unicode: a text holds half of a surrogate pair")
    context, endings = content["ctx"], _listed(content["endings"])
    if not isinstance(context, str) or not context.strip():
        raise RowError("empty: ctx is not a text with words")
    if len(endings) < 2 or not all(isinstance(ending, str) and ending.strip() for ending in endings):
        raise RowError("wrong type: endings are not two or more texts with words")
    return ChoiceRow(
        id=parse_id(content.get("id")) or record.name,
        source=record.source,
        line=record.line,
        context=context,
        endings=tuple(endings),
        label=_label(content.get("label"), len(endings)),
        extra={name: value for name, value in content.items() if name not in (*COLUMNS, "id")},
    )


def _listed(endings: Any) -> Sequence[Any]:
    """A list, or the JSON of one in a cell of a table."""
    if isinstance(endings, str):
        try:
            endings = JSON_DECODER.decode(endings)
        except (ValueError, RecursionError):
            raise RowError("wrong type: endings are a text that is no JSON list") from None
    if not isinstance(endings, list | tuple):
        raise RowError(f"wrong type: endings are a {type(endings).__name__}, expected a list of texts")
    return endings


def _label(value: Any, endings: int) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < endings:
        raise RowError(f"wrong label: {value!r} is no number of one of {endings} endings, counted from 0")
    return value
