"""What is said of a run's rows: counts that add up with several answers and two files, and prompts on both sides."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrotune import train
from entrotune.training import TrainConfig, read_rows
from entrotune.training.run_folder import RunFolder
from tiny import byte_tokenizer

Recipe = Callable[..., TrainConfig]


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(folder: Path, trained: list[dict[str, Any]], held: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    config = TrainConfig(
        data=written(folder / "train.jsonl", trained),
        validation=written(folder / "held.jsonl", held),
        out=str(folder / "run"),
        max_length=40,
        **options,
    )
    return read_rows(config, byte_tokenizer(template=None)).counts


def test_an_answer_that_is_too_long_is_no_rejected_row(tmp_path: Path) -> None:
    long = "x" * 60
    trained = [{"prompt": "a", "answers": ["b", long, long]}, {"prompt": "c", "answers": [long, long]}]
    counts = read(tmp_path, [*trained, {"prompt": "d"}], [{"prompt": "e", "answers": ["f"]}])
    assert (counts["rows_read"], counts["train_rows"], counts["validation_rows"]) == (4, 1, 1)
    assert (counts["rows_rejected"], counts["rejects"]) == (2, 5)


def test_rows_of_two_files_with_the_same_ids_keep_their_groups(tmp_path: Path) -> None:
    rows = [{"id": f"r{i}", "prompt": f"p{i}", "completion": "y", "task": "qa"} for i in range(3)]
    held = [row | {"prompt": f"held {row['id']}", "task": "story"} for row in rows]
    by_task = {"alpha": {"by": "task", "qa": 0.1, "story": 0.2}}
    counts = read(tmp_path, rows, held, objective="ce - alpha*entropy", coefficients=by_task)
    found = {name: group["examples"] for name, group in counts["groups"]["counts"].items()}
    assert found == {"qa": 3, "story": 3}


def test_validation_prompts_that_are_trained_on_are_counted(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "completion": "y"} for i in range(3)]
    counts = read(tmp_path, rows, [{"prompt": " P1", "completion": "z"}, {"prompt": "new", "completion": "z"}])
    assert counts["validation_rows_in_training"] == 1
    assert "validation_rows_in_training" not in read(tmp_path, rows, [{"prompt": "new", "completion": "z"}])


def test_train_says_what_was_rejected_and_what_is_on_both_sides(
    tmp_path: Path, recipe: Recipe, data: Path, capsys: Any
) -> None:
    lines = data.read_text().splitlines(keepends=True)
    data.write_text("".join([*lines, "{not json\n"]))
    (tmp_path / "held.jsonl").write_text("".join(lines[:2]))
    config = recipe(max_steps=1, validation=str(tmp_path / "held.jsonl"))
    train(config)
    told = capsys.readouterr().err
    assert f"1 of 27 rows rejected; {RunFolder(config.out).rejects} says which and why" in told
    assert "2 of 2 validation rows have a prompt that is trained on" in told
