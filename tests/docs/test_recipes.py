"""Every recipe is valid, and can be planned."""

import json
from pathlib import Path

import pytest
import yaml

from docs.pages import ROOT
from entrotune.cli.main import main, run
from entrotune.errors import UserError

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def command_of(recipe: Path) -> str:
    """`compare` for a recipe that holds one of training, `curriculum` for one with schedules, else `train`."""
    fields = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    return "compare" if "train" in fields else "curriculum" if "schedules" in fields else "train"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_recipe_is_valid(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command_of(recipe), "--config", str(recipe), "--print_config"])
    resolved = yaml.safe_load(capsys.readouterr().out)
    written = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    assert resolved.keys() >= written.keys()
    assert resolved["out"] == written["out"]


@pytest.mark.embedded
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_recipe_can_be_planned(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command_of(recipe), "--config", str(recipe), "--dry-run"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"] > 0
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: x.jsonl\nobjectiv: ce\n", encoding="utf-8")
    with pytest.raises(UserError, match="objectiv"):
        run("train", ["--config", str(recipe)])
