"""Whose folder it is: a new run's, one to resume, one to replace, or somebody else's."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from entrotune.errors import UserError
from entrotune.files import alone
from entrotune.training import RunFolder, TrainConfig, run_training

Recipe = Callable[..., TrainConfig]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(config: TrainConfig, says: str) -> str:
    """The message of a refusal that touches nothing."""
    out = Path(config.out)
    before = content(out) if out.is_dir() else out.read_bytes()
    with pytest.raises(UserError, match=says) as caught:
        run_training(config)
    assert (content(out) if out.is_dir() else out.read_bytes()) == before
    return str(caught.value)


def test_an_occupied_folder(recipe: Recipe) -> None:
    config = recipe(max_steps=2)
    first = run_training(config)
    refused(config, "already holds a run; add --resume to go on, --overwrite to replace it")
    changed = refused(config.replace(resume=True, seed=1, learning_rate=0.5), "holds another run")
    assert "(learning_rate: 0.01 in the run, 0.5 now; seed: 0 in the run, 1 now)" in changed
    # What only says how a run is watched may change.
    before = content(Path(config.out))
    assert run_training(config.replace(resume=True, keep_checkpoints=7)) == first
    assert content(Path(config.out)) == before


def test_a_folder_that_another_process_works_on(recipe: Recipe) -> None:
    config = recipe(max_steps=1)
    out = Path(config.out)
    with alone(out):
        refused(config, "another process works on .*; wait for it, or give another folder")
    record = run_training(config)
    with alone(out):
        assert run_training(config.replace(resume=True)) == record  # nothing is written
        refused(config.replace(overwrite=True), "another process works on")
    assert run_training(config.replace(overwrite=True))["steps"] == record["steps"]


def test_a_finished_run_needs_neither_model_nor_data(recipe: Recipe, data: Path) -> None:
    config = recipe(max_steps=1)
    first = run_training(config)
    data.unlink()
    assert run_training(config.replace(resume=True)) == first


def test_a_run_that_was_refused_at_once_does_not_keep_the_folder(recipe: Recipe) -> None:
    wrong = recipe(max_steps=1, objective="ce - alpha*entropy", coefficients={"alpha": {"target_entropy": 99.0}})
    with pytest.raises(UserError, match="target_entropy"):
        run_training(wrong)
    assert RunFolder(wrong.out).read_record()["status"] == "failed"
    record = run_training(recipe(max_steps=1))
    assert (record["status"], record["objective"]) == ("finished", "ce")
    # One that failed later has something to lose.
    RunFolder(wrong.out).write_record(status="failed")
    refused(recipe(max_steps=1), "already holds a run")


def test_overwriting(recipe: Recipe) -> None:
    config = recipe(max_steps=2, save_every=1, keep_checkpoints=9)
    run_training(config)
    out = Path(config.out)
    notes = out / "notes.txt"
    notes.write_text("mine")
    (out / "report.html").write_text("of the run before")
    record = run_training(config.replace(overwrite=True, max_steps=1, seed=4))
    assert (record["seed"], record["steps"], record["status"]) == (4, 1, "finished")
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-1"]
    assert not (out / "report.html").exists()
    assert notes.read_text() == "mine"


@pytest.mark.parametrize("flag", [None, "resume", "overwrite"])
@pytest.mark.parametrize("name", ["thesis.txt", "recipe.yaml", "comparison.json"])
def test_foreign_files_are_left_alone(recipe: Recipe, flag: str | None, name: str) -> None:
    config = recipe(**({flag: True} if flag else {}))
    Path(config.out).mkdir()
    (Path(config.out) / name).write_text("{}")
    refused(config, "holds other files and no run; give the name of another folder")


def test_out_is_a_file(recipe: Recipe) -> None:
    config = recipe(overwrite=True)
    Path(config.out).write_text("a file")
    refused(config, "is a file; give the name of a folder")


def test_an_empty_folder_and_one_with_leftovers_will_do(recipe: Recipe) -> None:
    config = recipe(max_steps=1, resume=True)
    Path(config.out).mkdir()
    (Path(config.out) / ".run.json.abc.partial").write_text("{")
    assert run_training(config)["status"] == "finished"
    assert [path.name for path in Path(config.out).glob(".*")] == [".lock"]


def test_changed_data_and_changed_models_are_refused(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    config = recipe(max_steps=1)
    run_training(config)
    record = json.loads((Path(config.out) / "run.json").read_text())
    (Path(config.out) / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    rows = data.read_text()
    data.write_text(rows.replace("count to 3", "count to three"))
    refused(config.replace(resume=True), "the data .*rows.jsonl changed since .*run was begun")
    data.write_text(rows)
    record["model"]["fingerprint"] = "of other weights"
    (Path(config.out) / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    refused(config.replace(resume=True), "the model .* changed since .*run was begun")


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in ("step-9", "step-10", ".partial", "step-11 copy", "step-x"):
        (folder.checkpoints / name).mkdir(parents=True)
    assert folder.last_checkpoint() == folder.checkpoints / "step-10"


def test_metrics_are_cut_at_a_step(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    lines = [json.dumps({"step": step, "nll": 1.5}) for step in (0, 1, 2, 2, 3)]
    folder.metrics.write_text("\n".join(lines) + '\n{"step": 4, "nl')
    assert len(folder.read_metrics()) == 5
    folder.cut_metrics(2)
    assert folder.metrics.read_text() == "\n".join(lines[:4]) + "\n"
    folder.cut_metrics(-1)
    assert folder.metrics.read_text() == ""


def test_only_one_of_several_processes_writes(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, writes=False)
    assert folder.write_record(status="running")["status"] == "running"
    folder.cut_metrics(3)
    assert list(tmp_path.iterdir()) == []
