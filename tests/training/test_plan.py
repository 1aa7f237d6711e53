"""A plan is what the run then does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrotune.errors import UserError
from entrotune.models import attach_lora, count_parameters, describe_model, load_model
from entrotune.training import TrainConfig, plan_training, run_training

Recipe = Callable[..., TrainConfig]


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 4, "epochs": 1},
        {"batch_size": 3, "accumulation": 2, "epochs": 2},
        {"batch_size": 7, "accumulation": 2, "epochs": 1.3},
        {"batch_size": 1, "accumulation": 64, "epochs": 0.1},
        {"batch_size": 8, "max_steps": 5},
        {"batch_size": 1, "packing": True, "epochs": 2, "max_length": 100},
    ],
)
def test_steps_and_tokens_are_those_of_the_run(recipe: Recipe, changes: dict[str, Any]) -> None:
    config = recipe(method="full", **changes)
    plan = plan_training(config, describe_model(config.model))
    record = run_training(config)
    assert plan["steps"] == record["steps"]
    assert plan["data"] == record["data"]
    assert plan["parameters"] == record["parameters"]
    if float(config.epochs).is_integer() and config.max_steps is None:
        assert plan["tokens_to_train"] == record["tokens"]
    else:  # a part of an epoch has longer or shorter rows than the average
        assert plan["tokens_to_train"] == pytest.approx(record["tokens"], rel=0.2)


@pytest.mark.parametrize("targets", ["all-linear", "q_proj,down_proj"])
def test_adapters_are_counted(recipe: Recipe, targets: str) -> None:
    config = recipe(lora_targets=targets, lora_rank=3)
    plan = plan_training(config, describe_model(config.model))
    model, _ = load_model(config.model, device="cpu")
    total, trainable = count_parameters(attach_lora(model, rank=3, targets=targets))
    assert (plan["parameters"], plan["trainable_parameters"]) == (total, trainable)
    memory = plan["memory_bytes"]
    assert memory["weights"] == 4 * total
    assert memory["gradients"] + memory["optimizer"] == 12 * trainable
    assert memory["total"] == sum(value for key, value in memory.items() if key != "total")


def test_no_weights_are_needed(recipe: Recipe, base: Path, tmp_path: Path) -> None:
    described = tmp_path / "described"
    shutil.copytree(base, described)
    (described / "model.safetensors").write_text("nothing that could be loaded")
    plan = [plan_training(recipe(), describe_model(folder)) for folder in (described, base)]
    assert plan[0] == plan[1]
    assert json.dumps(plan[0])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"max_length": 513}, "reads 512 tokens at most"), ({"lora_targets": "no_proj"}, "LoRA target 'no_proj'")],
)
def test_a_plan_refuses_what_the_run_would(recipe: Recipe, changes: dict[str, Any], says: str) -> None:
    config = recipe(**changes)
    with pytest.raises(UserError, match=says):
        plan_training(config, describe_model(config.model))
