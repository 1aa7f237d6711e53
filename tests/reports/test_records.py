"""Reading records: what is accepted, and what is said about what is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrotune.errors import UserError
from entrotune.reports import read_record, read_run
from reports import records


def test_record_comes_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    path.write_text(json.dumps(records.comparison()), encoding="utf-8")
    assert read_record(path) == records.comparison()
    with pytest.raises(UserError, match='of kind "comparison", but one of kind "evaluation" is needed'):
        read_record(path, "evaluation")


BAD: list[Any] = [
    ("{", "is not JSON: line 1, column 2"),
    ("[]", "holds a JSON list"),
    ("{}", "has kind null"),
    ({"kind": "recipe"}, 'has kind "recipe", but a record\'s kind is "comparison" or "evaluation"'),
    ({"kind": ["comparison"]}, "has kind"),
    ({"kind": "comparison"}, "has schema_version null, but this entrotune reads version 1"),
    ({"kind": "comparison", "schema_version": 2}, "has schema_version 2"),
    ({"kind": "comparison", "schema_version": True}, "has schema_version true"),
    ({"kind": "comparison", "schema_version": 1}, 'a comparison needs a list "variants", got null'),
    ({"kind": "evaluation", "schema_version": 1, "settings": {}}, 'needs a list "settings", got object'),
    ({"kind": "comparison", "schema_version": 1, "variants": [{}]}, r"variants\[0\] needs a \"name\""),
    (
        {"kind": "comparison", "schema_version": 1, "variants": [{"name": "ce", "settings": 3}]},
        r'variants\[0\]: "settings" must be a list, got number',
    ),
    (
        {"kind": "evaluation", "schema_version": 1, "settings": [{"metrics": []}]},
        r"settings\[0\] must be an object",
    ),
    ({"kind": "evaluation", "schema_version": 1, "settings": [], "model": "smol"}, '"model" must be an object or null'),
]


@pytest.mark.parametrize(("content", "told"), BAD)
def test_bad_record_is_told_with_its_path(content: Any, told: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=told) as caught:
        read_record(path)
    assert str(path) in str(caught.value)


def test_absent_folder_and_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_record(tmp_path / "none.json")
    with pytest.raises(UserError, match="is a folder"):
        read_record(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(UserError, match="not UTF-8"):
        read_record(tmp_path / "latin.json")


def test_run_folder(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("objective: ce\nmodel: smol\n")
    (tmp_path / "run.json").write_text('{"status": "finished"}')
    # The last line is being written, or was when the run was killed.
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "nll": 2.0}\n\n{"step": 2, "nll": 1.5}\n{"step": 3, "n')
    run = read_run(tmp_path)
    assert run["name"] == tmp_path.name
    assert run["recipe"] == {"objective": "ce", "model": "smol"}
    assert run["run"] == {"status": "finished"}
    assert [row["step"] for row in run["metrics"]] == [1, 2]
    assert run["evaluation"] is None


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("metrics.jsonl", '{"step": 1}\n{"st\n{"step": 3}\n', r"metrics\.jsonl, line 2 is not JSON .*--resume"),
        ("metrics.jsonl", "1\n", "line 1 holds a JSON number"),
        ("recipe.yaml", "a: [", r"recipe\.yaml is not YAML"),
        ("recipe.yaml", "- ce\n", r"recipe\.yaml holds a list"),
        ("run.json", "[]", r"run\.json holds a JSON list"),
    ],
)
def test_bad_run_folder_is_told_with_file_and_line(name: str, content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=told):
        read_run(tmp_path)


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No run folder"):
        read_run(tmp_path / "none")
    with pytest.raises(UserError, match=r"No such file: .*metrics\.jsonl"):
        read_run(tmp_path)
