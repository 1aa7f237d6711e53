"""`train` and `report` as functions: the folder they leave behind."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from entrotune import TrainConfig, evaluate, report, train
from entrotune.errors import UserError
from entrotune.experiments.demo import demo_config

Compared = tuple[Path, dict[str, Any]]
RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def run(model: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("runs") / "one"
    record = train(
        model=str(model),
        data=str(rows),
        objective="ce-0.1*entropy",
        out=str(out),
        epochs=1,
        max_length=128,
        progress=False,
    )
    return out, record


def test_train_returns_its_record_and_leaves_report_and_card(run: tuple[Path, dict[str, Any]]) -> None:
    out, record = run
    assert record["status"] == "finished"
    assert record["objective"] == "ce - 0.1*entropy"
    assert record["last_nll"] < record["start_nll"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "ce - 0.1*entropy" in page
    card = (out / "model" / "README.md").read_text(encoding="utf-8")
    assert "ce - 0.1*entropy" in card
    assert "rows.jsonl" in card


def test_dry_run_of_train_writes_nothing(model: Path, rows: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(rows), model=str(model), out=str(tmp_path / "out"), max_length=128)
    plan = train(config, dry_run=True)
    assert plan["data"]["rows_read"] == 24
    assert plan["steps"] == 9
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_where_entropy_wins(model: Path, rows: Path, tmp_path: Path) -> None:
    config = TrainConfig(
        data=str(rows), model=str(model), objective="ce - 2*entropy", out=str(tmp_path / "out"), max_length=128
    )
    with pytest.warns(UserWarning, match="keep the weight of entropy below 1"):
        train(config, dry_run=True)
    with pytest.raises(UserError, match="the run would stop, as when_entropy_wins is stop"):
        train(config.replace(when_entropy_wins="stop"), dry_run=True)


def test_report_of_a_run(run: tuple[Path, dict[str, Any]]) -> None:
    out, _ = run
    (out / "report.html").unlink()
    assert report(str(out)) == out / "report.html"
    assert "ce - 0.1*entropy" in (out / "report.html").read_text(encoding="utf-8")


def test_report_of_a_comparison_is_the_one_compare_wrote(compared: Compared, tmp_path: Path) -> None:
    out, record = compared
    first = (out / "report.html").read_text(encoding="utf-8")
    for source in (out, out / "comparison.json"):
        written = report(str(source), out=str(tmp_path / "again.html"))
        assert written.read_text(encoding="utf-8") == first
    assert record["title"] in first
    for path in (run for variant in record["variants"] for run in variant["runs"]):
        card = (Path(path) / "model" / "README.md").read_text(encoding="utf-8")
        assert "Vendi score" in card  # the card of a compared model has its diversity
        assert (Path(path) / "report.html").exists()


def test_report_of_an_evaluation(run: tuple[Path, dict[str, Any]], rows: Path, tmp_path: Path) -> None:
    evaluate(str(run[0]), data=str(rows), samples=2, prompts=2, max_new_tokens=3, out=tmp_path)
    written = report(str(tmp_path / "evaluation.json"))
    assert written == tmp_path / "report.html"
    assert "Vendi score" in written.read_text(encoding="utf-8")


def test_report_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds nothing to report on"):
        report(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="does not exist; give the folder of a run"):
        report(str(tmp_path / "nothing"))
    (tmp_path / "recipe.yaml").write_text("objectives: [ce]")
    with pytest.raises(UserError, match=r"no record yet, for it is written at the end; .* with --resume"):
        report(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperatures": [1.0, 1.0]}, "temperatures must be one or more different numbers"),
        ({"temperatures": [0.0, 1e-320]}, r"temperatures must be from 1e-30 to 1e\+30, not \[0.0, "),
        ({"seed": -1}, r"seed must be a whole number from 0 to 2\*\*32 - 1, not -1"),
    ],
)
def test_evaluations_that_make_no_sense(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        evaluate("no-model", data="no-rows.jsonl", **options)


def test_a_plan_refuses_a_target_that_no_prediction_has(model: Path, rows: Path, tmp_path: Path) -> None:
    coefficients = {"a": {"target_entropy": 20}}
    with pytest.raises(UserError, match="target_entropy is 20 nats, but predictions over"):
        train(
            data=str(rows),
            model=str(model),
            max_length=128,
            objective="ce - a*entropy",
            coefficients=coefficients,
            out=str(tmp_path / "run"),
            dry_run=True,
        )


def test_a_run_is_gone_on_with_by_the_name_that_a_shell_completes(model: Path, rows: Path, tmp_path: Path) -> None:
    options = {"data": str(rows), "model": str(model), "method": "full", "max_steps": 1, "max_length": 128}
    record = train(out=f"{tmp_path}/run", progress=False, **options)
    assert train(out=f"{tmp_path}/run/", resume=True, progress=False, **options) == record


def test_the_recipe_of_the_demo_is_the_demo() -> None:
    regenerate = (
        "recipes/demo.yaml is not the demo's; write it anew: python -c "
        '"import yaml; from entrotune.experiments.demo import demo_config; print(yaml.safe_dump({k: v for k, v in '
        "demo_config().to_dict().items() if k not in ('resume', 'overwrite')}, sort_keys=False), end='')\" "
        "> recipes/demo.yaml"
    )
    wanted = {key: value for key, value in demo_config().to_dict().items() if key not in ("resume", "overwrite")}
    assert yaml.safe_load((RECIPES / "demo.yaml").read_text(encoding="utf-8")) == wanted, regenerate


def test_why_too_few_rows_are_left_is_told(model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    line = '{"id": "x", "prompt": "p%d", "completion": "c"}\n'
    rows.write_text("".join(line % number for number in range(3)), encoding="utf-8")
    with pytest.raises(UserError, match=r"only one different prompt .* \(2 rejects: .*:2 \(id x\): duplicate id"):
        train(data=str(rows), model=str(model), out=str(tmp_path / "out"), max_length=128, progress=False)
