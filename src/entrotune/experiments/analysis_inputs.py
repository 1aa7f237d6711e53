"""What analyses read beside the scores: labels, sources and texts of rows, joined by id."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entrotune.data import Row, load_rows
from entrotune.data.parse import parse_id
from entrotune.data.rejects import RowError
from entrotune.data.rows import prompt_messages
from entrotune.data.sources import READERS, open_source
from entrotune.errors import UserError
from entrotune.scoring.folder import KEPT, Scores, part_paths, read_scores
from entrotune.scoring.sequences import text_hash

MISSING = "(missing)"


def read_numbers(path: str) -> Scores:
    """A finished score folder without its lists of tokens, which are long and not needed here.

    Raises:
        UserError: see `read_scores`.
    """
    import pyarrow
    from pyarrow import parquet

    read_scores(path, columns=["id"])  # says what is wrong with the folder, if anything is
    fields = parquet.read_schema(part_paths(Path(path))[0])
    return read_scores(path, columns=[field.name for field in fields if not pyarrow.types.is_nested(field.type)])


def kept_column(scores: Scores, name: str) -> dict[str, Any]:
    """Id → value of a column that was kept when scoring.

    Raises:
        UserError: there is no such column.
    """
    columns = scores.table.column_names
    found = next((column for column in (KEPT + name, name) if column in columns), None)
    if found is None:
        kept = [column.removeprefix(KEPT) for column in columns if column.startswith(KEPT)]
        told = (
            f"they kept {', '.join(kept)}"
            if kept
            else f"they kept none; score again with --keep {name.removeprefix(KEPT)}"
        )
        raise UserError(f"the scores in {scores.path} have no column {name!r}; {told}")
    values = scores.table.column(found).to_pylist()
    return dict(zip(scores.table.column("id").to_pylist(), values, strict=True))


def read_label_column(scores: Scores, label: str) -> dict[str, Any]:
    """Id → label, from `COLUMN` that was kept with the scores or `FILE:COLUMN`, whose rows have the same ids.

    Raises:
        UserError: no such file, column, or a row of the file that cannot be read.
    """
    file, _, column = label.rpartition(":")
    if not file or Path(file).suffix.lower() not in READERS:
        return kept_column(scores, label)
    found: dict[str, Any] = {}
    for record in open_source(file, split="train", limit=None):
        place = f"{record.source}:{record.line}"
        if record.problem is not None or not isinstance(record.content, dict):
            raise UserError(f"{place}: {record.problem or 'the row is no object with columns'}; mend the row")
        if column not in record.content:
            raise UserError(f"{place} has no column {column!r}; it has {', '.join(map(str, record.content))}")
        try:
            id = parse_id(record.content.get("id")) or record.name
        except RowError as error:
            raise UserError(f"{place}: {error}") from None
        if id in found:
            raise UserError(f"{place}: the id {id!r} was used before; give the rows different ids")
        found[id] = record.content[column]
    return found


def sources_of(
    scores: Scores, ids: Sequence[str], column: str | None, extra: Mapping[str, Mapping[str, Any]]
) -> list[str] | None:
    """Where each row is from: a column of the scores or of `extra` (id → columns); by default the data files.

    None where no column is named and all rows are from one file.
    """
    if column is None:
        files = dict(zip(*(scores.table.column(name).to_pylist() for name in ("id", "source")), strict=True))
        found = [str(files[id]) for id in ids]
        return found if len(set(found)) > 1 else None
    values = (
        {id: columns[column] for id, columns in extra.items() if column in columns}
        if any(column in columns for columns in extra.values())
        else kept_column(scores, column)
    )
    told = [values.get(id) for id in ids]
    return [MISSING if value is None or value == "" else str(value) for value in told]


def texts_of(
    scores: Scores,
    hashes: Mapping[str, str],
    *,
    data: str | None,
    text: str | None,
    format: str,
    columns: Mapping[str, Any] | None,
) -> dict[str, str]:
    """Id → text of the rows in `hashes` (id → hash of the text), from the data that was scored or a kept column.

    Raises:
        UserError: no such data or column, no row of these ids, or another text than was scored.
    """
    if text is not None:
        values = kept_column(scores, text)
        return {id: str(values[id]) for id in hashes if values.get(id) is not None}
    if data is None:
        return {}
    rows = {row.id: row for row in load_rows(data, format=format, columns=columns).rows if row.id in hashes}
    if not rows:
        raise UserError(
            f"{data} has none of the rows that were scored, such as {next(iter(hashes))!r}; give the data they are of"
        )
    found = {}
    for id, row in rows.items():
        if row.text is not None and text_hash(row.text) != hashes[id]:
            raise UserError(f"row {id!r} of {data} has another text than was scored; give the data the scores are of")
        found[id] = _told(row)
    return found


def _told(row: Row) -> str:
    """A row in words: its text, or its turns."""
    if row.text is not None:
        return row.text
    turns = row.messages or prompt_messages(row) or ()
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)
