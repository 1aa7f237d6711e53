"""Loss and gradient of a tree equal those of one pass a target, whatever the weights, prefixes, ends and parts."""

import math
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from entrotune.data.targets import TargetSet, encode_targets
from entrotune.models import attach_lora
from entrotune.training.distribution import StepMeter, backward_set
from tiny import SHAPE, byte_tokenizer, tiny_llama
from tolerances import EXACT, SINGLE
from training.distribution.plainly import plain_loss

NAMES = ("Anna", "Annabel", "Ann", "Bob", "Bobby", "Carl", "Z")


def encoded(*, weights: tuple[float, ...] | None = None, conflicts: Any = "stop", **changes: Any) -> list[Any]:
    given: dict[str, Any] = {"request": "Name?", "responses": ("",), "targets": NAMES}
    given |= {"name": "names", "source": "names.json", "group": "names"} | changes
    given["weights"] = weights or (1 / len(NAMES),) * len(NAMES)
    return encode_targets([TargetSet(**given)], byte_tokenizer(), conflicts=conflicts)[0]


def tiny_gpt2() -> GPT2LMHeadModel:
    """A model that computes in float64 where its weights are: Llama's norms round to float32 in between."""
    torch.manual_seed(0)
    shape = {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(vocab_size=SHAPE["vocab_size"], **shape)).double().eval()


CASES = {
    "equal weights": {},
    "weights": {"weights": (0.4, 0.05, 0.15, 0.1, 0.1, 0.19, 0.01)},
    "response prefix": {"responses": ("It is ", "Call me ")},
    "no end": {"eos": False, "conflicts": "allow"},
    "chat": {"request": ({"role": "system", "content": "Brief."}, {"role": "user", "content": "Name?"})},
}


@pytest.mark.parametrize("rows_per_part", [1000, 9, 1])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_equals_the_plain_way(method: str, case: str, rows_per_part: int) -> None:
    model: Any = tiny_gpt2()
    if method == "lora":
        model = attach_lora(model, rank=2).double()
        for name, value in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.1)
    trained = [value for value in model.parameters() if value.requires_grad]
    for one in encoded(**CASES[case]):  # type: ignore[arg-type]
        model.zero_grad()
        loss = backward_set(model, one, StepMeter(), rows_per_part=rows_per_part, scale=0.5)
        plain = plain_loss(model, one)
        assert loss == pytest.approx(plain.item(), rel=1e-12)
        for value, expected in zip(trained, torch.autograd.grad(plain * 0.5, trained), strict=True):
            torch.testing.assert_close(value.grad, expected, **EXACT)


def test_equals_the_plain_way_in_single_precision() -> None:
    model, (one,) = tiny_llama(), encoded(weights=CASES["weights"]["weights"])  # type: ignore[arg-type]
    loss = backward_set(model, one, StepMeter(), rows_per_part=9)
    plain = plain_loss(model, one)
    assert loss == pytest.approx(plain.item(), rel=1e-5)
    trained = list(model.parameters())
    for value, expected in zip(trained, torch.autograd.grad(plain, trained), strict=True):
        assert value.grad is not None
        torch.testing.assert_close(
            value.grad, expected, rtol=SINGLE["rtol"], atol=SINGLE["atol"] * float(expected.abs().max()) + 1e-6
        )


def test_loss_is_floor_and_divergence() -> None:
    model, (one,) = tiny_gpt2(), encoded(weights=CASES["weights"]["weights"])
    meter = StepMeter()
    backward_set(model, one, meter, rows_per_part=100)
    row = meter.read(1)
    divergence = sum(
        weight * (math.log(weight) - log_p)
        for weight, log_p in zip(one.of.weights, _log_probs(model, one), strict=True)
    )
    assert row["gap"] == pytest.approx(divergence, rel=1e-10)
    assert row["loss"] == pytest.approx(row["floor"] + row["gap"], rel=1e-12)
    assert row["supervised_tokens"] == len({s[:end] for s in one.sequences for end in range(1, len(s) + 1)})
    assert row["nll"] == pytest.approx(
        row["loss"] / sum(w * len(s) for w, s in zip(one.of.weights, one.sequences, strict=True))
    )
    assert row["entropy_q05"] <= row["entropy_q50"] <= row["entropy_q95"]


def test_measures_of_a_step_do_not_depend_on_parts() -> None:
    model, (one,) = tiny_gpt2(), encoded()
    rows = []
    for rows_per_part in (100, 4):
        meter = StepMeter()
        backward_set(model, one, meter, rows_per_part=rows_per_part)
        rows.append(meter.read(1))
    for key in ("loss", "nll", "entropy", "varentropy", "accuracy", "entropy_q50"):
        assert rows[0][key] == pytest.approx(rows[1][key], rel=1e-9), key


def _log_probs(model: Any, one: Any) -> list[float]:
    found = []
    for sequence in one.sequences:
        ids = torch.tensor([[*one.prompt.input_ids, *sequence]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(one.prompt.input_ids) - 1 : -1]
        found.append(float(logits.log_softmax(-1).gather(-1, torch.tensor(sequence)[:, None]).sum()))
    return found
