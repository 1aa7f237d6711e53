"""The folder of a comparison: stopped and gone on with, refused, replaced."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrotune import compare
from entrotune.errors import UserError
from entrotune.files import alone
from entrotune.training import RunFolder
from experiments.conftest import small

Compared = tuple[Path, dict[str, Any]]


def _numbers(record: dict[str, Any]) -> Any:
    """All that was measured, without times and places."""
    variants = [{k: v for k, v in variant.items() if k != "runs"} for variant in record["variants"]]
    return [variants, record["comparisons"], record["samples"], record["data"]]


def _kill_after_first_variant(recipe: Path, out: Path) -> None:
    command = [sys.executable, "-m", "entrotune", "compare", "--config", str(recipe)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    second = out / "gem-beta-0.7" / "seed-0" / "metrics.jsonl"
    until = time.monotonic() + 120
    while not (second.exists() and second.read_text(encoding="utf-8")):
        assert process.poll() is None, "the comparison ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_and_resumed_gives_the_same_numbers(model: Path, rows: Path, tmp_path: Path) -> None:
    # Long enough that the second variant is still training when it is killed.
    config = small(model, rows, tmp_path / "killed")
    config = config.replace(train=config.train.replace(epochs=12, save_every=7))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(config.to_dict()), encoding="utf-8")
    out = tmp_path / "killed"
    _kill_after_first_variant(recipe, out)
    assert not (out / "comparison.json").exists()
    first = json.loads((out / "ce" / "seed-0" / "run.json").read_text(encoding="utf-8"))
    assert first["status"] == "finished"
    weights = out / "ce" / "seed-0" / "model" / "model.safetensors"
    written = weights.stat().st_mtime_ns

    resumed = compare(config.replace(resume=True), progress=False)
    assert weights.stat().st_mtime_ns == written  # not trained again
    trained = sum(RunFolder(path.parent).spent() for path in out.glob("*/seed-*/run.json"))
    assert resumed["seconds"]["train"] == pytest.approx(trained, abs=0.05)
    assert trained >= first["seconds"]
    assert resumed["seconds"]["total"] == pytest.approx(trained + resumed["seconds"]["evaluate"], abs=0.11)
    whole = compare(config.replace(out=str(tmp_path / "whole")), progress=False)
    assert _numbers(resumed) == _numbers(whole)


def test_a_finished_comparison_is_refused_or_gone_on_with(model: Path, rows: Path, compared: Compared) -> None:
    out, record = compared
    config = small(model, rows, out, seeds=[0, 1])
    with pytest.raises(UserError, match="already holds a comparison; add --resume to go on, --overwrite to replace"):
        compare(config, progress=False)
    with pytest.raises(UserError, match=r"another recipe \(see samples\)"):
        compare(config.replace(samples=5, resume=True), progress=False)
    again = compare(config.replace(resume=True), progress=False)
    assert _numbers(again) == _numbers(record)
    assert again["seconds"]["train"] == record["seconds"]["train"]  # not trained again, and not for nothing
    assert again["seconds"]["evaluate"] > record["seconds"]["evaluate"]


def test_a_comparison_that_was_moved_goes_on(model: Path, rows: Path, compared: Compared, tmp_path: Path) -> None:
    out, record = compared
    moved = shutil.copytree(out, tmp_path / "moved")
    written = {path: path.stat().st_mtime_ns for path in moved.rglob("*.safetensors")}
    config = small(model, rows, moved, seeds=[0, 1], resume=True)
    with pytest.raises(UserError, match=r"another recipe \(see train.epochs\)"):
        compare(config.replace(train=config.train.replace(epochs=3, out="elsewhere")), progress=False)
    again = compare(config, progress=False)
    assert _numbers(again) == _numbers(record)
    assert {path: path.stat().st_mtime_ns for path in moved.rglob("*.safetensors")} == written
    assert all(Path(run).is_relative_to(moved) for variant in again["variants"] for run in variant["runs"])


def test_a_comparison_that_another_process_works_on(model: Path, rows: Path, compared: Compared) -> None:
    config = small(model, rows, compared[0], seeds=[0, 1])
    for changes in ({"resume": True}, {"overwrite": True}):
        with alone(compared[0]), pytest.raises(UserError, match="another process works on"):
            compare(config.replace(**changes), progress=False)
    assert (compared[0] / "comparison.json").exists()


def test_overwrite_replaces_a_comparison_and_nothing_else(model: Path, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = small(model, rows, out, objectives=["gem"], temperatures=[1.0])
    compare(config, progress=False)
    marker = out / "gem-beta-0.7" / "left-over"
    marker.touch()
    typo = config.replace(overwrite=True, train=config.train.replace(data=str(tmp_path / "no.jsonl")))
    with pytest.raises(UserError, match=r"no\.jsonl"):
        compare(typo, progress=False)
    assert marker.exists()  # what was there survives input that cannot be used
    record = compare(config.replace(objectives=["ce"], overwrite=True), progress=False)
    assert not marker.exists()
    assert [variant["name"] for variant in record["variants"]] == ["base", "ce"]

    others = tmp_path / "others"
    others.mkdir()
    (others / "thesis.txt").write_text("words", encoding="utf-8")
    for changes in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(UserError, match="no comparison"):
            compare(config.replace(out=str(others), **changes), progress=False)
    with pytest.raises(UserError, match="holds other files and no comparison; give the name of another folder"):
        compare(config.replace(out=str(others)), progress=False)
    assert [path.name for path in others.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("wrong", ["data", "model", "prompt", "max_length"])
def test_input_that_cannot_be_used_writes_nothing(model: Path, rows: Path, tmp_path: Path, wrong: str) -> None:
    out = tmp_path / "out"
    config = small(model, rows, out)
    train = {"data": {"data": "no.jsonl"}, "model": {"model": str(tmp_path)}, "max_length": {"max_length": 513}}
    changed = config.replace(train=config.train.replace(**train.get(wrong, {})))
    if wrong == "prompt":
        changed = config.replace(max_new_tokens=500)
    with pytest.raises(UserError):
        compare(changed, progress=False)
    assert not out.exists()
