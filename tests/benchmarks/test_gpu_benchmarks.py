"""The GPU benchmarks run at toy size on a CPU, and their lines hold what tables are made from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # last: its modules have names of test folders

from measurements import read_records, settled  # noqa: E402
from ours import floor  # noqa: E402
from peers import PEERS  # noqa: E402
from plots import Measurements, figure, markdown  # noqa: E402
from problems import PLAIN, Shape, error, make_inputs, truth  # noqa: E402

TOY = Shape(9, 8, 31)
CPU = torch.device("cpu")


def started(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of two ways of others, one that cannot run here, and ours leaves behind."""
    path = tmp_path_factory.mktemp("benchmarks") / "toy.jsonl"
    options = ["--out", path, "--toy", "--device", "cpu", "--seconds", 0.01]
    started("linear_objective.py", *options, "--only", "ours: other t", "pytorch entropy", "liger chunks")
    return path


def test_a_run_leaves_lines_with_the_fields_of_the_tables(lines: Path) -> None:
    records = read_records(lines)
    parts = {part: [r for r in records if r["part"] == part] for part in ("setting", "time", "accuracy", "case")}
    assert [r["status"] for r in parts["case"]] == ["ok", "skipped", "ok"]
    assert "CUDA only" in parts["case"][1]["message"]
    assert {"device", "versions", "date", "clock", "warm_ups"} <= parts["setting"][0].keys()
    for record in parts["time"]:
        assert {"job", "shape", "backend", "objective", "calls", "ms"} <= record.keys()
        assert record.keys() & {"ratio_to_floor", "ratio_to_ce"}
        assert record["ms"]["min"] <= record["ms"]["median"] <= record["ms"]["max"]
    (accuracy,) = parts["accuracy"]
    assert max(accuracy["relative_error"].values()) < 1e-5  # float32 against float64


def test_tables_and_figure_come_from_the_lines(lines: Path) -> None:
    found = Measurements(read_records(lines))
    text = markdown(found)
    assert "| `ce - 0.1*entropy` | pytorch entropy |" in text
    assert "| `renyi(q=2)` | forward and backward | our `ce` |" in text
    assert "| liger chunks 16, float32 @ 6x16x300 | skipped |" in text
    assert "pytorch entropy" in figure(found)


def test_a_second_run_skips_what_is_there(lines: Path) -> None:
    before = lines.read_text()
    plan = started(
        "linear_objective.py", "--out", lines, "--toy", "--only", "ours: other t", "pytorch", "--dry-run"
    ).stdout
    assert "pytorch ce" in plan
    assert "pytorch entropy" not in plan
    assert "ours" not in plan
    assert lines.read_text() == before


def test_failures_are_repeated_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    ends = [{"part": "case", "case": name, "status": name} for name in ("ok", "error", "timeout", "skipped")]
    path.write_text("".join(json.dumps(line) + "\n" for line in ends) + '{"part": "cut of')
    assert settled(path, retry=False) == {"ok", "error", "timeout", "skipped"}
    assert settled(path, retry=True) == {"ok"}


def test_a_process_that_dies_costs_its_case_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    started("linear_objective.py", "--out", path, "--toy", "--device", "nowhere", "--only", "pytorch gem")
    (outcome,) = read_records(path)
    assert outcome["status"] == "error"
    assert "nowhere" in outcome["message"]


def test_the_training_plan_is_printed(tmp_path: Path) -> None:
    plan = started("training.py", "--out", tmp_path / "none.jsonl", "--dry-run", "--rounds", 1).stdout
    assert [line.split("s  ")[1].split(",")[1].strip() for line in plan.splitlines()[:3]] == ["entropic", "ce", "trl"]
    assert "in all" in plan


@pytest.mark.parametrize("objective", PLAIN)
def test_the_truth_is_that_of_full_logits(objective: str) -> None:
    inputs = make_inputs(TOY, CPU, torch.float64)
    PLAIN[objective](inputs.hidden @ inputs.weight.T, inputs.targets).backward()
    found = truth(inputs, objective, bytes_at_once=4 * 8 * TOY.vocabulary)  # three chunks, the last one smaller
    assert error(inputs.hidden.grad, found[0]) < 1e-12
    assert error(inputs.weight.grad, found[1]) < 1e-12


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if name.startswith(("pytorch", "trl"))])
def test_ways_of_others_minimise_what_they_say(name: str) -> None:
    inputs = make_inputs(TOY, CPU, torch.float32)
    PEERS[name].build()(inputs.hidden, inputs.weight, inputs.targets).backward()
    exact = truth(inputs, PEERS[name].objective)
    assert error(inputs.hidden.grad, exact[0]) < 1e-5
    assert error(inputs.weight.grad, exact[1]) < 1e-5


def test_inputs_are_moderately_peaked() -> None:
    inputs = make_inputs(Shape(400, 64, 500), CPU, torch.float32, seed=int(torch.randint(1000, ())))
    top = torch.softmax(inputs.hidden @ inputs.weight.T, -1).amax(-1)
    assert 0.2 < top.median().item() < 0.9


def test_the_floor_computes_the_products_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make_inputs(TOY, CPU, torch.float32)
    shapes = []
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, **out: shapes.append((*a.shape, b.shape[1])) or product(a, b, **out))
    floor(inputs)()
    assert shapes == [(9, 8, 31), (9, 31, 8), (31, 9, 8)]


def test_profile_and_sweeps_run(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    started("linear_objective.py", "--out", path, "--toy", "--device", "cpu", "--seconds", 0.01, "--profile", "--tune")
    records = read_records(path)
    assert [r["status"] for r in records if r["part"] == "case"] == ["ok", "ok"], records
    tuned = [r for r in records if r["part"] == "tune rows"]
    assert tuned
    assert all(r["failed"] == {} and r["best"] in r["ms_by_block_and_warps"] for r in tuned)
