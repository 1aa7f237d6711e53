"""The probability of every target, and what follows from it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from entrotune.data.targets import TargetSet, encode_targets
from entrotune.evaluation.distribution import exact_measures, exact_parts, target_log_probs


def a_set(*targets: str, eos: bool = True) -> TargetSet:
    weights = (1 / len(targets),) * len(targets)
    return TargetSet(
        name="s", source="s", group="s", request="?", responses=("",), targets=targets, weights=weights, eos=eos
    )


@pytest.mark.parametrize("rows_per_part", [100, 2])
def test_every_target_as_in_a_pass_of_its_own(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows_per_part: int
) -> None:
    model = model.double()
    ((one,),) = encode_targets([a_set("ab", "a", "abc", "z")], tokenizer)
    found = target_log_probs(model, one, rows_per_part=rows_per_part)
    for sequence, log_p in zip(one.sequences, found, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*one.prompt.input_ids, *sequence]])).logits
        rows = logits[0, len(one.prompt.input_ids) - 1 : -1].log_softmax(-1)
        assert log_p == pytest.approx(float(rows.gather(-1, torch.tensor(sequence)[:, None]).sum()), rel=1e-6)


def test_probabilities_of_all_outputs_of_a_length_sum_to_one(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    ((one,),) = encode_targets([a_set("a", "b", eos=False)], tokenizer)
    letters = [(token,) for token in range(model.config.vocab_size)]
    every = type(one)(a_set(*map(str, range(len(letters)))), "", "every", one.prompt, tuple(letters))
    measured = exact_measures(target_log_probs(model.double(), every), every.of.weights)
    assert measured["valid_mass"] == pytest.approx(1, abs=1e-9)


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=9), st.floats(0.01, 1), st.data())
def test_measures_follow_their_definitions(raw: list[float], mass: float, data: st.DataObject) -> None:
    w = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=len(raw), max_size=len(raw))))
    w, q = w / w.sum(), np.array(raw) / sum(raw)
    found = exact_measures(np.log(q * mass), w)
    assert found["valid_mass"] == pytest.approx(mass)
    assert found["kl"] == pytest.approx(np.sum(w * np.log(w / (q * mass))), abs=1e-9)
    assert found["kl_renormalised"] == pytest.approx(np.sum(w * np.log(w / q)), abs=1e-9)
    assert found["entropy"] == pytest.approx(-np.sum(q * np.log(q)), abs=1e-9)
    assert found["evenness"] == pytest.approx(found["entropy"] / math.log(len(q)))
    assert found["coverage"]["10"] == pytest.approx(np.sum(1 - (1 - q * mass) ** 10))
    assert found["loss"] == pytest.approx(found["floor"] + found["kl"])


def test_a_uniform_distribution_reaches_every_bound() -> None:
    found = exact_measures([math.log(0.1)] * 10, [0.1] * 10)
    assert found["kl"] == pytest.approx(0, abs=1e-12)
    assert found["entropy"] == pytest.approx(math.log(10))
    assert found["coverage"]["1000"] == pytest.approx(10)
    assert exact_measures([-1.0], [1.0])["evenness"] is None


def test_improbable_targets_leave_finite_numbers() -> None:
    found = exact_measures([-5.0, -2000.0], [0.5, 0.5])
    assert math.isfinite(found["kl"])
    assert found["entropy"] == 0


def test_parts_are_measured_with_their_own_weights() -> None:
    parts = exact_parts([math.log(p) for p in (0.4, 0.4, 0.1, 0.05)], [0.25] * 4, [0, 1])
    assert parts["trained"]["valid_mass"] == pytest.approx(0.8)
    assert parts["held_out"]["valid_mass"] == pytest.approx(0.15)
    assert parts["trained"]["kl_renormalised"] == pytest.approx(0, abs=1e-12)
