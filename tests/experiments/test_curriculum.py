"""A study from data to report, at a tiny size with a tiny scorer."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from commands import command_here
from entrotune.data.curriculum import read_order
from entrotune.errors import UserError
from entrotune.experiments.curriculum import curriculum
from entrotune.experiments.curriculum_config import CurriculumConfig
from entrotune.experiments.curriculum_material import cut_text, read_material, train_tokenizer
from entrotune.experiments.curriculum_record import t_interval
from entrotune.training import RunFolder
from tiny_files import write_model

RECIPE = Path(__file__).parents[2] / "recipes" / "curriculum.yaml"
TINY: dict[str, Any] = {
    "schedules": ["increasing", "increasing+step"],
    "seeds": [0, 1],
    "bins": 4,
    "row_bytes": 60,
    "vocabulary": 300,
    "layers": 1,
    "width": 16,
    "heads": 2,
    "context": 64,
    "batch_size": 4,
    "validations": 3,
}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    words = ["the", "cat", "sees", "a", "dog", "and", "runs", "away", "zyx", "qu"]
    lines = [" ".join(generator.choice(words, size=9)) for _ in range(60)]
    data = tmp_path / "text.jsonl"
    data.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    scorer = write_model(tmp_path / "scorer")
    return {"data": str(data), "scorer": str(scorer), "out": str(tmp_path / "study"), **TINY}


def test_a_study(options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = curriculum(**options, dry_run=True)
    assert not (tmp_path / "study").exists()
    record = curriculum(**options, progress=False)
    folder = tmp_path / "study"
    assert json.loads((folder / "curriculum.json").read_text()) == record
    assert "increasing+step" in (folder / "report.html").read_text()
    names = ["random", "increasing", "increasing+step"]
    assert [variant["name"] for variant in record["variants"]] == names
    assert plan["runs"] == 6
    assert plan["steps_of_a_run"] == record["steps"]
    assert plan["parameters"] == record["model"]["parameters"]
    control, increasing, paced = record["variants"]
    assert control["tokens"] == increasing["tokens"] == plan["tokens_of_a_run"]
    for variant in (increasing, paced):
        found = variant["difference"]
        by_seed = [one["nll"] - other["nll"] for one, other in zip(variant["runs"], control["runs"], strict=True)]
        assert list(found["by_seed"].values()) == pytest.approx(by_seed)
        assert found["over_seeds"] == t_interval(by_seed)
        # Both estimates are of the same mean.
        assert found["over_rows"]["value"] == pytest.approx(np.mean(by_seed), abs=1e-9)
        # Both begin with the same weights.
        assert variant["curve"][0]["step"] == 0
        assert variant["curve"][0]["difference"]["value"] == 0
        assert variant["curve"][-1]["nll"]["value"] == pytest.approx(variant["nll"]["value"], abs=1e-5)
    _check_orders(folder, names)

    # Nothing that is finished is done again.
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again = curriculum(**options, resume=True, progress=False)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == before
    assert again["variants"] == record["variants"]
    flags = [part for key in ("data", "scorer", "out") for part in (f"--{key}", options[key])]
    refused = command_here(capsys, "curriculum", *flags)
    assert refused.code == 2
    assert "already holds a study" in refused.err
    with pytest.raises(UserError, match="another recipe \\(see width\\)"):
        curriculum(**(options | {"width": 32}), resume=True)


def _check_orders(folder: Path, names: list[str]) -> None:
    """Every seed has orders of its own, and the runs have followed them."""
    orders = {(name, seed): read_order(folder / f"orders/{name}-{seed}.parquet") for name in names for seed in (0, 1)}
    assert len({order.fingerprint for order in orders.values()}) == 6
    assert len({len(order.ids) for order in orders.values()}) == 1
    for (name, seed), order in orders.items():
        record = RunFolder(folder / name / f"seed-{seed}").read_record()
        assert record["data"]["curriculum"]["fingerprint"] == order.fingerprint
        assert record["data"]["curriculum"]["steps_used"] == len(order.ids)


def test_the_recipe_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command_here(capsys, "curriculum", "--config", str(RECIPE), "--limit", "20", "--dry-run")
    assert ended.code == 0, ended.err
    plan = json.loads(ended.out)
    written = yaml.safe_load(RECIPE.read_text())
    assert plan["runs"] == len(plan["schedules"]) * len(written["seeds"]) >= 15
    assert plan["tokens_to_train"] == plan["tokens_of_a_run"] * plan["runs"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [1, 7, 40])
def test_cutting_loses_no_text(limit: int) -> None:
    lines = ["Erster Satz.", "", "  zwei ", "ein sehr langes Wort: Donaudampfschifffahrt", "äöü " * 9, "end"]
    pieces = list(cut_text(lines, limit))
    assert "".join("".join(pieces).split()) == "".join("".join(lines).split())
    assert all(len(piece.encode()) <= limit or " " not in piece for piece in pieces)


def test_the_tokenizer_keeps_every_text(options: dict[str, Any]) -> None:
    material = read_material(CurriculumConfig(**options))
    tokenizer = train_tokenizer(material.train, 300)
    assert len(tokenizer) <= 300
    for text in (material.validation[0].text, "naïve → 🙂\n\tx"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    ids = [row.id for row in (*material.train, *material.validation)]
    assert len(set(ids)) == len(ids)


def test_t_interval() -> None:
    # n = 3, sd = 1: t(0.975; 2) = 4.3027, arm = 4.3027 / √3.
    found = t_interval([1.0, 2.0, 3.0])
    assert found["value"] == 2
    assert found["high"] - 2 == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert t_interval([1.5]) == {"value": 1.5, "low": None, "high": None, "n": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedules": ["up"]}, "schedule is 'up'"),
        ({"schedules": ["hill+root"]}, "goes with schedule increasing"),
        ({"schedules": ["random"]}, "at least one order beside random"),
        ({"seeds": [1, 1]}, "seeds must be"),
        ({"width": 30}, "even share"),
        ({"vocabulary": 100}, "vocabulary must be"),
        ({"validation": 1.5}, "validation must be"),
        ({"resume": True, "overwrite": True}, "contradict"),
    ],
)
def test_recipes_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CurriculumConfig(**changes)


def test_other_files_are_left_alone(options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        curriculum(**options, overwrite=True)
