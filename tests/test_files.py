"""Files are whole or untouched, whatever happens while they are written."""

import errno
import json
import os
from pathlib import Path

import pytest

from entrotune.errors import UserError
from entrotune.files import atomic_write_json, atomic_write_text, check_page, check_writable, open_atomic


def test_text_and_json_arrive_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    atomic_write_text(path, "grüße\n")
    assert path.read_text(encoding="utf-8") == "grüße\n"
    atomic_write_json(path, {"a": [1, None, "ü"]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": [1, None, "ü"]}
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic_write_json(path, 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        atomic_write_json(path, float("nan"))
    with pytest.raises(KeyboardInterrupt):
        _stop_halfway(path)
    assert path.read_text() == "1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it(tmp_path: Path) -> None:
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("x")
    atomic_write_text(atomic, "x")
    assert atomic.stat().st_mode == plain.stat().st_mode


def test_bytes(tmp_path: Path) -> None:
    with open_atomic(tmp_path / "b", "wb") as file:
        file.write(b"\x00\xff")
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"


def _stop_halfway(path: Path) -> None:
    with open_atomic(path) as file:
        file.write("half of it")
        raise KeyboardInterrupt


def test_an_error_of_the_system_names_the_file_that_was_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file", encoding="utf-8")
    with pytest.raises(OSError, match="File exists") as caught:
        atomic_write_text(tmp_path / "a" / "b.txt", "x")
    assert str(caught.value.filename).startswith(str(tmp_path / "a"))
    with pytest.raises(OSError, match="No space left on device") as caught, open_atomic(tmp_path / "c.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "c.txt")
    with pytest.raises(OSError, match="File name too long") as caught:
        atomic_write_text(tmp_path / ("n" * 250), "x")
    assert caught.value.filename == str(tmp_path / ("n" * 250))


def test_whether_a_folder_can_be_written_to_is_found_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "not" / "there" / "yet")
    check_page(tmp_path / "pages" / "page.html")
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="Not a directory"):
        check_page(tmp_path / "a" / "page.html")
