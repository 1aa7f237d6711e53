"""The recipes of evidence at a tiny size: rows are read as published, and what a recipe is about is measured."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.pages import ROOT
from entrotune import CompareConfig, TrainConfig, compare
from entrotune.errors import UserError
from evidence_files import write_evidence

# Of each recipe: measures that must come out, and measures that paired differences must be told of.
EXPECTED = {
    "descriptions": (
        {"slots", "all_slots", "ngram_coverage", "reference_coverage", "bleu"},
        {"slots", "ngram_coverage"},
    ),
    "chat": ({"ngram_coverage", "reference_coverage", "rouge_l"}, {"ngram_coverage", "rouge_l"}),
    "arithmetic": ({"correct", "pass@2", "pass@4", "majority", "best_of_n"}, {"correct", "majority"}),
    "translation": ({"bleu", "chrf", "ngram_coverage"}, {"chrf", "bleu"}),
    "summaries": ({"rouge_1", "rouge_2", "rouge_l", "ngram_coverage"}, {"rouge_l"}),
    "questions": ({"f1", "exact_match"}, {"f1", "exact_match"}),
    "retention": ({"slots"}, {"slots"}),
}
QUICK = ("descriptions", "arithmetic")


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_evidence(tmp_path)
    return tmp_path


def tiny(name: str, model: Path, **changes: Any) -> CompareConfig:
    """A recipe with a tiny model, its first two objectives, four samples, one temperature and one epoch."""
    recipe = yaml.safe_load((ROOT / "recipes" / f"evidence-{name}.yaml").read_text(encoding="utf-8"))
    train = TrainConfig(
        **recipe.pop("train") | {"model": str(model), "epochs": 1, "validation": 0.5, "max_length": 256}
    )
    small = {"objectives": recipe["objectives"][:2], "samples": 4, "max_new_tokens": 3, "temperatures": [1.0]}
    return CompareConfig(**recipe | small | {"train": train} | changes)


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.heavy) for name in EXPECTED]
)
def test_recipe_measures_what_it_is_about(name: str, model: Path) -> None:
    config = tiny(name, model)
    record = compare(config, progress=False)
    measured, compared = EXPECTED[name]
    for variant in record["variants"]:
        for setting in variant["settings"]:
            assert measured <= setting["metrics"].keys()
            for metric in measured:
                assert math.isfinite(setting["metrics"][metric]["value"])
    assert record["front"] == {"quality": config.quality, "diversity": config.diversity}
    assert config.quality in measured
    told = {entry["metric"] for entry in record["comparisons"] if not entry.get("matched_on")}
    assert compared <= told
    assert record["data"]["rows_rejected"] == 0
    assert ("retention" in record) == (name == "retention")


def test_a_quality_that_the_data_does_not_allow_is_refused(inside: Path, model: Path) -> None:
    with pytest.raises(UserError, match="quality is slots, but no held-out row has a meaning such as"):
        compare(tiny("chat", model, quality="slots"), progress=False)
    with pytest.raises(UserError, match="quality is correct, but no held-out row has a checker"):
        compare(tiny("descriptions", model, quality="correct"), progress=False)
    with pytest.raises(UserError, match="quality is 'beauty'; expected one of nll, correct"):
        tiny("chat", model, quality="beauty")
    assert not (inside / "runs").exists()
