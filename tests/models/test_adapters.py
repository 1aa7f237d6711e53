"""Attaching LoRA and counting parameters."""

from typing import Any

import pytest
import torch

from entrotune.errors import UserError
from entrotune.models import attach_lora, count_parameters


def trainable_layers(model: Any) -> set[str]:
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in names}


def test_all_linear_layers_but_the_head(model: Any) -> None:
    adapted = attach_lora(model, rank=4)
    assert trainable_layers(adapted) == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("targets", ["q_proj,v_proj", ["q_proj", "v_proj"], ("q_proj", "v_proj")])
def test_named_targets(model: Any, targets: Any) -> None:
    assert trainable_layers(attach_lora(model, rank=2, targets=targets)) == {"q_proj", "v_proj"}


def test_counts_of_a_known_adapter(model: Any) -> None:
    total, trainable = count_parameters(model)
    assert total == trainable == sum(parameter.numel() for parameter in model.parameters())
    adapted = attach_lora(model, rank=3, targets="q_proj")
    # two layers, each 32 -> 3 -> 32
    assert count_parameters(adapted) == (total + 2 * 3 * 64, 2 * 3 * 64)


def test_fresh_adapter_changes_nothing_and_the_seed_fixes_it(model: Any) -> None:
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        torch.manual_seed(3)
        adapted = attach_lora(model, rank=2)
        assert torch.equal(adapted(input_ids=ids).logits, before)
    weights = [parameter for name, parameter in adapted.named_parameters() if "lora_A" in name]
    assert float(weights[0].detach().abs().sum()) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"alpha": 0}, "alpha must be above 0, got 0"),
        ({"targets": "q_porj"}, "'q_porj' is no module of this model; it has: down_proj, gate_proj, k_proj"),
        ({"targets": ["q_proj", "lm_head"]}, "'lm_head' is the output head"),
    ],
)
def test_bad_arguments(model: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        attach_lora(model, **arguments)


def test_a_second_adapter_is_refused(model: Any) -> None:
    with pytest.raises(UserError, match="already carries an adapter"):
        attach_lora(attach_lora(model))
