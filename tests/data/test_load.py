"""Sources and formats: what is read, from where, and what is said about it."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from entrotune.data import load_rows
from entrotune.data.hub import hub_records
from entrotune.errors import UserError

CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
SHAREGPT = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]


def write_lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


FORMAT_CASES = [
    ({"messages": CHAT}, "messages", {"messages": tuple(CHAT)}),
    ({"conversations": SHAREGPT}, "sharegpt", {"messages": tuple(CHAT)}),
    ({"prompt": "hi", "completion": "yo"}, "prompt_completion", {"prompt": "hi", "answers": ("yo",)}),
    (
        {"prompt": CHAT[:1], "completion": CHAT[1:]},
        "prompt_completion",
        {"prompt": tuple(CHAT[:1]), "answers": ("yo",)},
    ),
    ({"text": "once"}, "text", {"text": "once"}),
    ({"instruction": "Add", "input": "1 2", "output": "3"}, "alpaca", {"prompt": "Add\n\n1 2", "answers": ("3",)}),
    ({"instruction": "Add", "input": "", "output": "3"}, "alpaca", {"prompt": "Add", "answers": ("3",)}),
    ({"instruction": "Add", "output": "3"}, "alpaca", {"prompt": "Add", "answers": ("3",)}),
    ({"input_ids": [1, 2]}, "pretokenised", {"input_ids": (1, 2), "labels": (1, 2)}),
    ({"input_ids": [1, 2], "labels": [-100, 2]}, "pretokenised", {"input_ids": (1, 2), "labels": (-100, 2)}),
    (
        {"input_ids": [0, 1, 2], "attention_mask": [0, 1, 1]},
        "pretokenised",
        {"input_ids": (1, 2), "labels": (1, 2)},
    ),
    ({"prompt": "hi", "answers": ["yo", "hey"]}, "answers", {"prompt": "hi", "answers": ("yo", "hey")}),
    (
        {"messages": CHAT[:1], "answers": [{"text": "yo", "rank": 0}, {"content": "hey"}]},
        "answers",
        {"prompt": tuple(CHAT[:1]), "answers": ("yo", "hey")},
    ),
    ({"prompt": "2+2?", "references": [4.0, "four"]}, "prompt", {"prompt": "2+2?", "references": ("4", "four")}),
]


@pytest.mark.parametrize(("record", "format", "expected"), FORMAT_CASES)
def test_each_format_is_recognised_and_read(tmp_path: Path, record: Any, format: str, expected: Any) -> None:
    loaded = load_rows(write_lines(tmp_path / "rows.jsonl", record))
    (row,) = loaded.rows
    assert loaded.format == format
    assert {name: getattr(row, name) for name in expected} == expected
    assert (row.id, row.line, loaded.read, loaded.rejects) == ("rows.jsonl:1", 1, 1, [])
    assert format in loaded.describe()


# A parquet column has one type, so the cases that mix types are left to JSON.
ONE_TYPE_CASES = [case for case in FORMAT_CASES if "references" not in case[0] and "rank" not in str(case[0])]


@pytest.mark.parametrize(("record", "format", "expected"), ONE_TYPE_CASES)
def test_parquet_gives_the_same_rows_as_json_lines(tmp_path: Path, record: Any, format: str, expected: Any) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist([record, record]), path)
    loaded = load_rows(path)
    assert loaded.format == format
    assert [{name: getattr(row, name) for name in expected} for row in loaded.rows] == [expected, expected]
    assert [row.line for row in loaded.rows] == [1, 2]


def test_optional_columns_are_kept_and_the_rest_is_extra(tmp_path: Path) -> None:
    checker = {"kind": "exact"}
    path = write_lines(
        tmp_path / "a.jsonl",
        {"id": 7, "prompt": "p", "completion": "c", "references": "r", "checker": checker, "topic": "x", "text": "t"},
    )
    (row,) = load_rows(path).rows
    assert (row.id, row.references, row.checker) == ("7", ("r",), checker)
    assert row.extra == {"topic": "x", "text": "t"}


def test_columns_are_renamed_and_joined(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"body": "One and one.", "question": "Sum?", "answer": "2", "text": "no"})
    columns = {"prompt": ["body", "question"], "completion": "answer", "references": "answer"}
    loaded = load_rows(path, columns=columns)
    (row,) = loaded.rows
    assert loaded.format == "prompt_completion"
    assert (row.prompt, row.answers, row.references) == ("One and one.\nSum?", ("2",), ("2",))
    assert row.extra == {"text": "no"}


def test_a_format_can_be_asked_for(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"prompt": "p", "completion": "c", "text": "t"})
    assert load_rows(path).format == "prompt_completion"
    (row,) = load_rows(path, format="text").rows
    assert row.text == "t"
    with pytest.raises(UserError, match="alpaca needs instruction"):
        load_rows(path, format="alpaca")
    with pytest.raises(UserError, match=r"'txt'; expected auto or one of .*messages"):
        load_rows(path, format="txt")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": "question"}, r"no column 'question' \(for prompt\); it has 'prompt', 'completion'"),
        ({"promt": "prompt"}, r"maps 'promt', which is no column here; expected .*prompt"),
    ],
)
def test_a_wrong_mapping_lists_the_columns(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"prompt": "p", "completion": "c"})
    with pytest.raises(UserError, match=message):
        load_rows(path, columns=columns)


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("rows.csv", "prompt;completion\na;b\n", "separated by semicolons; save it with commas"),
        ("rows.csv", "question,reply\na,b\n", r"--columns '\{\"prompt\": \"question\""),
        (":", None, "':' names no data set"),
    ],
)
def test_advice_can_be_followed(tmp_path: Path, name: str, content: str | None, advice: str) -> None:
    source = name if content is None else str(tmp_path / name)
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=advice):
        load_rows(source)


def test_unknown_columns_name_the_formats(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"question": "p", "reply": "c"})
    with pytest.raises(UserError, match=r"'question', 'reply', which fit no format; .*prompt_completion \(prompt"):
        load_rows(path)


@pytest.mark.parametrize("wrapped", [False, True])
def test_json_keeps_line_numbers(tmp_path: Path, wrapped: bool) -> None:
    rows = [{"text": "a"}, {"text": ""}, {"text": "c\nd"}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"about": {"n": [1]}, "data": rows} if wrapped else rows, indent=1))
    loaded = load_rows(path)
    lines = path.read_text().splitlines()
    assert [row.text for row in loaded.rows] == ["a", "c\nd"]
    for item in [*loaded.rows, *loaded.rejects]:
        assert lines[(item.line or 0) - 1].strip() == "{"
        assert '"text"' in lines[item.line or 0]
    assert loaded.rejects[0].line < loaded.rows[1].line


def test_items_on_one_line_of_a_json_file_are_rows_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"}, {"text": ""}, {"text": "c"},\n{"text": "d"}, {"id": "own", "text": "e"}]')
    loaded = load_rows(path)
    assert [(row.id, row.line) for row in loaded.rows] == [
        ("a.json:1", 1),
        ("a.json:1.3", 1),
        ("a.json:2", 2),
        ("own", 2),
    ]
    assert [reject.reason.split(":")[0] for reject in loaded.rejects] == ["empty"]


def test_json_lines_in_a_json_file_are_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.json", {"text": "a"}, {"text": "b"})
    assert [(row.text, row.line) for row in load_rows(path).rows] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"},\n {"text": }]', r"a\.json:2: invalid JSON"),
        ('[{"text": "a"}\n\n {"text": "b"}]', r"a\.json:3: invalid JSON: expected ','"),
        ('[\n{"text": NaN}]', r"a\.json:2: invalid JSON: NaN is not a JSON value"),
        ('{"rows": []}', "holds no list of rows"),
        ("3", "holds no list of rows"),
        ("", "holds no list of rows"),
        ("[]", "is empty: it holds no row"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_json_names_the_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_rows(path)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_list_in_a_json_lines_file_is_read(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "rows.jsonl"
    items = [{"prompt": f"q{i}", "completion": "a"} for i in range(3)]
    path.write_text("\ufeff" + json.dumps(items, indent=indent), encoding="utf-8")
    found = load_rows(path)
    assert [row.prompt for row in found.rows] == ["q0", "q1", "q2"]
    assert not found.rejects
    # A first line that is broken, or a list among rows, is a row that cannot be used.
    path.write_text('[{"prompt": "q"\n' + json.dumps(items[0]) + "\n" + json.dumps(items[1]))
    found = load_rows(path)
    assert len(found.rows) == 2
    assert [(one.line, one.reason.split(":")[0]) for one in found.rejects] == [(1, "invalid JSON")]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv", "rows.txt"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_utf16_is_named(tmp_path: Path, name: str, order: str) -> None:
    path = tmp_path / name
    path.write_bytes("\ufeffprompt,completion\na,b\n".encode(f"utf-16-{order}"))
    with pytest.raises(UserError, match=rf"{name} is in UTF-16; save it as UTF-8 \(iconv"):
        load_rows(path)


def test_rows_read_as_plain_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text(json.dumps({"prompt": "q", "completion": "a"}) + "\n", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"look like JSON objects and are read as plain text; name it .jsonl"):
        assert load_rows(path).format == "text"


def test_csv_cells_may_hold_lines_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('prompt,answers,references\n"a\nb","[""x"", ""y""]",[z\nq,only,\n', encoding="utf-8-sig")
    first, second = load_rows(path).rows
    assert (first.prompt, first.answers, first.references, first.line) == ("a\nb", ("x", "y"), ("[z",), 2)
    assert (second.prompt, second.answers, second.references, second.line) == ("q", ("only",), (), 4)


def test_tsv_takes_quotation_marks_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('prompt\tcompletion\n"Hi," he said\t"\n')
    (row,) = load_rows(path).rows
    assert (row.prompt, row.answers) == ('"Hi," he said', ('"',))


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "x" * 300_000 + "\n")
    assert len(load_rows(path).rows[0].text or "") == 300_000


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty; expected a header"), ("a,b,a\n", "names 'a' more than once"), ("text\n", "holds no row")],
)
def test_a_csv_without_rows_or_header_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_rows(path)


def test_a_folder_is_read_in_order_of_names(tmp_path: Path) -> None:
    write_lines(tmp_path / "b.jsonl", {"text": "b"})
    (tmp_path / "a.csv").write_text("text\na\n")
    (tmp_path / "README.md").write_text("not data")
    loaded = load_rows(tmp_path)
    assert [(row.text, row.id, Path(row.source).name) for row in loaded.rows] == [
        ("a", "a.csv:2", "a.csv"),
        ("b", "b.jsonl:1", "b.jsonl"),
    ]


def test_limit_counts_usable_rows_and_reads_no_further(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": ""}, {"text": "a"}, {"text": "b"}, {"text": ""}, {"text": "c"})
    loaded = load_rows(path, limit=2)
    assert ([row.text for row in loaded.rows], len(loaded.rejects), loaded.read) == (["a", "b"], 1, 3)
    with pytest.raises(UserError, match="limit is 0"):
        load_rows(path, limit=0)


def test_limit_reads_only_the_start_of_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": [f"row {n}" for n in range(20_000)]}), path, row_group_size=1000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    assert [row.text for row in load_rows(path, limit=3).rows] == ["row 0", "row 1", "row 2"]
    with pytest.raises(UserError, match="cannot be read as parquet"):
        load_rows(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jsonl", "no such file or folder"),
        ("./missing", "no such file or folder"),
        ("", "the data source is empty"),
        ("nobody/nothing", "is no file here, and as a data set it is not cached"),
    ],
)
def test_a_source_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        load_rows(name)


def test_a_hub_that_does_not_answer_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match="is no file here, and as a data set it is not cached"):
        load_rows("nobody/nothing")
    assert "Retry" not in capfd.readouterr().err
    assert not constants.HF_HUB_OFFLINE
    assert not datasets.config.HF_HUB_OFFLINE


def test_a_link_to_nothing_in_a_folder_is_not_passed_over(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", {"text": "a"})
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert len(load_rows(tmp_path).rows) == 2
    (tmp_path / "c.jsonl").symlink_to(tmp_path / "gone.jsonl")
    with pytest.raises(UserError, match=r"c\.jsonl cannot be read: No such file"):
        load_rows(tmp_path)


def test_a_file_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jsonl")
    write_lines(path, {"text": "a"})
    with pytest.raises(UserError, match=r"the name of .* is not UTF-8"):
        load_rows(path)


def test_files_of_no_known_kind(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("hello")
    (tmp_path / "a.parquet").write_text("hello")
    with pytest.raises(UserError, match=r"no ending that is known; expected a file ending in \.jsonl"):
        load_rows(tmp_path / "a.pdf")
    with pytest.raises(UserError, match="cannot be read as parquet"):
        load_rows(tmp_path / "a.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no data file"):
        load_rows(tmp_path / "empty")


@pytest.mark.parametrize("streaming", [False, True])
def test_the_datasets_library_gives_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    write_lines(folder / "train.jsonl", {"text": "a"}, {"text": "b"})
    records = list(hub_records(str(folder), split="train", streaming=streaming))
    assert [(record.content, record.line) for record in records] == [({"text": "a"}, 1), ({"text": "b"}, 2)]
    assert records[0].source == f"{folder}[train]"
    with pytest.raises(UserError, match=r"split 'tset', cannot be loaded: .*tset"):
        list(hub_records(str(folder), split="tset", streaming=streaming))


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1).filter(str.strip)


@given(cells=st.lists(st.tuples(NAMES, NAMES), min_size=1))
def test_csv_round_trip(tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("prompt", "completion"), *cells])
    rows = load_rows(path).rows
    assert [(row.prompt, row.answers[0]) for row in rows] == cells
