"""Runs of a comparison that cannot be trained, or could not go on: what is kept, what is told, what is refused."""

import io
import json
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from rich.progress import Progress

from entrotune import compare
from entrotune.errors import UserError
from entrotune.reports import comparison_findings
from experiments.conftest import small

WILD = {
    "wild": {"learning_rate": 1e30},
    "half wild": {"interpolate": 0.5, "from": "wild"},
    "decay": {"weight_decay": 0.1},
}


def test_a_variant_that_diverges_is_told_and_the_others_are_measured(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "out", objectives=None, variants=WILD, temperatures=[1.0], seeds=[0, 1])
    display = Progress(console=Console(file=io.StringIO()))
    record = compare(config, progress=display)
    # No row of the run that diverged stays, and what it left undone is not waited for.
    rows_left = [(task.description, task.completed, task.total) for task in display.tasks]
    assert rows_left == [("training", 6, 6), ("measuring", 5, 5)]
    assert [variant["name"] for variant in record["variants"]] == ["base", "ce", "decay"]
    assert [(one["name"], one["seed"]) for one in record["failed"]] == [("wild", 0), ("half wild", 0)]
    assert record["failed"][0]["reason"].startswith("the run diverged")
    assert record["failed"][0]["differs"] == {"learning_rate": 1e30}
    assert "merged from wild, which could not be trained" in record["failed"][1]["reason"]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8")) == record
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "wild was not trained (seed 0), so it is missing here: the run diverged" in page
    console = Console(width=200)
    with console.capture() as shown:
        console.print(comparison_findings(record))
    assert "wild was not trained (seed 0), so it is missing here: the run diverged" in shown.get()

    again = compare(config.replace(resume=True), progress=False)
    assert (again["failed"], again["comparisons"]) == (record["failed"], record["comparisons"])


def test_without_ce_there_is_nothing_to_compare_with(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "out")
    with pytest.raises(UserError, match="the run diverged"):
        compare(config.replace(train=config.train.replace(learning_rate=1e30)), progress=False)
    assert not (tmp_path / "out" / "gem-beta-0.7").exists()


def test_what_would_stop_every_run_stops_the_comparison(model: Path, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = small(model, rows, out, objectives=["gem", "ce - 0.1*entropy"], temperatures=[1.0])
    compare(config.replace(objectives=["ce"]), progress=False)
    (out / "recipe.yaml").write_text(yaml.safe_dump(config.recipe()), encoding="utf-8")
    (out / "gem-beta-0.7").write_text("in the way of a folder", encoding="utf-8")
    with pytest.raises(UserError, match=r"gem-beta-0\.7"):
        compare(config.replace(resume=True), progress=False)
    assert not (out / "ce-0.1-entropy").exists()


@pytest.mark.parametrize("what", ["data", "model"])
def test_another_start_or_other_rows_are_refused_on_resume(model: Path, rows: Path, tmp_path: Path, what: str) -> None:
    own_rows, own_model = tmp_path / "rows.jsonl", tmp_path / "model"
    own_rows.write_bytes(rows.read_bytes())
    own_model.mkdir()
    for path in model.iterdir():
        (own_model / path.name).write_bytes(path.read_bytes())
    config = small(own_model, own_rows, tmp_path / "out", objectives=["ce"], temperatures=[1.0])
    compare(config, progress=False)
    if what == "data":
        lines = own_rows.read_text(encoding="utf-8").splitlines(keepends=True)
        own_rows.write_text("".join(lines[:-4]), encoding="utf-8")
    else:
        weights = own_model / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(bytes(content))
    with pytest.raises(UserError, match=f"the {what} .* changed since .* was begun; restore it"):
        compare(config.replace(resume=True), progress=False)


def test_a_target_that_no_prediction_has_is_refused_before_anything_is_trained(
    model: Path, rows: Path, tmp_path: Path
) -> None:
    held = {"held": {"objective": "ce - a*entropy", "coefficients": {"a": {"target_entropy": 20}}}}
    config = small(model, rows, tmp_path / "out", objectives=None, variants=held)
    for dry_run in (True, False):
        with pytest.raises(UserError, match=r"held: coefficients\.a: target_entropy is 20 nats, but predictions over"):
            compare(config, dry_run=dry_run, progress=False)
    assert not (tmp_path / "out").exists()


def test_a_folder_may_be_named_as_a_shell_completes_it(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "out", objectives=["ce"], temperatures=[1.0])
    record = compare(config, progress=False)
    again = compare(config.replace(out=f"{tmp_path}/out/", resume=True), progress=False)
    assert again["variants"] == record["variants"]
