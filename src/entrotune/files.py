"""Writing files that matter: to a temporary name in the same folder, flushed to disk, then renamed."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from entrotune.errors import UserError

LOCK = ".lock"
"""The file in a folder that the process at work on it holds."""


@contextlib.contextmanager
def open_atomic(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its place when the block ends without an error.

    Args:
        path: the file to create or replace; its folder is made.
        mode: `"w"` (UTF-8 text) or `"wb"`.
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with naming(path), os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files only their owner can read; give the result the permissions `open` would have given.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system name the file that was to be written: it knows a temporary one, or none."""
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(".partial"):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def alone(folder: str | Path) -> Iterator[None]:
    """Hold a folder, which is made where it is not there yet, for this process alone. A kill lets it go.

    Raises:
        UserError: another process holds it.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"another process works on {folder}; wait for it, or give another folder") from None
    except NotImplementedError:  # a file system without locks: its user has to see to it
        yield
        return
    try:
        yield
    finally:
        lock.release()


def check_page(path: str | Path | None) -> None:
    """Raise `UserError` where a page cannot be written to a path; before the work that it would show."""
    if path is None:
        return
    if Path(path).is_dir() or Path(path).suffix not in (".html", ".htm"):
        raise UserError(f"'{path}' is no name for a page; expected a file that ends in .html")
    check_writable(Path(path).parent)


def check_writable(folder: Path) -> None:
    """See, before the work, that files can be made in a folder, which need not exist yet. Nothing is left behind.

    Raises:
        UserError: they cannot.
    """
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(f"cannot write to '{folder}' ({error.strerror}: '{there}'); give another place") from None


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8; `path` holds either its old content or all of the new one."""
    with open_atomic(path) as file:
        file.write(text)


def atomic_write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON. NaN and infinity are refused with a `ValueError`: JSON has no such numbers."""
    atomic_write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
