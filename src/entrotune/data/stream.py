"""Rows of a source of any size, block by block, so that they never are in memory all at once."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrotune.data.formats import Columns
from entrotune.data.load import Loader, open_rows
from entrotune.data.records import Record
from entrotune.data.rejects import Reject, Rejects
from entrotune.data.rows import Row
from entrotune.data.seen import SeenIds
from entrotune.data.sources import data_files
from entrotune.errors import UserError


@dataclass(frozen=True, kw_only=True)
class RowBlock:
    """A run of records of a source: those that are rows, and the rejects.

    Attributes:
        number: of the block, from 0.
        first: the position of its first record in the source, from 0.
        read: records.
        rows: usable ones.
        positions: of the rows in the source.
        rejects: the other records.
        digest: SHA-256 of what the records say and where they stand.
    """

    number: int
    first: int
    read: int
    rows: list[Row]
    positions: list[int]
    rejects: list[Reject]
    digest: str


class RowStream:
    """Rows of a source in the order in which they stand there, of one format. It can be walked once."""

    def __init__(
        self, source: str, records: Iterator[Record], loader: Loader, on_bad_row: str, limit: int | None
    ) -> None:
        self.source = source
        self.format = loader.format
        self._records, self._loader, self._limit = records, loader, limit
        self._rejects = Rejects(on_bad_row)

    def blocks(self, size: int) -> Iterator[RowBlock]:
        """Yield blocks of `size` records, the last with what is left.

        Raises:
            UserError: a row is bad and `on_bad_row` is `stop`.
        """
        number = 0
        usable = 0
        while block := self._block(number, number * size, size, usable):
            yield block
            number, usable = number + 1, usable + len(block.rows)

    def _block(self, number: int, first: int, size: int, usable: int) -> RowBlock | None:
        rows: list[Row] = []
        positions: list[int] = []
        digest, read = hashlib.sha256(), 0
        self._rejects.found = []
        while read < size and (self._limit is None or usable + len(rows) < self._limit):
            record = next(self._records, None)
            if record is None:
                break
            digest.update(_said(record))
            parsed = self._loader.parsed(record)
            if isinstance(parsed, Row):
                rows.append(parsed)
                positions.append(first + read)
            else:
                self._rejects.add(parsed)
            read += 1
        if not read:
            return None
        return RowBlock(
            number=number,
            first=first,
            read=read,
            rows=rows,
            positions=positions,
            rejects=self._rejects.found,
            digest=digest.hexdigest(),
        )


def stream_rows(
    source: str | Path,
    *,
    format: str = "auto",
    columns: Columns | None = None,
    on_bad_row: str = "skip",
    limit: int | None = None,
    split: str = "train",
    text_unit: str = "line",
) -> RowStream:
    """Open a source to be read block by block; arguments, ids and rejects are those of `load_rows`.

    Files are read piece by piece, but for .json files, which hold one list, and texts of which the file is the unit.
    What grows with the source is 8 bytes a row, to find ids that are used twice.

    Raises:
        UserError: the source or a column does not exist, the format is not recognised, or there is no row.
    """
    records, loader = open_rows(
        source, format=format, columns=columns, limit=limit, split=split, text_unit=text_unit, places=SeenIds()
    )
    first = next(records, None)
    if first is None:
        raise UserError(f"{source} is empty: it holds no row")
    return RowStream(str(source), _from(first, records), loader, on_bad_row, limit)


def source_files(source: str | Path) -> dict[str, Any] | None:
    """Number, bytes and SHA-256 (over names and contents) of the files of a source; None where it is no path.

    Takes about a second for each gigabyte.
    """
    path = Path(source).expanduser()
    if not path.exists():
        return None
    digest, size, files = hashlib.sha256(), 0, data_files(path)
    for file in files:
        with file.open("rb") as opened:
            digest.update(f"{file.name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
        size += file.stat().st_size
    return {"files": len(files), "bytes": size, "fingerprint": digest.hexdigest()}


def _from(first: Record, rest: Iterator[Record]) -> Iterator[Record]:
    yield first
    yield from rest


def _said(record: Record) -> bytes:
    said = [Path(record.source).name, record.line, record.content, record.problem]
    return json.dumps(said, sort_keys=True, default=str).encode("ascii") + b"\n"
