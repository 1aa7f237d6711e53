"""Samples against the exact probabilities, and measures of given samples."""

import pytest
import torch
from scipy.stats import chisquare
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from entrotune.data.targets import TargetSet, encode_targets
from entrotune.evaluation.distribution import Drawn, draw_outputs, exact_measures, sampled_measures, target_log_probs


def a_set(*targets: str, eos: bool = True, weights: tuple[float, ...] | None = None) -> TargetSet:
    return TargetSet(
        name="s",
        source="s",
        group="s",
        request="?",
        responses=("",),
        targets=targets,
        weights=weights or (1 / len(targets),) * len(targets),
        eos=eos,
    )


def wrote(*texts: str, finished: bool = True) -> list[Drawn]:
    return [Drawn((), text, finished) for text in texts]


@pytest.mark.parametrize("eos", [True, False])
def test_frequencies_are_the_exact_probabilities(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, eos: bool
) -> None:
    letters = "abcdefghij"
    ((one,),) = encode_targets([a_set(*letters, eos=eos)], tokenizer)
    firsts = [sequence[0] for sequence in one.sequences]
    with torch.no_grad():  # so that targets are likely enough to be seen, each another way
        ids = torch.tensor([[*one.prompt.input_ids, first] for first in firsts])
        asked, begun = model.model(input_ids=ids).last_hidden_state[:, -2:].mean(dim=0)
        model.lm_head.weight *= 0.1
        for place, first in enumerate(firsts):
            model.lm_head.weight[first] += asked * (4 + place / 5) / asked.norm() ** 2
        model.lm_head.weight[tokenizer.eos_token_id] += begun * 6 / begun.norm() ** 2
    exact = exact_measures(target_log_probs(model, one), one.of.weights)
    drawn = draw_outputs(model, tokenizer, one, samples=2000, seed=0)
    measured = sampled_measures(drawn, one)
    assert exact["valid_mass"] > 0.02
    spread = (exact["valid_mass"] * (1 - exact["valid_mass"]) / 2000) ** 0.5
    assert measured["validity"] == pytest.approx(exact["valid_mass"], abs=5 * spread)
    again = draw_outputs(model, tokenizer, one, samples=2000, seed=0)
    assert drawn == again != draw_outputs(model, tokenizer, one, samples=2000, seed=1)


def test_no_longer_than_the_longest_target(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    ((one,),) = encode_targets([a_set("abc", "d")], tokenizer)
    drawn = draw_outputs(model, tokenizer, one, samples=7, seed=0, batch_size=3)
    assert len(drawn) == 7
    assert all(len(output.token_ids) + output.finished <= 4 for output in drawn)


def test_measures_of_given_outputs(tokenizer: PreTrainedTokenizerFast) -> None:
    ((one,),) = encode_targets([a_set("a", "b", "c")], tokenizer)
    found = sampled_measures([*wrote("a", "a", "b", "x"), *wrote("c", finished=False)], one)
    assert found["validity"] == pytest.approx(3 / 5)
    assert found["coverage"] == 2
    assert (found["most_frequent"], found["most_frequent_share"]) == ("a", 0.4)
    assert found["distinct"] == 4
    assert found["entropy_plug_in"] < found["entropy"] == found["entropy_miller_madow"]


def test_chi_squared_is_scipys(tokenizer: PreTrainedTokenizerFast) -> None:
    ((one,),) = encode_targets([a_set("a", "b", "c", weights=(0.5, 0.25, 0.25))], tokenizer)
    found = sampled_measures(wrote(*"aaaaaabbbc", "x"), one)["chi_squared"]
    expected = chisquare([6, 3, 1], [5, 2.5, 2.5])
    assert found["statistic"] == pytest.approx(expected.statistic)
    assert found["p_value"] == pytest.approx(expected.pvalue)
    assert (found["degrees_of_freedom"], found["lowest_expected"]) == (2, 2.5)
    assert sampled_measures(wrote("x"), one)["chi_squared"] is None


def test_outputs_that_go_on_count_as_the_longest_target_they_begin_with(tokenizer: PreTrainedTokenizerFast) -> None:
    ((one,),) = encode_targets([a_set("1", "10", eos=False)], tokenizer, conflicts="allow")
    found = sampled_measures(wrote("100", "1 or", "2", finished=False), one)
    assert found["coverage"] == 2
    assert found["validity"] == pytest.approx(2 / 3)
