"""Files of JSON lines that go on where a killed command left them."""

import errno
import os
from pathlib import Path
from typing import IO, Any

import pytest

from entrotune.errors import UserError
from entrotune.line_files import append_lines, beside, claim, read_lines


def test_lines_come_back_without_one_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert read_lines(path, dict) == []
    append_lines(path, [{"a": "grüße\u2028"}, {"a": 2}])
    append_lines(path, [])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"a": ')
    assert read_lines(path, lambda line: line["a"]) == ["grüße\u2028", 2]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damaged", ["{broken", "[1]", "{}"])
def test_a_damaged_line_is_named(damaged: str, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"a": 1}}\n{damaged}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"lines\.jsonl:2 is damaged"):
        read_lines(path, lambda line: line["a"])


def test_a_file_belongs_to_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "people.jsonl"
    kept = beside(path, "settings.json")
    assert kept.name == "people.settings.json"
    claim(path, kept, {"seed": 1, "pair": (1, 2)})
    claim(path, kept, {"seed": 1, "pair": (1, 2)})
    with pytest.raises(UserError, match=r"was made with seed 1, not 2: .* or overwrite"):
        claim(path, kept, {"seed": 2, "pair": (1, 2)})
    with pytest.raises(UserError, match="was made with seed 1, not None"):
        claim(path, kept, {"pair": (1, 2)})
    for damaged in ("{", "[1]"):
        kept.write_text(damaged, encoding="utf-8")
        with pytest.raises(UserError, match=r"people\.settings\.json' is damaged"):
            claim(path, kept, {"seed": 1})
    kept.unlink()
    append_lines(path, [{"a": 1}])
    with pytest.raises(UserError, match=r"exists without 'people\.settings\.json'"):
        claim(path, kept, {"seed": 1})


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: IO[Any]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        append_lines(tmp_path / "lines.jsonl", [{"a": 1}])
    assert caught.value.filename == str(tmp_path / "lines.jsonl")
