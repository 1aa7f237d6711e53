"""The formats of rows: which columns each needs, how one is recognised, and how columns are renamed."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.data.records import Record
from entrotune.data.rejects import RowError
from entrotune.data.table_files import structured_cell
from entrotune.errors import UserError

Columns = Mapping[str, str | Sequence[str]]
"""Our name of a column → its name in the file; several names are joined by a line end.

A name may be a way into a column (`answers.text`, `instances.0.output`), or a place in a table without a header (`#2`).
"""

ANY_FORMAT = frozenset({"id", "references", "checker"})
# Columns that hold one text: what is mapped to them may be a number or a list of texts.
_TEXTS = frozenset({"prompt", "completion", "instruction", "input", "output", "text"})
_PLACE = re.compile(r"#[1-9]\d*")
_ABSENT = object()


@dataclass(frozen=True)
class Format:
    """A format by name: columns it must have, and columns it may have beside `ANY_FORMAT`."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """Every column the format knows."""
        return ANY_FORMAT.union(self.required, self.optional)


# In the order of recognition: the more a format asks for, the earlier.
FORMATS = (
    Format("pretokenised", ("input_ids",), ("labels", "attention_mask")),
    Format("answers", ("prompt", "answers")),
    Format("answers", ("messages", "answers")),
    Format("answers", ("conversations", "answers")),
    Format("messages", ("messages",)),
    Format("sharegpt", ("conversations",)),
    Format("prompt_completion", ("prompt", "completion")),
    Format("alpaca", ("instruction", "output"), ("input",)),
    Format("text", ("text",)),
    Format("prompt", ("prompt",)),
)
FORMAT_NAMES = tuple(dict.fromkeys(format.name for format in FORMATS))
CANONICAL = ANY_FORMAT.union(*(format.columns for format in FORMATS))


def check_columns(columns: Columns) -> None:
    """Raise `UserError` where a mapping names a column that is not one of ours, or maps one to no name."""
    unknown = sorted(set(columns) - CANONICAL)
    if unknown:
        raise UserError(
            f"columns maps {unknown[0]!r}, which is no column here; expected {', '.join(sorted(CANONICAL))}"
        )
    for name, given in columns.items():
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, (list, tuple)) or not names or not all(isinstance(one, str) for one in names):
            raise UserError(
                f"columns maps {name!r} to {given!r}; expected the name of a column in the file, or a list of names"
            )


def mapped_names(columns: Columns, name: str) -> tuple[str, ...]:
    """Return the columns of the file that make up our column `name`."""
    given = columns[name]
    return (given,) if isinstance(given, str) else tuple(given)


def has_header(columns: Columns) -> bool:
    """Whether a table has a header: it has none where its columns are told by their places, `#1`, `#2`.

    Raises:
        UserError: some are told by place and others by name.
    """
    names = [file_name for name in columns for file_name in mapped_names(columns, name)]
    places = [name for name in names if _PLACE.fullmatch(name)]
    if places and len(places) < len(names):
        named = next(name for name in names if name not in places)
        raise UserError(
            f"columns names {places[0]!r} by its place, as in a table without a header, and {named!r} by its name; "
            "use one of the two"
        )
    return not places


def _value_at(content: Mapping[str, Any], name: str) -> Any:
    """The value of a column, or of a way into one; `_ABSENT` where there is none."""
    if name in content:
        return content[name]
    found: Any = content
    for step in name.split("."):
        if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return _ABSENT
    return found


def canonical_fields(record: Record, columns: Columns) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a record into our columns, after renaming, and the extra ones.

    Raises:
        RowError: the record lacks a column that is mapped.
    """
    content = record.content
    used = {file_name for name in columns for file_name in mapped_names(columns, name)}
    values = {file_name: _value_at(content, file_name) for file_name in used}
    missing = sorted(file_name for file_name, value in values.items() if value is _ABSENT)
    if missing:
        raise RowError(f"missing column: {missing[0]}")
    fields = {name: _mapped([values[file_name] for file_name in mapped_names(columns, name)], name) for name in columns}
    # What is learnt from is renamed; references, a checker or an id are taken beside what else their column is.
    renamed = {file_name for name in columns.keys() - ANY_FORMAT for file_name in mapped_names(columns, name)}
    fields |= {name: content[name] for name in CANONICAL - fields.keys() - renamed if name in content}
    if record.cells:
        fields = {name: structured_cell(name, value) for name, value in fields.items()}
    extra = {name: value for name, value in content.items() if name not in fields and name not in used}
    return fields, extra


