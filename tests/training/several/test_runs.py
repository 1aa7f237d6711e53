"""`entrotune train` on two processes: one run folder, as one process would have made it, whatever happens."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from commands import command_here
from entrotune.cli.main import main
from entrotune.errors import UserError
from entrotune.training import TrainConfig, run_training
from several_processes import launch, launcher, run_line
from stopped_runs import leftovers, metrics, weights
from tiny_files import write_model, write_rows
from training.several.recipes import FSDP

ENTROTUNE = "training.several.recipes:run"
# Sums over two processes round in another order, and Adam divides by a gradient's size.
SAME = {"rtol": 1e-4, "atol": 2e-6}
# Nothing divides anything: 19 rows in batches of 4, validations of 5 rows, logs between checkpoints.
OPTIONS: dict[str, Any] = {
    "method": "full",
    "validation": 5,
    "epochs": 2,
    "learning_rate": 1e-2,
    "max_length": 64,
    "precision": "float32",
    "objective": "ce - 0.1*entropy",
    "evaluate_every": 3,
    "save_every": 2,
    "log_every": 3,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and rows."""
    folder = tmp_path_factory.mktemp("several")
    write_model(folder / "tiny")
    write_rows(folder / "rows.jsonl")
    return folder


def options(place: Path, out: str, *, processes: int = 2, **changes: Any) -> dict[str, Any]:
    paths = {"model": str(place / "tiny"), "data": str(place / "rows.jsonl"), "out": str(place / out)}
    return OPTIONS | paths | {"batch_size": 4 // processes} | changes


def train_line(given: dict[str, Any]) -> list[str]:
    return ["train", *(str(part) for key, value in given.items() for part in (f"--{key}", value))]


@pytest.fixture(scope="module")
def alone(place: Path) -> Path:
    """The run of one process."""
    given = options(place, "alone", processes=1)
    run_training(TrainConfig(**given))
    return Path(given["out"])


def assert_same_run(out: Path, expected: Path, *, processes: int = 2, exactly: bool = False) -> None:
    found, model = weights(out / "model"), weights(expected / "model")
    assert found.keys() == model.keys()
    for name, value in model.items():
        torch.testing.assert_close(found[name], value, **({"rtol": 0, "atol": 0} if exactly else SAME))
    rows, others = metrics(out), metrics(expected)
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys()
        for key, value in other.items():
            close = not exactly and isinstance(value, float)
            assert row[key] == (pytest.approx(value, rel=1e-4) if close else value), (key, other["step"])
    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["processes"]) == ("finished", processes)
    # torch names the table of contents of a sharded checkpoint so.
    assert [path for path in leftovers(out) if path.name != ".metadata"] == []


def test_torchrun(place: Path, alone: Path) -> None:
    given = options(place, "torchrun")
    done = run_line([*launcher(2), "-m", "entrotune", *train_line(given)])
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same_run(Path(given["out"]), alone)
    # One process shows what it does, and one says that it is done.
    assert done.stderr.count("wrote ") == 1
    assert done.stdout.count("finished in") == 1
    assert (Path(given["out"]) / "report.html").exists()
    # A run goes on as it was begun.
    record = Path(given["out"]) / "run.json"
    record.write_text(record.read_text().replace('"finished"', '"interrupted"', 1))
    with pytest.raises(UserError, match=r"begun on 2 processes \(sharding: none\), and this is 1 processes"):
        run_training(TrainConfig(**given, resume=True))


def test_a_command_that_is_done_leaves_the_group(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the exit of the interpreter the group's threads could abort the process, and the run would count as failed."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}/store", rank=0, world_size=1)
    try:
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert main([*train_line(options(place, "planned")), "--dry-run"]) == 0
        assert not torch.distributed.is_initialized()
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def test_other_commands_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    ended = command_here(capsys, "evaluate", "tiny")
    assert ended.code == 2
    assert ended.err.startswith("entrotune evaluate [process 1]: started on 2 processes, of which it could use one")


@pytest.mark.heavy
def test_fsdp_without_an_accelerator_is_refused(place: Path) -> None:
    given = options(place, "refused")
    done = launch(2, ENTROTUNE, {"arguments": train_line(given)}, place / "answers", variables=FSDP)
    assert "FSDP was asked for, but accelerate shards no model on cpu" in done.stderr


@pytest.mark.heavy
def test_accelerate_launch(place: Path, alone: Path) -> None:
    given = options(place, "accelerate")
    line = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    line += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "entrotune"]
    done = run_line([*line, *train_line(given)])
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same_run(Path(given["out"]), alone)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["ddp", "FULL_STATE_DICT", "SHARDED_STATE_DICT"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_killed_process_costs_nothing(place: Path, method: str, kind: str) -> None:
    variables = {} if kind == "ddp" else FSDP | {"FSDP_STATE_DICT_TYPE": kind}
    more = {"method": method, "keep": "best", "save_every": 3, "log_every": 2}
    whole, stopped = (options(place, f"{name} {method} {kind}", **more) for name in ("whole", "stopped"))
    one = options(place, f"one {method} {kind}", processes=1, **more)
    run_training(TrainConfig(**one))

    def go(given: dict[str, Any], **how: Any) -> Any:
        given = {"arguments": train_line(given), "sharded": kind != "ddp", **how}
        return launch(2, ENTROTUNE, given, place / "answers", variables=variables)

    done = go(whole)
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same_run(Path(whole["out"]), Path(one["out"]))
    for rank in (0, 1):
        assert go(stopped, stop=["kill", 5 + 3 * rank, rank]).returncode != 0
        assert json.loads((Path(stopped["out"]) / "run.json").read_text())["status"] in ("running", "failed")
        stopped["resume"] = True
    done = go(stopped)
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same_run(Path(stopped["out"]), Path(whole["out"]), exactly=True)


@pytest.mark.heavy
def test_ctrl_c_on_one_process(place: Path, alone: Path) -> None:
    given = options(place, "interrupted")
    done = launch(2, ENTROTUNE, {"arguments": train_line(given), "stop": ["interrupt", 5, 0]}, place / "answers")
    record = json.loads((Path(given["out"]) / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert "interrupted; what is complete is kept. Add --resume to go on" in done.stderr
    assert {path.name for path in (Path(given["out"]) / "checkpoints").iterdir()} == {"step-2", "step-4"}
    done = launch(2, ENTROTUNE, {"arguments": train_line(given | {"resume": True})}, place / "answers")
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same_run(Path(given["out"]), alone)
