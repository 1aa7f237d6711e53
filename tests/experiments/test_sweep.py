"""What a sweep writes, and that it goes on after a kill without running anything twice."""

import io
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console
from rich.progress import Progress

import forked
from commands import command_here
from docs.pages import ROOT
from entrotune import sweep
from entrotune.errors import UserError
from entrotune.experiments.sweeping.measuring import Bench
from entrotune.measures import hypervolume, pareto
from experiments.conftest import validation_nll
from experiments.sweeps import killed, small

Swept = tuple[Path, dict[str, Any]]
RECIPE = ROOT / "recipes" / "sweep-alpha.yaml"


@pytest.fixture(scope="module")
def swept(model: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    out = tmp_path_factory.mktemp("swept") / "sweep"
    return out, sweep(small(model, rows, out, seeds=[0, 1]), progress=False)


def _kept(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def _without_times(record: dict[str, Any]) -> dict[str, Any]:
    left = {key: value for key, value in record.items() if key not in ("created", "seconds", "command", "recipe")}
    return left | {"trials": [trial | {"seconds": None} for trial in record["trials"]]}


def test_every_trial_is_counted_and_explained(swept: Swept) -> None:
    out, record = swept
    assert json.loads((out / "sweep.json").read_text()) == record
    assert record["counts"] == {"complete": 1, "pruned": 0, "failed": 1, "repeated": 1}
    same, done, failed = record["trials"]
    assert (same["state"], same["same_as"]) == ("repeated", "ce")
    assert (done["state"], done["variant"]) == ("complete", "trial-1")
    assert failed["state"] == "failed"
    assert "entropy wins in ce - 1.5*entropy" in failed["reason"]
    assert [variant["name"] for variant in record["variants"]] == ["base", "ce", "trial-1"]
    assert record["variants"][2]["objective"] == "ce - 0.2*entropy"
    assert len(record["variants"][2]["runs"]) == 2
    # A finished run keeps its model; its checkpoints were there to go on from.
    assert list(out.glob("trials/0001/seed-*/model/*.safetensors"))
    assert not list(out.rglob("checkpoint*"))


def test_models_are_measured_in_the_precision_asked_for(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "sweep", dtype="bfloat16", temperatures=[1.0])
    (found,) = Bench(config).measure(str(model), tmp_path, None)
    expected = [validation_nll(config.train, model, dtype=dtype) for dtype in ("bfloat16", "float32")]
    assert found.mean("nll") == pytest.approx(expected[0], abs=5e-7)
    assert abs(expected[0] - expected[1]) > 3e-6
    with pytest.raises(UserError, match="dtype is 'half'; expected one of float32, bfloat16, float16"):
        config.replace(dtype="half")


def test_fronts_are_those_of_the_settings(swept: Swept) -> None:
    record = swept[1]
    places, points = [], []
    for variant in record["variants"]:
        between = [1.225] if variant["name"] == "ce" else []
        assert [setting["temperature"] for setting in variant["settings"]] == sorted([1.0, *between, 1.5])
        for setting in variant["settings"]:
            places.append({"variant": variant["name"], "temperature": setting["temperature"]})
            metrics = setting["metrics"]
            points.append((-metrics["nll"]["value"], metrics["distinct_2"]["value"]))
    assert record["pareto"] == [places[i] for i in pareto(points)]
    own = [points[i] for i, place in enumerate(places) if place["variant"] == "trial-1"]
    worst = record["hypervolume"]["reference"]
    assert worst["quality"] == pytest.approx(max(-point[0] for point in points[2:]))
    volume = hypervolume(own, (-worst["quality"], worst["diversity"]))
    assert record["hypervolume"]["settings"] == pytest.approx(volume)
    assert record["recommendation"]["variant"] == "ce"
    assert (
        "until more is known: 3 prompts, 2 seeds can show no setting's advantage; give at least 12"
        in record["recommendation"]["reason"]
    )


def test_a_sweep_goes_on_with_more_trials_and_runs_nothing_twice(
    swept: Swept, model: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, record = swept
    before = _kept(out)
    again = sweep(small(model, rows, out, seeds=[0, 1], resume=True, title="Another"), progress=False)
    assert _kept(out) == before
    assert _without_times(again) == _without_times(record) | {"title": "Another"}
    assert command_here(capsys, "report", str(out)).code == 0
    assert "trial-1" in (out / "sweep.json").read_text()
    with FileLock(out / ".lock"), pytest.raises(UserError, match="another process works on"):
        sweep(small(model, rows, out, seeds=[0, 1], resume=True), progress=False)


def test_a_sweep_that_was_moved_goes_on(swept: Swept, model: Path, rows: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(swept[0], tmp_path / "moved")
    before = _kept(moved)
    config = small(model, rows, moved, seeds=[0, 1], resume=True)
    with pytest.raises(UserError, match=r"another recipe \(samples: 2 before, 3 now\); use it"):
        sweep(config.replace(samples=3), progress=False)
    again = sweep(config.replace(train=config.train.replace(out="elsewhere")), progress=False)
    assert _kept(moved) == before
    assert again["counts"] == swept[1]["counts"]
    assert all(Path(run).is_relative_to(moved) for variant in again["variants"] for run in variant["runs"])


def test_no_row_of_a_trial_that_failed_stays_on_the_screen(model: Path, rows: Path, tmp_path: Path) -> None:
    display = Progress(console=Console(file=io.StringIO()))
    diverging = {"alpha": [0.1], "learning_rate": [1e30]}
    record = sweep(small(model, rows, tmp_path / "out", search=diverging, temperatures=[1.0]), progress=display)
    assert record["counts"]["failed"] == 1
    assert [task.description for task in display.tasks] == ["settings"]


def test_rejected_rows_are_told(model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "rows.jsonl"
    broken.write_text(rows.read_text(encoding="utf-8") + "{not json\n", encoding="utf-8")
    sweep(small(model, broken, tmp_path / "sweep", search={"alpha": [0]}))
    assert "rows rejected; rejects.jsonl in the folder of each run says which and why" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {"alpha": [0, 0.3]}}, r"another search space \(alpha: \[0, 0.2, 1.5\] before, \[0, 0.3\] now\)"),
        ({"search": {"alpha": [0, 0.2, 1.5], "epochs": [1]}}, r"epochs: nothing before, \[1\] now"),
        ({"samples": 3}, "another recipe \\(samples: 2 before, 3 now\\)"),
        ({"resume": False}, "already holds a sweep; add --resume"),
    ],
)
def test_another_sweep_is_not_gone_on_with(
    swept: Swept, model: Path, rows: Path, changes: dict[str, Any], message: str
) -> None:
    options: dict[str, Any] = {"seeds": [0, 1], "resume": True} | changes
    with pytest.raises(UserError, match=message):
        sweep(small(model, rows, swept[0], **options), progress=False)


def test_a_study_of_another_space_is_named(swept: Swept, model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "out", search={"alpha": [0.5]})
    sweep_folder = Path(config.out)
    sweep_folder.mkdir()
    (sweep_folder / "recipe.yaml").write_text("search: {alpha: [0.5]}\n")
    (sweep_folder / "sweep.db").write_bytes((swept[0] / "sweep.db").read_bytes())
    (sweep_folder / "recipe.yaml").write_text(json.dumps(config.recipe()))
    with pytest.raises(UserError, match=r"sweep.db is a study of another search space \(alpha: \[0, 0.2, 1.5\] before"):
        sweep(config.replace(resume=True), progress=False)
    (sweep_folder / "sweep.db").write_text("not a database, whatever it was")
    with pytest.raises(UserError, match=r"sweep.db cannot be read as a study .* use --overwrite"):
        sweep(config.replace(resume=True), progress=False)


def test_a_bad_run_is_pruned_by_the_rule(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(
        model, rows, tmp_path / "out", objective=None, search={"learning_rate": [1e-3, 0.3]}, prune=True, prune_after=1
    )
    record = sweep(config, progress=False)
    assert [trial["state"] for trial in record["trials"]] == ["repeated", "pruned"]
    assert "pruned: at epoch 1 its validation NLL is" in record["trials"][1]["reason"]
    assert record["counts"]["pruned"] == 1
    assert "upper quartile" in record["pruning"]["rule"]
    assert record["recommendation"]["reason"].startswith("Use plain ce at temperature")
    run = json.loads((tmp_path / "out/trials/0001/seed-0/run.json").read_text())
    assert run["error"].startswith("pruned")
    before = (tmp_path / "out/trials/0001/trial.json").read_text()
    sweep(config.replace(resume=True), progress=False)
    assert (tmp_path / "out/trials/0001/trial.json").read_text() == before


def test_a_killed_sweep_goes_on_where_it_was(model: Path, rows: Path, tmp_path: Path) -> None:
    search = {"alpha": {"low": 0.0, "high": 0.5}}
    config = small(
        model, rows, tmp_path / "killed", search=search, method="random", trials=2, samples=1, temperatures=[1.0]
    )
    config = config.replace(train=config.train.replace(max_steps=4))
    process = forked.context().Process(target=killed, args=(config.to_dict(),))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    out = tmp_path / "killed"
    assert not (out / "sweep.json").exists()
    assert [path.name for path in out.glob("trials/0001/seed-0/checkpoints/*")] == ["step-2"]
    before = _kept(out / "trials/0000") | _kept(out / "ce")
    resumed = sweep(config.replace(resume=True), progress=False)
    assert before.items() <= _kept(out).items()
    whole = sweep(config.replace(out=str(tmp_path / "whole")), progress=False)
    assert [trial["state"] for trial in resumed["trials"]] == ["complete", "complete"]
    for one, other in zip(resumed["variants"], whole["variants"], strict=True):
        assert (one["point"], one["settings"]) == (other["point"], other["settings"])
    assert resumed["recommendation"] == whole["recommendation"]


@pytest.mark.heavy
def test_trials_at_the_same_time_are_those_of_one_after_the_other(model: Path, rows: Path, tmp_path: Path) -> None:
    search = {"alpha": [0.1, 0.2, 1.5]}
    one = sweep(small(model, rows, tmp_path / "one", search=search), progress=False)
    two = sweep(small(model, rows, tmp_path / "two", search=search, jobs=2), progress=False)
    assert two["counts"] == {"complete": 2, "pruned": 0, "failed": 1, "repeated": 0}
    assert [v["settings"] for v in one["variants"]] == [v["settings"] for v in two["variants"]]
    assert one["recommendation"] == two["recommendation"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {}}, "a sweep of nothing"),
        ({"search": {"alpha": []}}, "a sweep of nothing"),
        ({"search": {"alpha": 0.1}}, "search.alpha is 0.1; expected a list"),
        ({"search": {"alpha": [0.1, 0.1]}}, "has a value twice"),
        ({"search": {"beta": [0.1]}}, "beta is neither in the objective ce - alpha\\*entropy nor a field"),
        ({"search": {"seed": [1, 2]}}, "search.seed: this field cannot be varied; the sweep sets it"),
        ({"search": {"lora_rank": [1, 2]}}, "search.lora_rank: method is full, which trains no adapter"),
        ({"search": {"limit": [1, 2]}}, "it changes what they are measured on"),
        ({"search": {"alpha": {"low": 0, "high": 1}}}, "is a range, of which a grid would have no end"),
        ({"search": {"alpha": {"low": 0, "high": 1, "log": True}}, "method": "random"}, "must begin above 0"),
        ({"search": {"alpha": {"low": 1, "high": 1}}, "method": "random"}, "high must be above low"),
        ({"search": {"alpha": {"low": 1.5, "high": 4, "int": True}}, "method": "random"}, "whole numbers"),
        ({"search": {"alpha": {"from": 1}}, "method": "random"}, "expected a list such as"),
        (
            {"search": {"alpha": {"low": 1, "high": 2, "log": "no"}}, "method": "random"},
            "log is 'no'; expected true or",
        ),
        ({"search": {"alpha": [0.1], "learning_rate": [-1]}}, "at alpha = 0.1, learning_rate = -1: learning_rate must"),
        ({"objective": "gem(beta={beta})"}, r"has \{beta\}, but search has no beta"),
        ({"search": {"objective": ["ce"]}}, "the objective is given twice"),
        ({"search": {"objective": ["ce", "gme"]}, "objective": None}, "unknown term 'gme'"),
        ({"method": "annealing"}, "method is 'annealing'"),
        ({"quality": "distinct_2"}, "quality is 'distinct_2'; expected one of nll"),
        ({"diversity": "nll"}, "diversity is 'nll'"),
        ({"jobs": 0}, "jobs must be at least 1"),
        ({"samples": 10**12}, r"responses are wanted \(samples 1,000,000,000,000, prompts"),
        ({"sampling_seed": -1}, "sampling_seed must be a whole number from 0"),
        ({"temperatures": [0.0]}, "numbers above 0"),
        ({"seeds": []}, "seeds must be one or more different whole numbers"),
        ({"resume": True, "overwrite": True}, "contradict"),
    ],
)
def test_recipes_that_are_refused(
    model: Path, rows: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        small(model, rows, tmp_path / "out", **changes)


@pytest.mark.parametrize(
    ("alphas", "message"),
    [
        (
            [0.1, {"target_entropy": 99}],
            r"alpha = \{'target_entropy': 99\}: coefficients.alpha: target_entropy is 99 nats",
        ),
        ([2, 3], "no setting can be trained: alpha = 2: entropy wins in ce - 2.0*entropy"),
    ],
)
def test_settings_that_no_model_can_follow_are_refused_before_anything_is_trained(
    model: Path, rows: Path, tmp_path: Path, alphas: list[Any], message: str
) -> None:
    for dry_run in (True, False):
        with pytest.raises(UserError, match=message):
            sweep(small(model, rows, tmp_path / "out", search={"alpha": alphas}), dry_run=dry_run, progress=False)
    assert not (tmp_path / "out").exists()


def test_settings_in_which_entropy_wins_are_told_by_a_dry_run(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "out", search={"alpha": [0.1, 1.5]})
    with pytest.warns(UserWarning, match=r"^alpha = 1.5: entropy wins .* keep the weight of entropy below 1$"):
        sweep(config, dry_run=True, progress=False)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"quality": "correct"},
            "quality is correct, but no held-out row has a checker, or references of at most 10 words; map a column",
        ),
        (
            {"quality": "pass@2"},
            "quality is pass@2, but no held-out row has a checker, or references of at most 10 words; map a column",
        ),
        ({"quality": "pass@4"}, "quality is pass@4, which needs 4 samples a prompt, and samples is 2"),
        ({"quality": "pass@3"}, "quality is pass@3, but pass@k is measured for k = 2, 4, 8"),
        ({"quality": "rouge_l"}, "quality is rouge_l, but no held-out row has references; map a column to them"),
        ({"quality": "all_slots"}, r"quality is all_slots, but no held-out row has a meaning such as name\[X\]"),
        ({"diversity": "ngram_coverage"}, "diversity is ngram_coverage, but no held-out row has two different ref"),
        ({"diversity": "self_bleu", "samples": 1}, "diversity is self_bleu, which .* give samples of at least 2"),
    ],
)
def test_measures_that_the_rows_do_not_allow_are_refused_before_anything_is_written(
    model: Path, rows: Path, tmp_path: Path, changes: dict[str, Any], message: str, dry_run: bool
) -> None:
    with pytest.raises(UserError, match=message):
        sweep(small(model, rows, tmp_path / "out", **changes), dry_run=dry_run, progress=False)
    assert not (tmp_path / "out").exists()


