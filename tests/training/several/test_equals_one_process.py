"""`EntropicTrainer` on two processes is the trainer on one: every logged number, and the weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from several_processes import on_processes

# A controller in each of two groups of rows; gradients measured in every step.
BY_TASK = {"alpha": {"by": "task", "qa": {"target_entropy": 5.5, "start": 0.2}, "default": {"target_entropy": 4}}}
BALANCED = {"a": {"balanced": "mgda", "every": 1}, "b": "balanced", "alpha": {"by": "task", "qa": 0.1, "story": 0.3}}

CASES: dict[str, dict[str, Any]] = {
    # Past the end of an epoch, whose last batch is no full one.
    "plain": {"batch": 4, "options": {"max_steps": 8}},
    "accumulation 3": {"batch": 4, "options": {"gradient_accumulation_steps": 3}},
    "accumulation 8": {"batch": 2, "options": {"gradient_accumulation_steps": 8}},
    "nothing to learn on a process": {"batch": 2, "masked": True},
    "lora": {"batch": 4, "lora": True},
    "lora, accumulation 3": {"batch": 4, "lora": True, "options": {"gradient_accumulation_steps": 3}},
    "lora, against its base": {"batch": 4, "lora": True, "objective": "ce + 0.5*kl(ref)"},
    "against a teacher": {"batch": 4, "teacher": True, "objective": "ce - 0.1*entropy + 0.5*kl(ref)"},
    "tied": {"batch": 4, "tied": True},
    "padding-free": {"batch": 4, "options": {"padding_free": True}},
    "by a column": {
        "batch": 4,
        "objective": "ce - alpha*entropy",
        "coefficients": BY_TASK,
        "options": {"max_steps": 3},
    },
    "balanced": {
        "batch": 4,
        "objective": "a*(ce - alpha*entropy) + b*z_loss",
        "coefficients": BALANCED,
        "options": {"gradient_accumulation_steps": 2, "max_steps": 3},
    },
}
SHARINGS = ("ddp", "fsdp")
GATHERED = {"batch": 4, "gathered": True, "options": {"max_steps": 2}}
BFLOAT16 = {"batch": 4, "options": {"bf16": True, "max_steps": 1, "eval_strategy": "no"}}
TIMES = ("runtime", "_per_second", "flos")
# Sums over two processes round in another order. Of losses near 5 and gradients, float32.
SAME = {"rtol": 1e-5, "atol": 1e-6}


def on_both(case: dict[str, Any], sharing: str) -> dict[str, Any]:
    return case | ({} if sharing == "ddp" else {"sharing": sharing})


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    cases = CASES | {"gathered": GATHERED, "bfloat16": BFLOAT16}
    return on_processes(1, "training.several.cases:fit_all", cases, tmp_path_factory.mktemp("one"))[0]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    cases = {f"{name}, {sharing}": on_both(case, sharing) for name, case in CASES.items() for sharing in SHARINGS}
    cases |= {"gathered": GATHERED, "bfloat16": on_both(BFLOAT16, "fsdp")}
    return on_processes(2, "training.several.cases:fit_all_and_head", cases, tmp_path_factory.mktemp("two"))


def numbers(entry: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in entry.items() if not any(part in key for part in TIMES)}


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("name", CASES)
def test_log_and_weights(one: dict[str, Any], two: list[dict[str, Any]], name: str, sharing: str) -> None:
    assert_log_and_weights(one, two, name, sharing)


def assert_log_and_weights(one: dict[str, Any], two: list[dict[str, Any]], name: str, sharing: str) -> None:
    expected, found = one[name], two[0][f"{name}, {sharing}"]
    assert len(expected["log"]) == len(found["log"])
    for alone, shared in zip(expected["log"], found["log"], strict=True):
        alone, shared = numbers(alone), numbers(shared)
        assert alone.keys() == shared.keys()
        for key, value in alone.items():
            np.testing.assert_allclose(shared[key], value, **SAME, err_msg=f"{key} at step {alone['step']}")
    for key, value in expected["weights"].items():
        torch.testing.assert_close(found["weights"][key], value, **SAME)
        assert torch.equal(two[1][f"{name}, {sharing}"]["weights"][key], found["weights"][key])


def test_each_validation_row_is_gathered_once(one: dict[str, Any], two: list[dict[str, Any]]) -> None:
    for found in (one["gathered"], two[0]["gathered"]):
        entry = next(entry for entry in found["log"] if "eval_rows" in entry)
        assert (entry["eval_rows"], entry["eval_logits"]) == (7, 7)
        assert entry["eval_labels"] == entry["eval_supervised_tokens"]


def test_mixed_precision_of_fsdp_does_not_round_what_is_measured(
    one: dict[str, Any], two: list[dict[str, Any]]
) -> None:
    alone, shared = (found["bfloat16"]["log"][0] for found in (one, two[0]))
    for key in ("loss", "nll", "entropy", "entropy_q50"):
        # The models differ by bfloat16's rounding of activations, 0.4% a token, which averages out; an entropy
        # rounded to bfloat16 would be 5.6875 for each token.
        assert shared[key] == pytest.approx(alone[key], rel=2e-4), key


def test_a_head_sharded_on_its_own(two: list[dict[str, Any]]) -> None:
    errors = two[0]["head"]
    assert max(errors.values()) < 1e-6, errors


@pytest.mark.heavy
def test_zero_3(one: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    names = ["plain", "accumulation 3", "nothing to learn on a process", "lora", "tied"]
    cases = {name: CASES[name] | {"sharing": "zero3"} for name in names}
    two = on_processes(2, "training.several.cases:fit_all", cases, tmp_path, variables={"DS_ACCELERATOR": "cpu"})
    for name in names:
        assert_log_and_weights(one, [{f"{name}, zero3": ranks[name]} for ranks in two], name, "zero3")
