"""The recipes of evidence at a tiny size: rows are read as published, and what a recipe is about is measured."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.pages import ROOT
from entrotune import CompareConfig, TrainConfig, compare
from entrotune.errors import UserError
from entrotune.experiments.new_model import new_model
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
@pytest.mark.parametrize("name", EXPECTED)
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


@pytest.mark.usefixtures("inside")
def test_overfitting_with_every_kind_of_variant(model: Path) -> None:
    """Weight decay, noise on embeddings, label smoothing and weights between the start and `ce`, over two epochs."""
    recipe = yaml.safe_load((ROOT / "recipes" / "evidence-overfitting.yaml").read_text(encoding="utf-8"))
    small = {"model": str(model), "epochs": 2, "limit": 24, "method": "full"}
    train = TrainConfig(**recipe.pop("train") | small)
    smaller = {"objectives": ["gem(beta=0.7, h=logsigmoid)"], "seeds": [0], "measure_at": [1, 2], "temperatures": [1.0]}
    config = CompareConfig(
        **recipe | smaller | {"train": train, "samples": 2, "prompts": 3, "max_new_tokens": 3, "judge": False}
    )
    record = compare(config, progress=False)
    variants = {variant["name"]: variant for variant in record["variants"]}
    assert {"base", "ce", *recipe["variants"]} <= variants.keys()
    assert record["failed"] == []
    for name, variant in variants.items():
        trained = name != "base" and "interpolate" not in variant["differs"]
        assert [one["epoch"] for one in variant["epochs"]] == ([1, 2] if trained else [])
        assert ("stops" in variant) == trained
        assert math.isfinite(variant["settings"][0]["metrics"]["nll"]["value"])
    assert variants["NEFTune 5"]["settings"] != variants["ce"]["settings"]


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_regularisers_on_a_model_made_from_the_data(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = yaml.safe_load((ROOT / "recipes" / f"regularisers-{kind}.yaml").read_text(encoding="utf-8"))
    size = {} if kind == "lstm" else {"layers": 1, "heads": 2}
    made = new_model(out=recipe["train"]["model"], kind=kind, vocabulary=300, hidden_size=16, **size)
    assert made["vocabulary"] == 300
    train = TrainConfig(**recipe.pop("train") | {"epochs": 1, "limit": 60})
    kinds = ("ce", "mse", "mse + 1*entropy", "mse + 10*ce", "power(k=0.5)", "alpha_divergence(a=0.5)")
    of_each_kind = [objective for objective in recipe["objectives"] if objective in kinds]
    assert len(of_each_kind) >= 5
    small = {"objectives": of_each_kind, "samples": 2, "prompts": 3, "max_new_tokens": 3, "temperatures": [1.0]}
    record = compare(CompareConfig(**recipe | small | {"train": train}), progress=False)
    assert len(record["variants"]) == 1 + len(of_each_kind)
    for variant in record["variants"][1:]:
        last = [row for row in variant["curve"] if row["split"] == "validation"][-1]
        assert all(math.isfinite(last[name]) for name in ("loss", "nll", "entropy", "accuracy"))
