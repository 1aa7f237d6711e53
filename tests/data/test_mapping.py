"""Columns of another shape than ours: numbers, lists, ways into a column, tables without a header, checkers."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrotune.data import load_rows
from entrotune.errors import UserError
from evidence_files import write_evidence


def read(tmp_path: Path, row: Any, **columns: Any) -> Any:
    """The only row of a file, and the rejects of it."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({"a": "A", "b": "B", "n": 1}) + "\n", encoding="utf-8")
    return load_rows(path, columns=columns)


def test_numbers_and_lists_become_texts(tmp_path: Path) -> None:
    row = read(tmp_path, {"a": ["one", "two"], "b": "B", "n": 51.0}, prompt=["a", "b"], completion=["n", "b"]).rows[0]
    assert (row.prompt, row.answers) == ("one\ntwo\nB", ("51\nB",))
    row = read(tmp_path, {"a": 2.5, "b": ["x"], "n": 0}, prompt="b", completion="a").rows[0]
    assert (row.prompt, row.answers) == ("x", ("2.5",))


def test_what_is_no_text_is_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, {"a": True, "b": "B"}, prompt="b", completion="a")
    assert "wrong type: completion is true/false" in found.rejects[0].reason
    found = read(tmp_path, {"a": {"x": 1}, "b": "B"}, prompt=["a", "b"], completion="b")
    assert found.rejects[0].reason == "wrong type: only texts, numbers and lists of texts can be joined, got dict"
    assert len(found.rows) == 1


def test_ways_into_columns(tmp_path: Path) -> None:
    row = {"q": "why?", "answers": {"text": ["so", "thus"]}, "x.y": "plain", "parts": [{"in": "first"}]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({"q": "who?", "answers": {}}) + "\n", encoding="utf-8")
    found = load_rows(path, columns={"prompt": "q", "answers": "answers.text", "references": "answers.text"})
    assert (found.rows[0].answers, found.rows[0].references) == (("so", "thus"), ("so", "thus"))
    assert [reject.reason for reject in found.rejects] == ["missing column: answers.text"]
    # A column of that very name comes first.
    assert load_rows(path, columns={"prompt": "parts.0.in", "completion": "x.y"}).rows[0].answers == ("plain",)
    with pytest.raises(UserError, match=r"has no column 'answers\.texts'"):
        load_rows(path, columns={"prompt": "q", "answers": "answers.texts"})


@pytest.mark.parametrize(("name", "mark"), [("pairs.tsv", "\t"), ("pairs.csv", ",")])
def test_tables_without_a_header(tmp_path: Path, name: str, mark: str) -> None:
    path = tmp_path / name
    path.write_text(f"Run!{mark}Cours !\nRun!{mark}Courez !\nlost\n", encoding="utf-8")
    found = load_rows(path, columns={"prompt": "#1", "completion": "#2"})
    assert [(row.prompt, row.answers[0], row.line) for row in found.rows] == [
        ("Run!", "Cours !", 1),
        ("Run!", "Courez !", 2),
    ]
    assert found.rejects[0].reason == "wrong number of cells: 1 where the header has 2"
    with pytest.raises(UserError, match=r"names '#2' by its place.* and 'Run!' by its name"):
        load_rows(path, columns={"prompt": "Run!", "completion": "#2"})
    with pytest.raises(UserError, match="has no column '#3'"):
        load_rows(path, columns={"prompt": "#1", "completion": "#3"})


@pytest.mark.parametrize(
    ("given", "answer"),
    [(51.0, 51.0), (7, 7), ("So it is\n#### 1,504", "1504"), ("1/3", "1/3"), ({"kind": "exact", "answer": "a"}, "a")],
)
def test_a_number_is_a_numeric_checker(tmp_path: Path, given: Any, answer: Any) -> None:
    row = read(tmp_path, {"a": "A", "b": "B", "n": given}, prompt="a", completion="b", checker="n").rows[0]
    assert row.checker is not None
    assert row.checker["answer"] == answer
    assert row.checker["kind"] == ("exact" if isinstance(given, dict) else "numeric")


@pytest.mark.parametrize("names", [1, [], ["q", 2], [["q"]], None])
def test_a_mapping_to_no_name_is_refused(tmp_path: Path, names: Any) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "why"}\n')
    with pytest.raises(UserError, match=r"columns maps 'prompt' to .*; expected the name of a column"):
        load_rows(path, columns={"prompt": names})


def test_a_text_without_a_number_is_no_checker(tmp_path: Path) -> None:
    found = read(tmp_path, {"a": "A", "b": "B", "n": "none"}, prompt="a", completion="b", checker="n")
    assert found.rejects[0].reason.startswith("wrong type: checker is text, expected an object, a number")


def test_references_may_be_answers_with_a_text(tmp_path: Path) -> None:
    write_evidence(tmp_path)
    found = load_rows(tmp_path / "chats.jsonl", columns={"references": "answers"})
    assert found.rows[0].references == ("Cotto is old.", "I like Cotto a lot.") == found.rows[0].answers


def test_references_checker_and_id_take_no_column_away(tmp_path: Path) -> None:
    (tmp_path / "sums.jsonl").write_text('{"prompt": "2 + 2?", "completion": "4", "text": "s1"}', encoding="utf-8")
    columns = {"references": "completion", "checker": "completion", "id": "text"}
    row = load_rows(tmp_path / "sums.jsonl", columns=columns).rows[0]
    assert (row.id, row.answers, row.references) == ("s1", ("4",), ("4",))
    assert row.checker is not None
    renamed = load_rows(tmp_path / "sums.jsonl", columns={"prompt": "completion", "completion": "text"}).rows[0]
    assert renamed.answers == ("s1",)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "columns", "rows", "several"),
    [
        ("e2e_nlg/devset.csv", {"prompt": "mr", "completion": "ref", "references": "ref"}, 4672, 1),
        ("tatoeba_eng_fra/eng_fra.tsv", {"prompt": "#1", "completion": "#2", "references": "#2"}, 9750, 1),
        ("scitldr/dev.jsonl", {"prompt": "source", "answers": "target", "references": "target"}, 619, 3),
        ("oasst1/en-validation.multi_answer.jsonl", {"references": "answers"}, 475, 2),
        ("gsm8k", {"prompt": "question", "completion": "answer", "checker": "answer"}, 482, 0),
        (
            "svamp/SVAMP.json",
            {"id": "ID", "prompt": ["Body", "Question"], "completion": ["Equation", "Answer"], "checker": "Answer"},
            1000,
            0,
        ),
    ],
)
def test_public_data_as_it_is_published(
    shared_data: Path, file: str, columns: dict[str, Any], rows: int, several: int
) -> None:
    found = load_rows(shared_data / file, columns=columns)
    assert (len(found.rows), found.rejects) == (rows, [])
    assert max(len(row.references) for row in found.rows) >= several
    assert all((row.checker is not None) == ("checker" in columns) for row in found.rows)
