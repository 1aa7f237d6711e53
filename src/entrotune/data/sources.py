"""Where records come from: files, folders of files, the embedded chats, the hub."""

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path

from entrotune.data.chitchat import CHITCHAT_SOURCES, chitchat_records
from entrotune.data.hub import hub_records
from entrotune.data.json_files import read_json, read_json_lines
from entrotune.data.records import Record, is_unicode
from entrotune.data.table_files import read_csv, read_parquet, read_tsv
from entrotune.data.text_files import read_text
from entrotune.errors import UserError

TEXT = ".txt"
READERS: dict[str, Callable[..., Iterator[Record]]] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
    TEXT: read_text,
}


def open_source(
    source: str, *, split: str, limit: int | None, text_unit: str = "line", header: bool = True
) -> Iterator[Record]:
    """Return the records of a source: an embedded data set by name, a path that exists, or else a hub id.

    Args:
        header: whether CSV and TSV files begin with the names of their columns.

    Raises:
        UserError: there is no such file or data set, or no reader for the file.
    """
    if source in CHITCHAT_SOURCES:
        return chitchat_records(source)
    if not source.strip():
        raise UserError(f"the data source is empty; expected {_expected()}, a hub id or {_embedded()}")
    path = Path(source).expanduser()
    if path.is_dir():
        return _read_folder(path, text_unit, header)
    if path.exists():
        return _read_file(path, text_unit, header)
    if (
        path.suffix.lower() in READERS
        or source.startswith((".", "/", "~"))
        or source.count("/") > 1
        or not source.strip()
    ):
        raise UserError(f"no such file or folder: {source!r}; expected {_expected()}, a hub id or {_embedded()}")
    return hub_records(source, split=split, streaming=limit is not None)


def data_files(path: Path) -> list[Path]:
    """The files that a path stands for: itself, or those of a folder in the order of names.

    Plain text files of a folder count only where it holds no other data, for which they may be notes.

    Raises:
        UserError: the folder holds none.
    """
    if not path.is_dir():
        return [path]
    # A link to what is not there is no file, and kept, so that reading it says so.
    found = (file for file in path.iterdir() if file.is_file() or not file.exists())
    files = sorted(file for file in found if file.suffix.lower() in READERS)
    if not files:
        raise UserError(f"the folder {path} holds no data file; expected {_expected()}")
    return [file for file in files if file.suffix.lower() != TEXT] or files


def _read_folder(folder: Path, text_unit: str, header: bool) -> Iterator[Record]:
    for path in data_files(folder):
        yield from _read_file(path, text_unit, header)


def _read_file(path: Path, text_unit: str, header: bool) -> Iterator[Record]:
    reader = READERS.get(path.suffix.lower())
    if not is_unicode(str(path)):
        raise UserError(f"the name of {str(path)!r} is not UTF-8, so no record could hold it; rename it")
    if reader is None:
        raise UserError(f"{path} has no ending that is known; expected {_expected()}")
    try:
        if reader is not read_parquet:
            _check_encoding(path)
        if reader is read_text:
            yield from reader(path, unit=text_unit)
        elif reader in (read_csv, read_tsv):
            yield from reader(path, header=header)
        else:
            yield from reader(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


def _check_encoding(path: Path) -> None:
    with path.open("rb") as file:
        begins = file.read(2)
    if begins in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise UserError(f"{path} is in UTF-16; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)")


def _expected() -> str:
    return f"a file ending in {', '.join(READERS)}, or a folder of such files"


def _embedded() -> str:
    return f"one of {', '.join(CHITCHAT_SOURCES)}"