def test_rows_without_prompts_are_refused_by_a_dry_run(model: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"text number {i}"}) + "\n" for i in range(12)), encoding="utf-8")
    with pytest.raises(UserError, match="has a prompt to sample from, so there is no diversity"):
        sweep(small(model, texts, tmp_path / "out"), dry_run=True, progress=False)


def test_measures_that_the_samples_are_too_short_for_are_refused_before_training(
    model: Path, rows: Path, tmp_path: Path
) -> None:
    wanted = "diversity is distinct_4, which is defined for none of the samples .* raise max_new_tokens, or choose"
    with pytest.raises(UserError, match=wanted):
        sweep(small(model, rows, tmp_path / "out", diversity="distinct_4", max_new_tokens=1), progress=False)
    assert not list((tmp_path / "out").rglob("run.json"))


@pytest.mark.parametrize("put", [lambda f: f.write_text("mine"), lambda f: (f.mkdir(), (f / "a").touch())])
def test_other_files_are_left_alone(model: Path, rows: Path, tmp_path: Path, put: Callable[[Path], Any]) -> None:
    put(tmp_path / "out")
    with pytest.raises(UserError, match=r"is a file|holds other files and no sweep"):
        sweep(small(model, rows, tmp_path / "out", overwrite=True), progress=False)


def test_the_recipe_runs_at_a_small_size(
    model: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small_size = {
        "train.data": rows,
        "train.model": model,
        "train.max_length": 128,
        "train.max_steps": 1,
        "train.lora_rank": 2,
        "prompts": 2,
        "samples": 2,
        "max_new_tokens": 6,
    }
    flags = [f"--{key}={value}" for key, value in small_size.items()]
    planned = command_here(capsys, "sweep", "--config", str(RECIPE), *flags, "--dry-run")
    assert planned.code == 0, planned.err
    plan = json.loads(planned.out)
    assert (plan["runs"], plan["steps"], plan["settings"]) == (4, 4, 3)
    assert list(tmp_path.glob("runs*")) == []
    ended = command_here(capsys, "sweep", "--config", str(RECIPE), *flags)
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "runs/sweep-alpha/sweep.json").read_text())
    assert plan["responses"] == sum(s["samples"] for v in record["variants"] for s in v["settings"])
    assert " ".join(record["recommendation"]["reason"].split()) in " ".join(ended.out.split())
    assert "alpha = 0.03" in ended.out
