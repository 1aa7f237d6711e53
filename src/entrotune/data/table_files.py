"""CSV, TSV and parquet: records with named columns."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrotune.data.records import JSON_DECODER, Record, is_unicode
from entrotune.errors import UserError

if TYPE_CHECKING:
    import pyarrow

_BATCH = 256
_LONGEST_CELL = 2**31 - 1
_STRUCTURED = frozenset(
    {"messages", "conversations", "answers", "references", "checker", "input_ids", "labels", "attention_mask"}
)


def read_csv(path: Path, *, header: bool = True) -> Iterator[Record]:
    """Yield the records of a comma-separated file; quoted cells may hold commas and line ends.

    Args:
        header: whether the first line has the names of the columns; else they are called `#1`, `#2`, …
    """
    return _read_cells(path, {"delimiter": ",", "strict": True}, header)


def read_tsv(path: Path, *, header: bool = True) -> Iterator[Record]:
    """Yield the records of a tab-separated file, as `read_csv`; quotation marks are ordinary characters in it."""
    return _read_cells(path, {"delimiter": "\t", "quoting": csv.QUOTE_NONE}, header)


def _read_cells(path: Path, dialect: dict[str, object], has_header: bool) -> Iterator[Record]:
    # The csv module's limit of 131,072 characters a cell belongs to the process; documents are longer, so it is raised.
    csv.field_size_limit(_LONGEST_CELL)
    # Bytes that are not UTF-8 become lone surrogates: the record that holds them is found after parsing.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, **dialect)  # type: ignore[arg-type]  # a dialect given as keywords
        header = _header(path, reader) if has_header else []
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(str(path), line, None, f"invalid CSV: {error}")
                continue
            if cells:
                header = header or [f"#{place}" for place in range(1, len(cells) + 1)]
                yield _cells_record(str(path), line, header, cells)


def _header(path: Path, reader: Iterable[list[str]]) -> list[str]:
    try:
        header = next(iter(reader), None)
    except csv.Error as error:
        raise UserError(f"{path}:1: the header cannot be read: {error}") from None
    if not header:
        raise UserError(f"{path} is empty; expected a header with the names of the columns")
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise UserError(f"{path}:1: the header names {', '.join(map(repr, sorted(repeated)))} more than once")
    return header


def _cells_record(source: str, line: int, header: list[str], cells: list[str]) -> Record:
    if not is_unicode(cells):
        escaped = [cell.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for cell in cells]
        return Record(source, line, escaped, "not UTF-8: " + next(cell for cell in escaped if "\\x" in cell)[:60])
    if len(cells) != len(header):
        return Record(source, line, cells, f"wrong number of cells: {len(cells)} where the header has {len(header)}")
    return Record(source, line, dict(zip(header, cells, strict=True)), cells=True)


def structured_cell(name: str, value: object) -> object:
    """Read a cell of a column that may hold a list or an object from JSON; any other text stays what it is."""
    if name not in _STRUCTURED or not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return JSON_DECODER.decode(value)
    except (ValueError, RecursionError):
        return value


def read_parquet(path: Path) -> Iterator[Record]:
    """Yield the rows of a parquet file batch by batch, so that a reader that stops early reads little of it.

    Raises:
        UserError: the file is not parquet.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for content, problem in _parquet_rows(batch):
                    number += 1
                    yield Record(str(path), number, content, problem)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None


def _parquet_rows(batch: "pyarrow.RecordBatch") -> Iterable[tuple[dict[str, Any], str | None]]:
    """The rows of a batch, and what is wrong with those that have a value which Python cannot hold."""
    try:
        return [(content, None) for content in batch.to_pylist()]
    except (UnicodeDecodeError, OverflowError):
        return [_parquet_row(batch, number) for number in range(batch.num_rows)]


def _parquet_row(batch: "pyarrow.RecordBatch", number: int) -> tuple[dict[str, Any], str | None]:
    content, problem = {}, None
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            content[name] = column[number].as_py()
        except UnicodeDecodeError:
            problem = f"not UTF-8: {name} holds bytes that are no character"
        except OverflowError as error:
            problem = f"out of range: {name}: {error}"
    return content, problem
