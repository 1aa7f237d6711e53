"""Bad rows: counted, placed, told, and never more than the bad ones."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from entrotune.data import load_rows, write_rejects
from entrotune.errors import UserError

GOOD_CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]

BAD_ROWS = [
    ({"prompt": "", "completion": "c"}, "empty: prompt holds no text"),
    ({"prompt": " \n", "completion": "c"}, "empty: prompt"),
    ({"prompt": None, "completion": "c"}, "null: prompt"),
    ({"prompt": 5, "completion": "c"}, "wrong type: prompt is a number, expected text"),
    ({"prompt": "p", "completion": ["c"]}, r"wrong type: completion\[0\] is text"),
    ({"prompt": "p", "completion": ""}, "empty: completion"),
    ({"prompt": "p"}, "missing column: completion"),
    ({"prompt": "p", "completion": "c", "id": [1]}, "wrong type: id is a list"),
    ({"prompt": "p", "completion": "c", "references": [None]}, r"null: references\[0\]"),
    ({"prompt": "p", "completion": "c", "references": {"a": 1}}, r"wrong type: references\[0\] is an object"),
    ({"prompt": "p", "completion": "c", "checker": "exact"}, "wrong type: checker is text, expected an object"),
    ({"prompt": "p", "completion": "\ud800"}, "not UTF-8: completion"),
    ({"prompt": GOOD_CHAT, "completion": "c"}, "wrong prompt: prompt ends with a turn of the assistant"),
    ({"prompt": "p", "completion": GOOD_CHAT}, "wrong completion"),
    ({}, "empty: the row has no columns"),
    ([1], "wrong type: the row is a list"),
    ({"messages": [], "text": ""}, "missing column: completion"),
]
BAD_CHATS = [
    ([], "empty: messages is an empty list"),
    ("hi", "wrong type: messages is text, expected a list"),
    (["hi"], r"wrong type: messages\[0\] is text"),
    ([{"role": "robot", "content": "hi"}], "unknown role: messages.0. has the role 'robot'"),
    ([{"content": "hi"}], "unknown role: messages.0. has the role None"),
    (GOOD_CHAT[:1], "last turn not from the assistant: messages ends with user"),
    ([*GOOD_CHAT[:1], {"role": "assistant", "content": " "}], r"empty: messages\[1\]'s content"),
    ([*GOOD_CHAT[:1], {"role": "assistant", "content": None}], r"null: messages\[1\]'s content"),
    ([*GOOD_CHAT[:1], {"role": "assistant"}], r"null: messages\[1\]'s content"),
    ([GOOD_CHAT[0], {**GOOD_CHAT[1], "tool_calls": [{}]}], r"not supported: messages\[1\] calls a tool"),
    ([GOOD_CHAT[0], {**GOOD_CHAT[1], "function_call": {"name": "f"}}, *GOOD_CHAT], "not supported: messages.1. calls"),
]
BAD_TOKENS = [
    ({"input_ids": []}, "empty: input_ids"),
    ({"input_ids": [1, 2.5]}, "wrong type: input_ids is not a list of whole numbers"),
    ({"input_ids": [1, True]}, "wrong type: input_ids"),
    ({"input_ids": [1, -2]}, "out of range"),
    ({"input_ids": [1, 2], "labels": [1, -1]}, "out of range"),
    ({"input_ids": [1, 2], "labels": [2]}, "lengths differ: 2 input_ids, 1 labels"),
    ({"input_ids": [1, 2], "attention_mask": [1]}, "lengths differ"),
    ({"input_ids": [1, 2], "labels": [1, -100]}, "no supervised token"),
    ({"input_ids": [1]}, "no supervised token"),
]
CASES = [
    *[({"prompt": "p", "completion": "c"}, bad, reason) for bad, reason in BAD_ROWS],
    *[({"messages": GOOD_CHAT}, {"messages": bad}, reason) for bad, reason in BAD_CHATS],
    *[({"input_ids": [1, 2]}, bad, reason) for bad, reason in BAD_TOKENS],
    ({"prompt": "p", "answers": ["a"]}, {"prompt": "p", "answers": []}, "empty: answers"),
    ({"prompt": "p", "answers": ["a"]}, {"prompt": "p", "answers": ["a", ""]}, r"empty: answers\[1\]"),
    ({"prompt": "p", "answers": ["a"]}, {"prompt": "p", "answers": 3}, "wrong type: answers is a number"),
    ({"instruction": "i", "output": "o"}, {"instruction": "i", "input": 3, "output": "o"}, "wrong type: input"),
]


@pytest.mark.parametrize(("good", "bad", "reason"), CASES)
def test_a_bad_row_is_rejected_and_the_others_stay(tmp_path: Path, good: Any, bad: Any, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in (good, bad, good, good)))
    loaded = load_rows(path)
    (reject,) = loaded.rejects
    assert (len(loaded.rows), loaded.read, reject.line, reject.source) == (3, 4, 2, str(path))
    assert reject.row == bad
    assert re.match(reason, reject.reason)
    with pytest.raises(UserError, match=rf"rows\.jsonl:2.*{reason}.*skip"):
        load_rows(path, on_bad_row="stop")
    assert reject.reason.split(":")[0] in loaded.describe()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "invalid JSON"),
        (b"nonsense", "invalid JSON: Expecting value at column 1"),
        (b'{"text": NaN}', "invalid JSON: NaN is not a JSON value"),
        (b'{"text": "caf\xe9"}', "not UTF-8: byte 0xe9 at byte 14 of the line"),
        (b"\xff\xfe", "not UTF-8: byte 0xff"),
        (b"[" * 100_000, "invalid JSON: nested too deeply"),
    ],
)
def test_an_unreadable_line_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one"}\r\n\n' + line + b'\n{"text": "two"}')
    loaded = load_rows(path)
    assert [(row.text, row.line) for row in loaded.rows] == [("one", 1), ("two", 4)]
    assert [(reject.line, reject.reason.startswith(reason)) for reject in loaded.rejects] == [(3, True)]


def test_a_file_that_begins_with_many_unreadable_lines_is_still_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("broken\n" * 250 + '{"text": "found"}\n')
    loaded = load_rows(path)
    assert ([row.line for row in loaded.rows], len(loaded.rejects), loaded.format) == ([251], 250, "text")


def test_bad_lines_of_a_csv_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'prompt,completion\na,b\nc\n"d\n\xe9",e\nf,g,h\ni,"j"k\nl,m\nn,"open\nend')
    loaded = load_rows(path)
    assert [(row.prompt, row.line) for row in loaded.rows] == [("a", 2), ("l", 8)]
    told = [(reject.line, reject.reason.split(":")[0]) for reject in loaded.rejects]
    assert told == [
        (3, "wrong number of cells"),
        (4, "not UTF-8"),
        (6, "wrong number of cells"),
        (7, "invalid CSV"),
        (9, "invalid CSV"),
    ]


def test_a_bad_byte_in_an_unused_column_of_a_csv_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,topic\na,b\nc,caf\xe9\n")
    (reject,) = load_rows(path).rejects
    assert (reject.line, reject.reason, reject.row) == (3, "not UTF-8: caf\\xe9", ["c", "caf\\xe9"])


def test_bytes_that_are_no_text_reject_only_their_item_of_a_json_list(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"text": "a"},\n{"text": "caf\xe9"}]')
    loaded = load_rows(path)
    assert [row.text for row in loaded.rows] == ["a"]
    assert [(reject.line, reject.reason.split(":")[0]) for reject in loaded.rejects] == [(2, "not UTF-8")]


def test_a_second_row_with_an_id_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n{"id": null, "text": "c"}\n')
    loaded = load_rows(path)
    assert [row.id for row in loaded.rows] == ["1", "a.jsonl:3"]
    (reject,) = loaded.rejects
    assert reject.reason == f"duplicate id: '1' was used before, at {path}:1"
    assert (reject.id, reject.line) == ("1", 2)


@pytest.mark.parametrize("rows", [["a", "a#1"], ["a#1", "a"]])
def test_an_id_that_an_answer_of_another_row_has_is_rejected(tmp_path: Path, rows: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    answers = {"a": ["x", "y"], "a#1": ["z"]}
    path.write_text("".join(json.dumps({"id": id, "prompt": "p", "answers": answers[id]}) + "\n" for id in rows))
    loaded = load_rows(path)
    assert [row.id for row in loaded.rows] == rows[:1]
    assert loaded.rejects[0].reason == f"duplicate id: 'a#1' was used before, at {path}:1"


def test_what_is_nested_too_deeply_to_be_written_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    depths = (90, 200, 600, 985)
    for opened, inner, closed in (("[", "", "]"), ('{"a":', "1", "}")):
        lines = [f'{{"text": "", "x": {opened * depth}{inner}{closed * depth}}}' for depth in depths]
        path.write_text("\n".join([*lines, '{"text": "ok", "x": [' + "[]," * 500 + "[]]}"]))
        loaded = load_rows(path)
        assert [row.text for row in loaded.rows] == ["ok"]
        reasons = [reject.reason for reject in loaded.rejects]
        assert reasons == ["empty: text holds no text", *["invalid JSON: nested too deeply"] * 3]
        write_rejects(tmp_path / "rejects.jsonl", loaded.rejects)


def test_values_of_a_parquet_file_that_cannot_be_read_reject_only_their_row(tmp_path: Path) -> None:
    size = pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0\4\0\0\0\5\0\0\0")
    texts = pyarrow.StringArray.from_buffers(3, size, pyarrow.py_buffer(b"aaf\xe9b"))
    when = pyarrow.array([5, 5, 10**7], type=pyarrow.date32())
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": texts, "when": when}), path)
    loaded = load_rows(path)
    assert [(row.text, row.id) for row in loaded.rows] == [("a", "a.parquet:1")]
    assert [(reject.line, reject.reason) for reject in loaded.rejects] == [
        (2, "not UTF-8: text holds bytes that are no character"),
        (3, "out of range: when: date value out of range"),
    ]


def test_rejects_are_json_whatever_the_numbers_are(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    values = {"text": ["", "ok"], "x": [float("nan")] * 2, "y": [[float("-inf"), 1.5]] * 2}
    parquet.write_table(pyarrow.table(values), path)
    loaded = load_rows(path)
    write_rejects(tmp_path / "rejects.jsonl", loaded.rejects)
    (line,) = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["row"] == {"text": "", "x": "nan", "y": ["-inf", 1.5]}


def test_no_usable_row_shows_the_first_reasons(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": ""}\nbroken\n{"text": null}\n{"text": 4}\n')
    with pytest.raises(UserError, match=r"no usable row among 4: .*a\.jsonl:1: empty.*:2: invalid.*:3: null.* 1 more"):
        load_rows(path)
    with pytest.raises(UserError, match="on_bad_row is 'ignore'; expected one of skip, stop"):
        load_rows(path, on_bad_row="ignore")


def test_rejects_are_written_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "ok"}\n{"text": "\\ud800 é"}\n{"text": ""}\n{"a" "b"}\n')
    out = tmp_path / "out" / "rejects.jsonl"
    write_rejects(out, load_rows(path).rejects)
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [record["line"] for record in written] == [2, 3, 4]
    assert written[0]["row"] == {"text": "\ud800 é"}
    assert written[2]["row"] == '{"a" "b"}'
    assert set(written[0]) == {"source", "line", "id", "reason", "row"}
    assert list(out.parent.iterdir()) == [out]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMED = ["prompt", "completion", "messages", "answers", "text", "id", "input_ids", "labels", "references", "checker"]
ODD_ROWS = st.dictionaries(st.sampled_from(NAMED), JSON_VALUES).map(lambda row: json.dumps(row).encode())
LINES = st.lists(st.binary(max_size=20).filter(lambda raw: b"\n" not in raw) | ODD_ROWS, max_size=12)


@given(lines=LINES, place=st.integers(0, 12))
@example(lines=[codecs.BOM_UTF8], place=1)
@example(lines=[codecs.BOM_UTF8], place=0)
def test_every_line_is_a_row_or_a_reject(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], place: int
) -> None:
    path = tmp_path_factory.mktemp("odd") / "a.jsonl"
    lines = [*lines[:place], b'{"id": "good", "prompt": "p", "completion": "c"}', *lines[place:]]
    path.write_bytes(b"\n".join(lines))
    loaded = load_rows(path, format="prompt_completion")
    # A byte order mark at the head of the file is no content: what is left of that line may be nothing.
    lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
    filled = [number for number, line in enumerate(lines, start=1) if line.strip()]
    assert loaded.read == len(loaded.rows) + len(loaded.rejects) == len(filled)
    assert sorted(item.line or 0 for item in [*loaded.rows, *loaded.rejects]) == filled
    assert any(row.prompt == "p" for row in loaded.rows)
    write_rejects(path.with_name("rejects.jsonl"), loaded.rejects)
