"""A run that is stopped and resumed is the run that was never stopped, bit by bit."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from entrotune.errors import UserError
from entrotune.training import TrainConfig, run_training
from stopped_runs import leftovers, metrics, run_stopped, weights

Recipe = Callable[..., TrainConfig]
# What a logging window, an interval of checkpoints, epochs and accumulation make when nothing divides anything.
UNEVEN: dict[str, Any] = {"save_every": 3, "log_every": 4, "epochs": 2.4, "keep_checkpoints": 1}


def assert_same_run(one: TrainConfig, other: TrainConfig) -> None:
    found, expected = (weights(Path(config.out) / "model") for config in (other, one))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert metrics(other.out) == metrics(one.out)
    records = [json.loads((Path(config.out) / "run.json").read_text()) for config in (one, other)]
    for key in ("status", "error", "steps", "best_step", "saved_step", "tokens", "start_nll", "best_nll", "last_nll"):
        assert records[0].get(key) == records[1].get(key), key
    assert leftovers(other.out) == []


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_killed_run_resumes_exactly(recipe: Recipe, tmp_path: Path, method: str, accumulation: int) -> None:
    options = UNEVEN | {"method": method, "accumulation": accumulation, "objective": "ce - 0.1*entropy"}
    if accumulation == 3:
        options |= {"epochs": 5.5}
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    run_training(whole)
    # Before the first checkpoint; then mid-epoch; then inside of a save.
    for stop, step in (("kill", 2), ("kill", 8), ("kill in checkpoint", 9)):
        code, _ = run_stopped(stopped, stop, step, tmp_path)
        assert code == -signal.SIGKILL
        stopped = stopped.replace(resume=True)
    assert (Path(stopped.out) / "checkpoints/.partial/checkpoint-9").exists()
    assert json.loads((Path(stopped.out) / "run.json").read_text())["status"] == "running"
    record = run_training(stopped)
    assert record["status"] == "finished"
    assert_same_run(whole, stopped)


@pytest.mark.parametrize(
    "changes",
    [
        {"save_every": 5, "evaluate_every": "epoch"},  # a checkpoint and a validation fall due at the end of an epoch
        {"save_every": "epoch", "evaluate_every": 2},
        # The noise goes on as it was.
        {"save_every": 1, "evaluate_every": "epoch", "max_steps": 7, "neftune_noise_alpha": 5},
        {"save_every": 2, "evaluate_every": 3, "packing": True, "batch_size": 1, "max_steps": 7},
    ],
)
def test_killed_right_after_each_checkpoint(recipe: Recipe, tmp_path: Path, changes: dict[str, Any]) -> None:
    whole, stopped = recipe("whole", **changes), recipe("stopped", **changes)
    steps = run_training(whole)["steps"]
    for step in (6, steps):
        code, _ = run_stopped(stopped, "kill", step, tmp_path)
        assert code == -signal.SIGKILL
        stopped = stopped.replace(resume=True)
    assert run_stopped(stopped, "kill after training", 0, tmp_path)[0] == -signal.SIGKILL
    run_training(stopped)
    assert_same_run(whole, stopped)


def test_a_folder_that_was_moved_goes_on_under_its_new_name(recipe: Recipe, tmp_path: Path) -> None:
    whole, stopped = recipe("whole", **UNEVEN), recipe("stopped", **UNEVEN)
    run_training(whole)
    assert run_stopped(stopped, "kill", 5, tmp_path)[0] == -signal.SIGKILL
    moved = stopped.replace(out=str(tmp_path / "elsewhere" / "moved"), resume=True)
    Path(moved.out).parent.mkdir()
    Path(stopped.out).rename(moved.out)
    with pytest.raises(UserError, match=r"holds another run \(seed: 0 in the run, 1 now\); use its recipe"):
        run_training(moved.replace(seed=1))
    run_training(moved)
    assert_same_run(whole, moved)
    assert not Path(stopped.out).exists()
    assert yaml.safe_load((Path(moved.out) / "recipe.yaml").read_text(encoding="utf-8"))["out"] == moved.out


def test_killed_while_the_model_is_saved(recipe: Recipe, tmp_path: Path) -> None:
    options = {"max_steps": 3, "save_every": 2}  # the last step is no end of an epoch
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    run_training(whole)
    assert run_stopped(stopped, "kill in model", 0, tmp_path)[0] == -signal.SIGKILL
    assert leftovers(stopped.out)
    assert not (Path(stopped.out) / "model").exists()
    run_training(stopped.replace(resume=True))
    assert_same_run(whole, stopped)


def test_ctrl_c(recipe: Recipe, tmp_path: Path) -> None:
    whole, stopped = recipe("whole", **UNEVEN), recipe("stopped", **UNEVEN)
    run_training(whole)
    code, error = run_stopped(stopped, "interrupt", 7, tmp_path)
    assert code == 0
    assert error == ["KeyboardInterrupt", False, ""]
    record = json.loads((Path(stopped.out) / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert record["error"] is None
    assert leftovers(stopped.out) == []
    before = record["seconds"]
    after = run_training(stopped.replace(resume=True))
    assert_same_run(whole, stopped)
    assert after["started"] == record["started"]
    # The sum of both, in the record and in the metrics alike.
    seconds = [json.loads(line)["seconds"] for line in (Path(stopped.out) / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds)
    assert after["seconds"] > before
    assert after["seconds"] >= seconds[-1] > before


def test_early_stopping_is_not_undone_by_a_kill(recipe: Recipe, tmp_path: Path, overfits: dict[str, Any]) -> None:
    options = overfits | {"early_stopping": 2, "save_every": 1}
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    record = run_training(whole)
    assert (record["best_step"], record["steps"]) == (4, 8)
    assert run_stopped(stopped, "kill after training", 0, tmp_path)[0] == -signal.SIGKILL
    run_training(stopped.replace(resume=True))
    assert_same_run(whole, stopped)


def test_early_stopping_remembers_over_a_kill(recipe: Recipe, tmp_path: Path, overfits: dict[str, Any]) -> None:
    options = overfits | {"early_stopping": 2, "save_every": 3}
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    run_training(whole)
    assert run_stopped(stopped, "kill", 7, tmp_path)[0] == -signal.SIGKILL
    run_training(stopped.replace(resume=True))
    assert_same_run(whole, stopped)


def test_the_best_step_is_kept_over_a_resume(recipe: Recipe, tmp_path: Path, overfits: dict[str, Any]) -> None:
    options = overfits | {"keep": "best", "keep_checkpoints": 1}
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    record = run_training(whole)
    assert (record["best_step"], record["saved_step"], record["steps"]) == (4, 4, 12)
    # The best one is behind, and the last one.
    assert sorted(path.name for path in (Path(whole.out) / "checkpoints").iterdir()) == ["step-12", "step-4"]
    best, last = (weights(Path(whole.out) / "checkpoints" / f"step-{step}") for step in (4, 12))
    saved = weights(Path(whole.out) / "model")
    assert all(torch.equal(best[name], value) for name, value in saved.items())
    assert not all(torch.equal(last[name], value) for name, value in saved.items())
    assert run_stopped(stopped, "kill", 9, tmp_path)[0] == -signal.SIGKILL
    run_training(stopped.replace(resume=True))
    assert_same_run(whole, stopped)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_full_disk(recipe: Recipe, tmp_path: Path, method: str) -> None:
    options = {"method": method, "save_every": 2, "lora_rank": 64, "keep_checkpoints": 1}
    whole, stopped = recipe("whole", **options), recipe("stopped", **options)
    run_training(whole)
    _, error = run_stopped(stopped, "disk", 4, tmp_path)
    assert error is not None
    assert error[:2] == ["UserError", True]
    good = Path(stopped.out) / "checkpoints/step-2"
    assert "checkpoint of step 4 could not be written" in error[2]
    assert f"last good checkpoint is {good}. Make room" in error[2]
    assert "\n" not in error[2]
    assert [path.name for path in good.parent.iterdir()] == ["step-2"]
    record = json.loads((Path(stopped.out) / "run.json").read_text())
    assert (record["status"], record["error"]) == ("failed", error[2])
    # Full again when all that is left is to write the model.
    _, error = run_stopped(stopped.replace(resume=True), "disk after training", 0, tmp_path)
    assert error is not None
    assert error[:2] == ["UserError", True]
    assert "the model could not be written" in error[2]
    assert "step-10. Make room" in error[2]
    assert not (Path(stopped.out) / "model").exists()
    run_training(stopped.replace(resume=True))
    assert_same_run(whole, stopped)
