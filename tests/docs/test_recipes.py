"""Every recipe is valid, and can be planned."""

import json
import shlex
from pathlib import Path

import pytest
import yaml

from docs.pages import ROOT
from entrotune.cli.main import main, run
from entrotune.errors import UserError
from evidence_files import write_evidence

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def command_of(recipe: Path) -> str:
    """By a field that no other command has."""
    fields = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    marks = {"search": "sweep", "train": "compare", "schedules": "curriculum", "targets": "diffuse"}
    return next((command for mark, command in marks.items() if mark in fields), "train")


def preparations(recipe: Path) -> list[str]:
    """The commands that a recipe's first lines say come before it: those that do not read a recipe."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    found = [line.removeprefix("#   ") for line in lines if line.startswith("#   entrotune ")]
    return [line for line in found if "--config" not in line]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_recipe_is_valid(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command_of(recipe), "--config", str(recipe), "--print_config"])
    resolved = yaml.safe_load(capsys.readouterr().out)
    written = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    assert resolved.keys() >= written.keys()
    assert resolved["out"] == written["out"]


@pytest.mark.embedded
@pytest.mark.filterwarnings("ignore:mse - entropy. entropy wins:UserWarning")  # which the laboratory is to show
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_recipe_can_be_planned(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if recipe.name.startswith("evidence-"):
        write_evidence(tmp_path)
    for line in preparations(recipe):
        assert main(shlex.split(line)[1:]) == 0
    before, _ = sorted(tmp_path.rglob("*")), capsys.readouterr()
    assert main([command_of(recipe), "--config", str(recipe), "--dry-run"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"] > 0
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: x.jsonl\nobjectiv: ce\n", encoding="utf-8")
    with pytest.raises(UserError, match="objectiv"):
        run("train", ["--config", str(recipe)])
