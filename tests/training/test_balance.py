"""Balanced coefficients in training: the weights are those of the gradients that autograd finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from entrotune.models import load_model
from entrotune.objectives import Objective
from entrotune.training import TrainConfig, read_rows, run_training
from stopped_runs import metrics
from tiny import byte_tokenizer, tiny_llama

Recipe = Callable[..., TrainConfig]


@pytest.fixture
def calm(tmp_path: Path) -> str:
    """A tiny model without dropout."""
    tiny_llama().save_pretrained(tmp_path / "calm")
    byte_tokenizer(template=None).save_pretrained(tmp_path / "calm")
    return str(tmp_path / "calm")


def expected_weights(config: TrainConfig) -> list[float]:
    """Those of the untouched model over the training rows, row by row in float64."""
    model, tokenizer = load_model(config.model, dtype="float32")
    model = model.double().eval()
    grads: dict[str, list[torch.Tensor]] = {"ce": [], "z_loss": []}
    for example in read_rows(config, tokenizer).train:
        ids, labels = (torch.tensor([values]) for values in (example.input_ids, example.labels))
        with torch.no_grad():
            hidden = model.model(ids).last_hidden_state[:, :-1]
        for name, found in grads.items():
            at = hidden.clone().requires_grad_()
            loss, _ = Objective(name).from_logits(model.lm_head(at), labels[:, 1:], num_items=1)
            found.append(torch.autograd.grad(loss, [at])[0].reshape(-1))
    first, second = (torch.cat(found) for found in grads.values())
    across = second - first
    weight = float((across @ second / (across @ across)).clamp(0, 1))
    return [weight, 1 - weight]


def trained(config: TrainConfig) -> list[dict[str, Any]]:
    run_training(config)
    return [row for row in metrics(config.out) if row["split"] == "train"]


def test_the_weights_are_those_of_autograd(recipe: Recipe, calm: str) -> None:
    balanced = {"a": {"balanced": "mgda", "every": 2, "tokens": 1000, "smoothing": 0.5, "min": 0}, "b": "balanced"}
    options = {"model": calm, "objective": "a*ce + b*z_loss", "coefficients": balanced, "method": "full"}
    config = recipe(**options, batch_size=5, accumulation=4, max_steps=4, evaluate_every=4, learning_rate=1e-3)
    rows = [row["coefficients"] for row in trained(config)]
    first, second = expected_weights(config)
    assert 0.05 < first < 0.95  # neither of the losses alone
    assert (rows[0]["a"], rows[0]["b"]) == (0.5, 0.5)
    # Measured in the first step, and in the third.
    assert (rows[1]["a"], rows[1]["b"]) == pytest.approx((first, second), rel=1e-4)
    assert rows[2]["a"] == rows[1]["a"] != rows[3]["a"]
    for row in rows:
        assert row["ce"] == row["a"]
        assert row["a"] + row["b"] == pytest.approx(1)
        assert min(row["a"], row["b"]) >= 0
