"""Standard tasks by lm-eval, from local files: the same accuracy as our own reading of multiple-choice rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrotune.errors import UserError
from entrotune.evaluation.choice_likelihood import ChoiceReader, encode_choices
from entrotune.evaluation.choices import load_choices
from entrotune.evaluation.standard_tasks import StandardTasks
from entrotune.experiments.evaluate import evaluate
from entrotune.models import load_model
from entrotune.reports import task_table, write_evaluation_report
from tiny_files import write_model, write_rows

pytest.importorskip("lm_eval")

TASK = """
task: hellaswag_local
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {file}
validation_split: validation
output_type: multiple_choice
doc_to_text: "{{{{ctx}}}}"
doc_to_target: "{{{{label}}}}"
doc_to_choice: endings
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task file on 20 rows, and the rows."""
    folder = tmp_path_factory.mktemp("tasks")
    words = ("red", "a blue whale", "nine", "no", "green tea, cold", "old")
    rows = [
        {"ctx": f"{i} is", "endings": [words[(i + k) % 6] + "." * (k * i % 4) for k in range(4)], "label": i % 4}
        for i in range(20)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "task.yaml").write_text(TASK.format(file=folder / "rows.jsonl"), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")


def test_equal_to_our_own_answers(model: Path, folder: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", count=3)
    options: dict[str, Any] = {
        "data": str(tmp_path / "rows.jsonl"),
        "prompts": 0,
        "out": tmp_path / "out",
        "lm_eval": ["hellaswag_local"],
        "lm_eval_path": str(folder),
    }
    record = evaluate(str(model), **options)
    found = record["lm_eval"]["tasks"][0]
    assert (found["task"], found["version"], found["shots"], found["n"], found["of"]) == (
        "hellaswag_local",
        1.0,
        0,
        20,
        20,
    )
    loaded, tokenizer = load_model(str(model))
    rows = encode_choices(load_choices(str(folder / "rows.jsonl")).rows, tokenizer)
    answers = {one.id: one for batch in ChoiceReader(loaded, tokenizer).answers(rows) for one in batch}
    plain = [min(range(4), key=answers[one.row.id].nll.__getitem__) == one.row.label for one in rows]
    normed = [answers[one.row.id].choice("bytes") == one.row.label for one in rows]
    metrics = found["metrics"]
    assert 0 < sum(plain) < 20
    assert sum(plain) != sum(normed)
    assert metrics["acc"]["value"] == pytest.approx(sum(plain) / 20)
    assert metrics["acc_norm"]["value"] == pytest.approx(sum(normed) / 20)
    share = sum(plain) / 20
    arm = 1.959964 * (share * (1 - share) / 19) ** 0.5
    assert metrics["acc"]["low"] == pytest.approx(share - arm, abs=1e-6)
    assert metrics["acc"]["higher_is_better"] is True

    assert (
        json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))["lm_eval"] == record["lm_eval"]
    )
    table = task_table(record)
    assert table is not None
    assert table.row_count == 2
    write_evaluation_report(record, tmp_path / "report.html")
    assert "hellaswag_local" in (tmp_path / "report.html").read_text(encoding="utf-8")
    # Results are kept: a resumed evaluation reads them.
    kept = tmp_path / "out" / "lm_eval.json"
    kept.write_text(kept.read_text(encoding="utf-8").replace('"n": 20', '"n": 19'), encoding="utf-8")
    assert evaluate(str(model), **options, resume=True)["lm_eval"]["tasks"][0]["n"] == 19
    assert evaluate(str(model), **options, overwrite=True)["lm_eval"]["tasks"][0]["n"] == 20


def test_the_first_documents_alone(model: Path, folder: Path) -> None:
    loaded, tokenizer = load_model(str(model))
    tasks = StandardTasks(["hellaswag_local"], path=str(folder), limit=5)
    found = tasks.run(loaded, tokenizer, seed=0, batch_size=4)
    assert (found["tasks"][0]["n"], found["tasks"][0]["of"], found["limit"]) == (5, 20, 5)


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        StandardTasks(["hellaswag_local"], path=str(tmp_path / "none"))
    with pytest.raises(UserError, match="lm_eval_limit must be at least 1"):
        StandardTasks(["hellaswag_local"], path=str(folder), limit=0)
    (tmp_path / "lost.yaml").write_text(TASK.format(file=tmp_path / "lost.jsonl"), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"the data of hellaswag_local cannot be had: .*give its folder as lm_eval_path"
    ):
        StandardTasks(["hellaswag_local"], path=str(tmp_path))


@pytest.mark.heavy
def test_names_of_lm_eval_itself(tmp_path: Path) -> None:
    """Reading its thousands of tasks takes a while."""
    with pytest.raises(UserError, match=r"no task of lm-eval is called 'helaswag'; did you mean .*hellaswag"):
        StandardTasks(["helaswag"])
    with pytest.raises(UserError, match="no task of lm-eval or in"):
        StandardTasks(["zzzzzz"], path=str(tmp_path))
