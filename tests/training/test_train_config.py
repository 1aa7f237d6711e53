"""Recipes that make no sense are refused in one sentence."""

from typing import Any

import pytest

from entrotune.errors import UserError
from entrotune.objectives import ce, entropy
from entrotune.training import TrainConfig

COUNTS = ["max_length", "batch_size", "accumulation", "lora_rank", "lora_alpha", "log_every", "keep_checkpoints"]
OPTIONAL = ["max_steps", "limit", "max_answers", "early_stopping"]
CHOICES = ["method", "supervise", "on_bad_row", "schedule", "precision", "backend", "keep"]


@pytest.mark.parametrize("value", [0, -1, 1.5, float("nan"), "2", True])
@pytest.mark.parametrize("name", [*COUNTS, *OPTIONAL, "evaluate_every", "save_every"])
def test_counts(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"^{name} must be .*not {value!r}$"):
        TrainConfig(data="x", **{name: value})
    assert getattr(TrainConfig(data="x", **{name: 3}), name) == 3


@pytest.mark.parametrize("name", COUNTS)
def test_needed_counts(name: str) -> None:
    with pytest.raises(UserError, match=f"^{name} must be a whole number"):
        TrainConfig(data="x", **{name: None})


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1", True])
@pytest.mark.parametrize("name", ["epochs", "learning_rate", "max_grad_norm"])
def test_positive_numbers(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"^{name} must be a number above 0, not {value!r}$"):
        TrainConfig(data="x", **{name: value})


@pytest.mark.parametrize("value", [0, -5, float("nan"), float("inf"), "5", True])
def test_noise(value: Any) -> None:
    with pytest.raises(UserError, match=f"^neftune_noise_alpha must be a number above 0 or nothing, not {value!r}$"):
        TrainConfig(data="x", neftune_noise_alpha=value)
    assert TrainConfig(data="x").neftune_noise_alpha is None


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), float("inf"), None, "0"])
@pytest.mark.parametrize("name", ["warmup", "weight_decay", "lora_dropout"])
def test_shares(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"^{name} must be a number of at least 0 and below 1, not {value!r}$"):
        TrainConfig(data="x", **{name: value})


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name: str) -> None:
    with pytest.raises(UserError, match=f"^{name} is 'qlora'; expected [a-z0-9]+.* or [a-z0-9]+$"):
        TrainConfig(data="x", **{name: "qlora"})


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, None])
def test_seeds(seed: Any) -> None:
    with pytest.raises(UserError, match=r"^seed must be a whole number from 0"):
        TrainConfig(data="x", seed=seed)


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        ("ce - entrpy", "unknown term 'entrpy'; did you mean 'entropy'"),
        ("gem(beta=0)", "beta must be above 0"),
        ("nan*ce", "finite"),
        ("", "objective"),
        (3, "not int"),
    ],
)
def test_objectives(objective: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        TrainConfig(data="x", objective=objective)


def test_objectives_of_every_form_are_kept_as_text() -> None:
    assert TrainConfig(data="x", objective=ce() - 0.1 * entropy()).objective == "ce - 0.1*entropy"


def test_resume_and_overwrite_contradict_each_other() -> None:
    with pytest.raises(UserError, match="contradict"):
        TrainConfig(data="x", resume=True, overwrite=True)


def test_what_follows_from_other_fields() -> None:
    assert TrainConfig(data="x").learning_rate == 2e-4
    assert TrainConfig(data="x", method="full").learning_rate == 2e-5
    assert TrainConfig(data="x", keep="best", evaluate_every=7).save_every == 7
    config = TrainConfig(data="x", columns={"prompt": "q"}, report_to=["tensorboard"])
    assert TrainConfig(**config.to_dict()) == config