def _mapped(values: list[Any], name: str) -> Any:
    """What is mapped to our column: a text for columns of texts, where it can be one, else the value itself."""
    if name not in _TEXTS and len(values) == 1:
        return values[0]
    texts = [_as_text(value) for value in values]
    for value, text in zip(values, texts, strict=True):
        if text is None and len(values) > 1:
            raise RowError(f"wrong type: only texts, numbers and lists of texts can be joined, got {_kind(value)}")
    if len(values) == 1:
        return values[0] if texts[0] is None else texts[0]
    return "\n".join(text for text in texts if text and text.strip())


def _as_text(value: Any) -> str | None:
    """A text, a number as it is written, or a list of texts as lines; None for what is none of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return number_text(value)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "\n".join(item for item in value if item.strip())
    return None


def number_text(value: float) -> str:
    """A finite number without a point where it is whole: 51.0 → `51`."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _kind(value: Any) -> str:
    return type(value).__name__


def has_columns(record: Record) -> bool:
    """Tell whether a record was read and has columns at all."""
    return record.problem is None and isinstance(record.content, dict) and bool(record.content)


def choose_format(sample: Sequence[Record], *, format: str, columns: Columns, source: str) -> str:
    """Return the format that most records of the sample have, or check the one that was asked for.

    Raises:
        UserError: a mapped column is in no record, no format fits, or the one asked for lacks its columns.
    """
    records = [record.content for record in sample if has_columns(record)]
    present = list(dict.fromkeys(str(name) for content in records for name in content))
    for name in columns:
        for file_name in mapped_names(columns, name):
            if records and all(_value_at(content, file_name) is _ABSENT for content in records):
                raise UserError(f"{source} has no column {file_name!r} (for {name}); it has {_listed(present)}")
    if format != "auto":
        _check_asked(format, records, present, columns, source)
        return format
    votes = Counter(found for content in records if (found := _recognise(content, columns)))
    if votes:
        return votes.most_common(1)[0][0]
    found = _recognise(dict.fromkeys(present, ""), columns)
    if found is None and records:
        raise UserError(
            f"{source} has the columns {_listed(present)}, which fit no format; expected {_formats()}; "
            f"{_advice(present)}"
        )
    return found or "unknown"


def _advice(present: Sequence[str]) -> str:
    """What to do about columns that fit no format."""
    if len(present) == 1:
        for separator, called in ((";", "semicolons"), ("|", "bars"), ("\t", "tabs")):
            if separator in present[0]:
                return f"the cells seem to be separated by {called}; save it with commas, or as .tsv with tabs"
    return (
        """name the columns to use, as with --columns '{"prompt": "question", "completion": "answer"}'; of a file """
        """without a line of names they are "#1", "#2", …"""
    )


def _recognise(content: Mapping[str, Any], columns: Columns) -> str | None:
    mapped = set(columns) - ANY_FORMAT
    names = set(columns) | {name for name, value in content.items() if value is not None}
    for format in FORMATS:
        if names.issuperset(format.required) and mapped <= format.columns:
            return format.name
    return None


def _check_asked(format: str, records: Sequence[Any], present: list[str], columns: Columns, source: str) -> None:
    if format not in FORMAT_NAMES:
        raise UserError(f"format is {format!r}; expected auto or one of {', '.join(FORMAT_NAMES)}")
    shapes = [shape.required for shape in FORMATS if shape.name == format]
    if records and not any(set(shape) <= {*present, *columns} for shape in shapes):
        wanted = " or ".join(" + ".join(shape) for shape in shapes)
        raise UserError(f"{source} has the columns {_listed(present)}; the format {format} needs {wanted}")


def _formats() -> str:
    return ", ".join(f"{format.name} ({' + '.join(format.required)})" for format in FORMATS)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
