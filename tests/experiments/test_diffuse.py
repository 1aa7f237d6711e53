"""`entrotune diffuse` from the command line to the record, on a tiny model and on the embedded one."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from commands import command_here
from entrotune import DiffuseConfig, UserError, diffuse, load_model
from entrotune.files import alone
from tiny_files import write_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "tiny")


# The tiny model's random head is too flat for an adapter to make anything likely.
LEARNS: dict[str, Any] = {"method": "full", "learning_rate": 0.01, "passes": 50}


def recipe(base: Path, out: Path, **changes: Any) -> DiffuseConfig:
    options: dict[str, Any] = {
        "targets": ["range(1,12)"],
        "model": str(base),
        "out": str(out),
        "learning_rate": 0.02,
        "passes": 6,
        "save_every": 2,
        "samples": 20,
        "retention": "",
    }
    return DiffuseConfig(**(options | changes))


def sets_in(folder: Path) -> Path:
    """Two groups of two sets each, one with a group of its own making."""
    for group, words in {"pets": ["cat", "dog", "cow"], "tools": ["saw", "axe", "awl"]}.items():
        (folder / group).mkdir(parents=True)
        for name, request in (("a", f"Name {group}."), ("b", f"Some {group}?")):
            content = {"request": request, "targets": words, "response": ["", "My: "] if name == "b" else ""}
            (folder / group / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_it_spreads_probability(base: Path, tmp_path: Path) -> None:
    record = diffuse(recipe(base, tmp_path / "run", **LEARNS), progress=False)
    before, after = record["before"]["range(1,12)"], record["after"]["range(1,12)"]
    assert after["valid_mass"] > 0.9 > before["valid_mass"]
    assert after["kl"] < 0.1 < before["kl"]
    assert after["entropy"] > 0.95 * math.log(12)
    assert after["sampled"]["validity"] > 0.7
    assert record["training"]["curve"][0]["floor"] == pytest.approx(math.log(12))
    saved = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert saved == json.loads(json.dumps(record))
    # What was saved is what was measured.
    model, tokenizer = load_model(tmp_path / "run")
    assert tokenizer.chat_template
    assert sum(value.numel() for value in model.parameters()) > 0
    for name in ("recipe.yaml", "run.json", "metrics.jsonl", "report.html", "model/README.md"):
        assert (tmp_path / "run" / name).exists()


def test_metrics_have_what_train_logs_and_the_floor(base: Path, tmp_path: Path) -> None:
    diffuse(recipe(base, tmp_path / "run", passes=2), progress=False)
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    for name in ("step", "epoch", "tokens", "split", "loss", "nll", "entropy", "entropy_q05", "varentropy", "accuracy"):
        assert name in row
    for name in ("supervised_tokens", "seconds", "coefficients", "learning_rate", "grad_norm", "tokens_per_second"):
        assert name in row
    assert row["gap"] == pytest.approx(row["loss"] - row["floor"])


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_that_was_killed_goes_on_to_the_same_end(base: Path, tmp_path: Path, method: str) -> None:
    sets = str(sets_in(tmp_path / "sets"))
    whole = recipe(base, tmp_path / "whole", targets=[sets], method=method, keep_checkpoints=9, mixture={"pets": 2.5})
    first = diffuse(whole, progress=False)
    # As after a kill in pass 4, in a folder that was moved since: the checkpoint of pass 2 is the last, and the metrics
    # go beyond it.
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole", cut)
    for path in (cut / "checkpoints").glob("step-*"):
        if path.name != "step-8":
            shutil.rmtree(path)
    shutil.rmtree(cut / "model")
    (cut / "evaluation.json").unlink()
    (cut / "run.json").write_text(json.dumps(json.loads((cut / "run.json").read_text()) | {"status": "running"}))
    second = diffuse(whole.replace(out=str(cut), resume=True), progress=False)
    assert second["after"] == first["after"]
    assert second["before"] == first["before"]
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    for one, other in zip(*rows, strict=True):
        assert {**one, "seconds": 0, "tokens_per_second": 0} == {**other, "seconds": 0, "tokens_per_second": 0}
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    weights = [load_file(tmp_path / folder / "model" / name) for folder in ("whole", "cut")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_finished_run_is_not_done_again(base: Path, tmp_path: Path) -> None:
    config = recipe(base, tmp_path / "run", passes=1)
    first = diffuse(config, progress=False)
    assert diffuse(config.replace(resume=True), progress=False) == json.loads(json.dumps(first))
    with pytest.raises(UserError, match="already holds a run; add --resume"):
        diffuse(config, progress=False)
    assert diffuse(config.replace(overwrite=True), progress=False)["after"] == first["after"]


@pytest.mark.parametrize("changes", [{}, {"leave_one_out": True}])
def test_a_folder_that_another_process_works_on(base: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = recipe(base, tmp_path / "run", targets=[str(sets_in(tmp_path / "sets"))], passes=1, **changes)
    with alone(tmp_path / "run"), pytest.raises(UserError, match="another process works on"):
        diffuse(config, progress=False)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_resume_with_other_targets_is_refused(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("Ada\nGrace\n")
    config = recipe(base, tmp_path / "run", targets=[str(path)], request="Who?", passes=1)
    diffuse(config, progress=False)
    (tmp_path / "run" / "evaluation.json").unlink()
    path.write_text("Ada\nAlan\n")
    with pytest.raises(UserError, match="the targets changed since"):
        diffuse(config.replace(resume=True), progress=False)


def test_held_out_targets_and_sets_are_measured_and_not_trained(base: Path, tmp_path: Path) -> None:
    sets = str(sets_in(tmp_path / "sets"))
    config = recipe(
        base, tmp_path / "run", **LEARNS, targets=[sets, "range(1,20)"], hold_out_targets=0.5, leave_out=["tools"]
    )
    record = diffuse(config, progress=False)
    found = {one["label"]: one for one in record["sets"]}
    assert {label for label, one in found.items() if not one["trained"]} == {
        "tools/a",
        "tools/b ('')",
        "tools/b ('My: ')",
    }
    parts = record["after"]["range(1,20)"]["parts"]
    assert (
        len(found["range(1,20)"]["trained_targets"])
        == parts["trained"]["targets"]
        == parts["held_out"]["targets"]
        == 10
    )
    assert parts["trained"]["valid_mass"] > 5 * parts["held_out"]["valid_mass"]
    assert parts["trained"]["valid_mass"] + parts["held_out"]["valid_mass"] == pytest.approx(
        record["after"]["range(1,20)"]["valid_mass"]
    )
    assert "parts" not in record["after"]["tools/a"]


@pytest.mark.parametrize("kind", ["leave_one_out", "leave_one_in"])
def test_studies_over_groups(base: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    sets = str(sets_in(tmp_path / "sets"))
    config = recipe(base, tmp_path / "study", targets=[sets], passes=2, samples=0, **{kind: True})
    record = diffuse(config, progress=False)
    assert not any(one["trained"] for one in record["sets"])
    assert len(record["sets"]) == 6
    trained = {one["group"]: one["trained_groups"] for one in record["runs"]}
    other = {"pets": "tools", "tools": "pets"}
    assert trained == {group: [other[group] if kind == "leave_one_out" else group] for group in other}
    for name in ("pets/evaluation.json", "tools/report.html", "evaluation.json", "report.html"):
        assert (tmp_path / "study" / name).exists()
    moved = config.replace(out=str((tmp_path / "study").rename(tmp_path / "moved")), resume=True)
    with pytest.raises(UserError, match=r"another study \(see passes\)"):
        diffuse(moved.replace(passes=3), progress=False)
    assert diffuse(moved, progress=False)["after"] == record["after"]
    (tmp_path / "moved").rename(tmp_path / "study")
    ended = command_here(capsys, "report", str(tmp_path / "study"), "--out", str(tmp_path / "again.html"))
    assert ended.code == 0
    assert "pets" in (tmp_path / "again.html").read_text(encoding="utf-8")


def test_a_study_with_several_seeds(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = str(sets_in(tmp_path / "sets"))
    options = {"targets": [sets], "passes": 2, "samples": 0, "retention": "chitchat:pairs", "retention_rows": 3}
    study = tmp_path / "study"
    config = recipe(base, study, leave_one_out=True, seeds=[3, 4], **options)
    record = diffuse(config, progress=False)
    assert record["seeds"] == [3, 4]
    assert [(one["group"], one["seed"]) for one in record["runs"]] == [
        ("pets", 3), ("tools", 3), ("pets", 4), ("tools", 4)
    ]  # fmt: skip
    pets = record["groups"][0]
    assert (pets["group"], pets["sets"]) == ("pets", 3)  # one of the two sets has two prefixes
    runs = [json.loads((study / "pets" / f"seed-{seed}" / "evaluation.json").read_text()) for seed in (3, 4)]
    for name in ("valid_mass", "evenness", "kl"):
        means = [
            sum(run["after"][one["label"]][name] for one in run["sets"] if one["group"] == "pets") / 3 for run in runs
        ]
        found = pets["after"][name]
        assert found["value"] == pytest.approx(sum(means) / 2)
        # Student's t at one degree of freedom; the deviation of two values is half their distance times √2.
        assert found["high"] - found["value"] == pytest.approx(12.7062 * abs(means[0] - means[1]) / 2, rel=1e-4)
    assert runs[0]["before"] == runs[1]["before"]  # the untouched model has no seed
    assert record["after"]["pets/a"] == runs[0]["after"]["pets/a"] != runs[1]["after"]["pets/a"]
    kl = pets["retention"]["kl_to_base"]
    assert kl["value"] == pytest.approx(sum(run["retention"]["after"]["kl_to_base"]["value"] for run in runs) / 2)
    assert pets["retention"]["kl_to_base"]["n"] == 2
    (study / "again.yaml").write_text(yaml.safe_dump(config.replace(resume=True).to_dict()))
    # One of the runs alone is what that seed gives.
    alone = diffuse(recipe(base, tmp_path / "alone", leave_out=["pets"], seed=4, **options), progress=False)
    assert alone["after"]["tools/a"]["log_probs"] == pytest.approx(runs[1]["after"]["tools/a"]["log_probs"])
    assert "(see seeds" in command_here(capsys, "diffuse", "--config", str(study / "again.yaml"), "--seeds", "[3]").err


def test_many_targets_in_parts_give_the_same_run(base: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"targets": ["mimesis:days", "range(100,160)"], "passes": 3, "samples": 0}
    one, other = (
        diffuse(recipe(base, tmp_path / str(rows), rows_per_part=rows, **options), progress=False) for rows in (1024, 8)
    )
    assert other["data"]["parts"] > one["data"]["parts"] == 2
    for label in one["after"]:
        assert other["after"][label]["kl"] == pytest.approx(one["after"][label]["kl"], rel=1e-3)


def test_targets_that_begin_others_cannot_be_told_apart(base: Path, tmp_path: Path) -> None:
    """Without an end, "10" counts for "1" too: the best is to write it twice as often and "1" never.

    With P("1…") = a and P("0" | "1") = b the loss is −(2 ln a + ln b + 8 ln((1 − a)/8))/10, lowest at a = 1/5, b = 1:
    2.164 nats, 0.139 below the entropy of the weights.
    """
    options: dict[str, Any] = {"targets": ["range(1,10)"], "samples": 500, "stop_gap": None, "eos": False, **LEARNS}
    with pytest.raises(UserError, match="'1' begins '10'"):
        diffuse(recipe(base, tmp_path / "refused", **options), progress=False)
    open_end = diffuse(recipe(base, tmp_path / "open", conflicts="allow", **options), progress=False)
    (found,) = open_end["after"].values()
    counts = {one["text"]: one["count"] for one in found["sampled"]["outputs"]}
    assert found["kl"] == pytest.approx(-0.139, abs=0.03)
    assert found["valid_mass"] == pytest.approx(1.2, abs=0.05)
    assert counts.get("1", 0) < 0.03 * 500
    assert counts["10"] > 0.15 * 500
    for fix in ("eos", "braces"):
        (mended,) = diffuse(recipe(base, tmp_path / fix, fix=fix, **options), progress=False)["after"].values()
        counts = {one["text"]: one["count"] for one in mended["sampled"]["outputs"]}
        one, ten = ("{1}", "{10}") if fix == "braces" else ("1", "10")
        assert 0.05 * 500 < min(counts[one], counts[ten]) <= max(counts[one], counts[ten]) < 0.15 * 500


def test_plan(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = command_here(
        capsys,
        "diffuse",
        "--targets",
        "range(1,100)",
        "mimesis:fruits",
        "--model",
        str(base),
        "--out",
        str(tmp_path / "x"),
        "--dry-run",
    )
    assert ended.code == 0, ended.err
    plan = json.loads(ended.out)
    assert plan["kind"] == "plan"
    assert plan["data"]["targets"] == 252
    assert plan["steps"] == 100
    assert plan["tokens_a_pass"] < plan["tokens_a_pass_without_tree"] / 5
    assert plan["memory_bytes"]["total"] > 0
    assert not (tmp_path / "x").exists()


def test_the_command_prints_a_table(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    ended = command_here(
        capsys,
        "diffuse",
        "--targets",
        "range(1,5)",
        "--model",
        str(base),
        "--out",
        out,
        "--passes",
        "2",
        "--retention",
        "",
    )
    assert ended.code == 0, ended.err
    assert "range(1,5)" in ended.out
    assert "valid" in ended.out
    assert f"{out}/report.html" in ended.out.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--targets", "nothing.json"], "nothing.json does not exist; expected a .json, .yaml or .txt file"),
        (["--targets", "mimesis:nothing"], "there is no list 'nothing' in mimesis; expected one of"),
        (["--targets", "range(5,1)"], "range(5,1) holds no number"),
        (["--targets", "twice.txt", "--request", "?"], "'a' (line 1, 3)"),
        (["--targets", "range(1,10)", "--eos", "false"], "'1' begins '10'"),
        (["--targets", "range(1,3)", "--leave_one_out"], "there is one group"),
        (["--targets", "range(1,3)", "--leave_one_out", "--dry-run"], "there is one group"),
        (["--targets", "range(1,3)", "--seeds", "[1]"], "seeds are for leave_one_out"),
        (["--targets", "range(1,3)", "--leave_one_in", "--seeds", "[1, 1]"], "seeds must be one or more different"),
        (["--targets", "range(1,3)", "--leave_out", "x"], "leave_out names 'x'"),
        (["--targets", "range(1,3)", "--hold_out_targets", "0.01"], "leaves none on one side"),
        (["--targets", "range(1,3)", "--hold_out_targets", "2"], "hold_out_targets must be a share"),
        (["--targets", "range(1,3)", "--passes", "0"], "passes must be a whole number"),
        (["--targets", "range(1,3)", "--fix", "bracs"], "eos or braces"),
        (["--targets", "range(1,3)", "--model", "no-such-model"], "no-such-model"),
        ([], "missing"),
    ],
)
def test_bad_input_is_one_sentence(
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twice.txt").write_text("a\nb\na\n")
    model = [] if "--model" in arguments else ["--model", str(base)]
    ended = command_here(capsys, "diffuse", *arguments, *model, "--retention", "", "--out", "run")
    assert ended.code == 2
    assert told in ended.err, ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.shared_data
def test_a_published_set_and_multiple_choice_rows(base: Path, tmp_path: Path, shared_data: Path) -> None:
    record = diffuse(
        recipe(
            base,
            tmp_path / "run",
            targets=[str(shared_data / "diffuse_distributions" / "numbers__prime-0.json")],
            passes=2,
            samples=0,
            retention="chitchat:pairs",
            retention_rows=3,
            choices=str(shared_data / "hellaswag" / "hellaswag_val_prefix.jsonl"),
            choices_limit=3,
        ),
        progress=False,
    )
    assert record["sets"][0]["group"] == "numbers"
    assert record["data"]["targets"] == 15
    after = record["retention"]["after"]
    assert after["nll"]["n"] == record["retention"]["chats"]["rows"] > 0
    assert after["choice_accuracy"]["n"] == record["retention"]["choices"]["rows"] > 0
    assert after["kl_to_base"]["value"] >= 0
    assert 0 <= after["top1_agreement"]["value"] <= 1


@pytest.mark.embedded
@pytest.mark.heavy
def test_numbers_on_the_embedded_model(tmp_path: Path) -> None:
    """What the method is for: of ten numbers each about as often, and nothing else."""
    record = diffuse(targets=["range(1,10)"], out=str(tmp_path / "run"), samples=200, retention_rows=8, progress=False)
    (after,) = record["after"].values()
    assert after["entropy"] >= 2.25
    assert after["valid_mass"] >= 0.99
    assert after["sampled"]["validity"] >= 0.95
