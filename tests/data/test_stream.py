"""Reading block by block gives the rows of `load_rows`, and never holds them all."""

import json
import tracemalloc
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from entrotune.data import load_rows, source_files, stream_rows
from entrotune.data.seen import SeenIds
from entrotune.errors import UserError

LINES = ['{"text": "one"}', "{broken", '{"text": ""}', '{"id": "x", "text": "two"}', '{"id": "x", "text": "three"}']


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_blocks_hold_the_rows_that_load_rows_gives(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "rows.jsonl", LINES * 1 + ['{"text": "last"}'])
    loaded, blocks = load_rows(path), list(stream_rows(path).blocks(size))
    assert [row for block in blocks for row in block.rows] == loaded.rows
    assert [(reject.line, reject.id, reject.row) for block in blocks for reject in block.rejects] == [
        (reject.line, reject.id, reject.row) for reject in loaded.rejects
    ]
    assert [block.number for block in blocks] == list(range(len(blocks)))
    assert sum(block.read for block in blocks) == loaded.read == 6
    assert [position for block in blocks for position in block.positions] == [0, 3, 5]


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 8), st.one_of(st.none(), st.integers(1, 12)))
def test_counts_add_up(
    tmp_path_factory: pytest.TempPathFactory, good: list[bool], size: int, limit: int | None
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write(path, [json.dumps({"text": f"row {i}" if fine else ""}) for i, fine in enumerate(good)])
    blocks = list(stream_rows(path, limit=limit).blocks(size))
    for block in blocks:
        assert block.read == len(block.rows) + len(block.rejects) <= size
        assert len(block.rows) == len(block.positions)
        assert block.first == block.number * size
    assert all(block.read == size for block in blocks[:-1])
    assert sum(len(block.rows) for block in blocks) == min(sum(good), limit or len(good))
    if limit is None:
        assert sum(block.read for block in blocks) == len(good)


def test_digests_tell_changed_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [json.dumps({"text": f"row {i}"}) for i in range(9)])
    before = [block.digest for block in stream_rows(path).blocks(3)]
    assert [block.digest for block in stream_rows(path).blocks(3)] == before
    path.write_text(path.read_text().replace("row 4", "row four"))
    after = [block.digest for block in stream_rows(path).blocks(3)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_plain_text_by_line_paragraph_and_file(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes("\ufeffone\r\ntwo\n\n \n  three\nfour".encode())
    found = {unit: load_rows(path, text_unit=unit).rows for unit in ("line", "paragraph", "file")}
    assert [(row.line, row.text) for row in found["line"]] == [(1, "one"), (2, "two"), (5, "  three"), (6, "four")]
    assert [(row.line, row.text) for row in found["paragraph"]] == [(1, "one\ntwo"), (5, "  three\nfour")]
    assert [(row.line, row.text) for row in found["file"]] == [(1, "one\ntwo\n\n \n  three\nfour")]
    assert found["line"][0].id == "book.txt:1"
    with pytest.raises(UserError, match="text_unit is 'word'"):
        load_rows(path, text_unit="word")


def test_text_that_is_not_utf8_is_a_reject_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(b"fine\nbad \xff\nfine too\n")
    (block,) = stream_rows(path).blocks(10)
    assert [row.line for row in block.rows] == [1, 3]
    assert [(reject.line, reject.reason) for reject in block.rejects] == [
        (2, "not UTF-8: byte 0xff at byte 5 of the line")
    ]


def test_notes_in_a_folder_of_data_are_no_data(tmp_path: Path) -> None:
    write(tmp_path / "LICENSE.txt", ["All rights reserved"])
    assert [row.text for row in load_rows(tmp_path).rows] == ["All rights reserved"]
    write(tmp_path / "rows.jsonl", ['{"text": "a row"}'])
    assert [row.text for row in load_rows(tmp_path).rows] == ["a row"]
    described = source_files(tmp_path)
    assert described is not None
    assert described["files"] == 1


def test_fingerprint_of_files(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", LINES)
    before = source_files(path)
    assert source_files(path) == before
    write(path, LINES[:-1])
    assert source_files(path) != before
    assert source_files("chitchat") is None


def test_ids_that_are_used_twice_are_found_beyond_what_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrotune.data.seen._PENDING", 5)
    seen = SeenIds()
    for number in range(23):
        assert seen.get(f"row {number}") is None
        seen[f"row {number}"] = "somewhere"
    assert all(seen.get(f"row {number}") == "an earlier row" for number in range(23))
    assert seen.get("row 23") is None


def test_an_empty_source_and_a_bad_row_where_none_may_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is empty: it holds no row"):
        stream_rows(write(tmp_path / "none.jsonl", []))
    with pytest.raises(UserError, match=r"rows\.jsonl:2.*on_bad_row=skip"):
        list(stream_rows(write(tmp_path / "rows.jsonl", LINES), on_bad_row="stop").blocks(2))


def test_parquet_larger_than_what_is_held(tmp_path: Path) -> None:
    texts = ["x" * 2000 for _ in range(4000)]
    for number in range(3):
        parquet.write_table(pyarrow.table({"text": texts}), tmp_path / f"{number}.parquet", row_group_size=500)
    peaks = []
    for _ in range(2):  # threads that other tests left behind take memory too, but hardly twice
        tracemalloc.start()
        read = sum(len(block.rows) for block in stream_rows(tmp_path).blocks(100))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert read == 12_000
    assert min(peaks) < 4_000_000  # of 24 MB of text
