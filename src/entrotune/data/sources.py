"""Where records come from: files, folders of files, the embedded chats, the hub."""

from collections.abc import Callable, Iterator
from pathlib import Path

from entrotune.data.chitchat import CHITCHAT_SOURCES, chitchat_records
from entrotune.data.hub import hub_records
from entrotune.data.json_files import read_json, read_json_lines
from entrotune.data.records import Record
from entrotune.data.table_files import read_csv, read_parquet, read_tsv
from entrotune.errors import UserError

READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
}


def open_source(source: str, *, split: str, limit: int | None) -> Iterator[Record]:
    """Return the records of a source: an embedded data set by name, a path that exists, or else a hub id.

    Raises:
        UserError: there is no such file or data set, or no reader for the file.
    """
    if source in CHITCHAT_SOURCES:
        return chitchat_records(source)
    if not source.strip():
        raise UserError(f"the data source is empty; expected {_expected()}, a hub id or {_embedded()}")
    path = Path(source).expanduser()
    if path.is_dir():
        return _read_folder(path)
    if path.exists():
        return _read_file(path)
    if (
        path.suffix.lower() in READERS
        or source.startswith((".", "/", "~"))
        or source.count("/") > 1
        or not source.strip()
    ):
        raise UserError(f"no such file or folder: {source!r}; expected {_expected()}, a hub id or {_embedded()}")
    return hub_records(source, split=split, streaming=limit is not None)


def _read_folder(folder: Path) -> Iterator[Record]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in READERS)
    if not files:
        raise UserError(f"the folder {folder} holds no data file; expected {_expected()}")
    for path in files:
        yield from _read_file(path)


def _read_file(path: Path) -> Iterator[Record]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} has no ending that is known; expected {_expected()}")
    try:
        yield from reader(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


def _expected() -> str:
    return f"a file ending in {', '.join(READERS)}, or a folder of such files"


def _embedded() -> str:
    return f"one of {', '.join(CHITCHAT_SOURCES)}"
