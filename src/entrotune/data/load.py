"""Rows from any source, checked one by one."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from entrotune.data.formats import (
    FORMATS,
    Columns,
    canonical_fields,
    check_columns,
    choose_format,
    has_columns,
    has_header,
)
from entrotune.data.parse import parse_fields, parse_id
from entrotune.data.records import Record
from entrotune.data.rejects import Reject, Rejects, RowError, first_reasons
from entrotune.data.rows import Row, RowSet
from entrotune.data.sources import open_source
from entrotune.errors import UserError

_SAMPLE = 100


class Places(Protocol):
    """Where ids were used, `file:line`."""

    def get(self, id: str, /) -> str | None:
        """Where the id was used, None where it was not."""

    def __setitem__(self, id: str, place: str, /) -> None: ...


def load_rows(
    source: str | Path,
    *,
    format: str = "auto",
    columns: Columns | None = None,
    on_bad_row: str = "skip",
    limit: int | None = None,
    split: str = "train",
    text_unit: str = "line",
) -> RowSet:
    """Read rows, say of which format they are, and reject those that cannot be used, each with file, line and reason.

    Args:
        source: a .jsonl, .json, .csv, .tsv, .parquet or .txt file, a folder of such files, a hub id (`owner/name`, or
            `owner/name:configuration`), or the embedded `chitchat`, `chitchat:pairs`, `chitchat:openers`.
        format: `messages`, `sharegpt`, `prompt_completion`, `alpaca`, `text`, `pretokenised`, `answers` (several a
            prompt), `prompt` (evaluation only), or `auto`: the one that most of the first 100 records have.
        columns: our name of a column → its name in the file, such as `{"prompt": "question"}`; several names are
            joined by line ends. A name may be a way into a column (`answers.text`) or, in a table without a header,
            a place (`#2`). A number or a list of texts that is mapped to a column of texts becomes a text.
        on_bad_row: `skip` keeps bad rows in `rejects`, `stop` raises at the first.
        limit: stop after so many usable rows.
        split: the split of a data set from the hub.
        text_unit: what a row of a .txt file is: `line`, `paragraph` or `file`.

    Raises:
        UserError: the source or a column does not exist, the format is not recognised, no row is usable, or a row is
            bad and `on_bad_row` is `stop`.
    """
    rejects = Rejects(on_bad_row)
    records, loader = open_rows(
        source, format=format, columns=columns, limit=limit, split=split, text_unit=text_unit, places={}
    )
    rows = list(itertools.islice(_rows(records, loader, rejects), limit))
    if not rows and not rejects.found:
        raise UserError(f"{source} is empty: it holds no row")
    if not rows:
        raise UserError(f"{source} has no usable row among {loader.read:,}: {first_reasons(rejects.found)}")
    return RowSet(rows=rows, rejects=rejects.found, format=loader.format, source=str(source), read=loader.read)


def open_rows(
    source: str | Path,
    *,
    format: str,
    columns: Columns | None,
    limit: int | None,
    split: str,
    text_unit: str,
    places: Places,
) -> tuple[Iterator[Record], "Loader"]:
    """The records of a source, and what turns each into a row; the arguments are those of `load_rows`.

    Args:
        places: where ids that were used are remembered; empty.
    """
    columns = columns or {}
    check_columns(columns)
    if limit is not None and limit < 1:
        raise UserError(f"limit is {limit}; expected at least 1 row")
    header = has_header(columns)
    records = open_source(str(source), split=split, limit=limit, text_unit=text_unit, header=header)
    sample = _sample(records)
    chosen = choose_format(sample, format=format, columns=columns, source=str(source))
    return itertools.chain(sample, records), Loader(chosen, columns, places)


def _rows(records: Iterable[Record], loader: "Loader", rejects: Rejects) -> Iterator[Row]:
    for record in records:
        row = loader.parsed(record)
        if isinstance(row, Row):
            yield row
        else:
            rejects.add(row)


def _sample(records: Iterator[Record]) -> list[Record]:
    """Take records until there are enough with columns to tell the format by; what cannot be read does not count."""
    taken: list[Record] = []
    readable = 0
    while readable < _SAMPLE and (record := next(records, None)) is not None:
        taken.append(record)
        readable += has_columns(record)
    return taken


class Loader:
    """Turns records into rows, counts them, and remembers the ids that were used."""

    def __init__(self, format: str, columns: Columns, places: Places) -> None:
        self.format = format
        self.columns = columns
        self.read = 0
        self._places = places
        self._used = frozenset[str]().union(*(shape.columns for shape in FORMATS if shape.name == format))

    def parsed(self, record: Record) -> Row | Reject:
        """The row of a usable record; of another, the reject."""
        self.read += 1
        try:
            return self._row(record)
        except RowError as error:
            return Reject(
                source=record.source, line=record.line, id=_told_id(record), reason=str(error), row=record.content
            )

    def _row(self, record: Record) -> Row:
        if record.problem is not None:
            raise RowError(record.problem)
        if not isinstance(record.content, dict):
            raise RowError(f"wrong type: the row is a {type(record.content).__name__}, expected an object with columns")
        if not record.content:
            raise RowError("empty: the row has no columns")
        fields, extra = canonical_fields(record, self.columns)
        extra |= {name: value for name, value in fields.items() if name not in self._used}
        id = parse_id(fields.get("id")) or record.name
        row = Row(id=id, source=record.source, line=record.line, extra=extra, **parse_fields(self.format, fields))
        self._claim(row)
        return row

    def _claim(self, row: Row) -> None:
        """Remember the row's id, and those of its answers where it has several."""
        answers = [f"{row.id}#{index}" for index in range(len(row.answers))] if len(row.answers) > 1 else []
        for id in (row.id, *answers):
            if (before := self._places.get(id)) is not None:
                raise RowError(f"duplicate id: {id!r} was used before, at {before}")
        for id in (row.id, *answers):
            self._places[id] = f"{row.source}:{row.line}"


def _told_id(record: Record) -> str | None:
    """The id that a bad record gives itself, as far as it can be read."""
    given = record.content.get("id") if isinstance(record.content, dict) else None
    return str(given) if isinstance(given, (str, int)) and given != "" else None
