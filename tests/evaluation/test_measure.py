"""From scores and samples to columns, estimates and comparisons."""

import math
from typing import Any

import numpy as np
import pytest

from entrotune.data import Prompt, Row
from entrotune.errors import UserError
from entrotune.evaluation import (
    Column,
    RowScore,
    SampleRecord,
    SettingRecord,
    correctness,
    describe_metrics,
    difference,
    hold_out,
    likelihood_columns,
    measure,
    sample_columns,
    summarise,
)
from entrotune.measures import diversity_of
from evaluation.drawn import drawn


def record(name: str, index: int, text: str, tokens: int = 3) -> SampleRecord:
    return drawn(name, text, index=index, token_ids=(5,) * tokens)


def prompt(name: str, checker: dict[str, Any] | None = None) -> Prompt:
    return Prompt(id=name, messages=(), text="the same template", input_ids=(5,), references=(), checker=checker)


def setting(**columns: Column) -> SettingRecord:
    return SettingRecord(temperature=1.0, samples_per_prompt=2, columns=columns, samples=())


def column(values: list[float], weights: list[float] | None = None) -> Column:
    ids = tuple(f"p{index}" for index in range(len(values)))
    return Column(ids, np.array(values), None if weights is None else np.array(weights))


def test_likelihoods_are_token_means_grouped_by_prompt() -> None:
    scores = [
        RowScore("a#0", 2, 1, (3.0, 6.0), (0.5, 1.0)),
        RowScore("b", 6, 0, (9.0, 18.0), (1.5, 3.0)),
        RowScore("a#1", 2, 1, (5.0, 10.0), (0.5, 1.0)),
    ]
    columns = likelihood_columns(scores, 1, {"a#0": "a", "a#1": "a"})
    assert columns["nll"].ids == ("a", "b")
    assert columns["nll"].values.tolist() == [16.0, 18.0]
    estimates = summarise(setting(**columns), seed=0)
    assert estimates["nll"].value == pytest.approx(34 / 10)
    assert estimates["nll"].n == 2
    assert estimates["perplexity"].value == pytest.approx(math.exp(3.4))
    assert estimates["accuracy"].value == pytest.approx(0.2)
    assert estimates["entropy"].value == pytest.approx(0.5)
    assert set(likelihood_columns(scores, None, {})) == {"accuracy"}


def test_diversity_is_of_responses_only_per_prompt() -> None:
    prompts = [prompt("a"), prompt("b")]
    samples = [
        record("a", 0, "one two"),
        record("b", 0, "same"),
        record("a", 1, "three four"),
        record("b", 1, "same", 5),
    ]
    columns = sample_columns(prompts, samples)
    # The prompt's text, which all samples share, would lower these.
    assert columns["distinct_1"].values.tolist() == [1.0, 0.5]
    assert columns["distinct_outputs"].values.tolist() == [2.0, 1.0]
    assert columns["length"].values.tolist() == [3.0, 4.0]
    alone = diversity_of(["one two", "three four"], vocabulary_size=50_000)
    assert {name: values.values[0] for name, values in columns.items() if name in alone} == pytest.approx(
        alone, nan_ok=True
    )
    assert "correct" not in columns


def test_correctness_by_checker() -> None:
    row = correctness(["7", "8", "so 7", "none"], {"kind": "numeric", "answer": 7})
    # two of four right: pass@2 = 1 − C(2,2)/C(4,2)
    assert row == {
        "correct": 0.5,
        "pass@2": pytest.approx(5 / 6),
        "pass@4": 1.0,
        "best_of_n": 1.0,
        "majority": 1.0,
    }


def test_prompts_without_a_checker_are_skipped_and_counted() -> None:
    prompts = [prompt("a", {"kind": "exact", "answer": "yes"}), prompt("b")]
    samples = [record("a", 0, "yes"), record("a", 1, "no"), record("b", 0, "x"), record("b", 1, "y")]
    estimate = summarise(setting(**sample_columns(prompts, samples)), seed=0)["correct"]
    assert (estimate.value, estimate.n, estimate.skipped) == (0.5, 1, 1)


def test_summary_has_the_order_of_the_table_and_names_each_k() -> None:
    made = setting(**{"pass@4": column([1.0]), "length": column([2.0]), "nll": column([3.0], [2.0])})
    assert list(summarise(made, seed=0)) == ["nll", "perplexity", "pass@4", "length"]
    described = describe_metrics([made])
    assert described["pass@4"]["label"] == "pass@4"
    assert "4 samples" in described["pass@4"]["explain"]
    assert described["nll"]["better"] == "lower"


def test_differences_are_paired() -> None:
    generator = np.random.default_rng(0)
    level = generator.normal(0, 10, 40)  # prompts differ far more than the two models do
    a, b = column((level + 1.0).tolist()), column((level + generator.normal(0, 0.1, 40)).tolist())
    found = difference(setting(vendi=a), setting(vendi=b), "vendi", seed=0)
    assert found.value == pytest.approx(1.0, abs=0.1)
    assert found.low is not None
    assert found.low > 0.9
    weighted = difference(
        setting(nll=column([4.0, 9.0], [2, 3])), setting(nll=column([2.0, 3.0], [2, 3])), "nll", seed=0
    )
    assert weighted.value == pytest.approx(13 / 5 - 5 / 5)


def test_differences_need_the_same_prompts_and_metric() -> None:
    here, there = column([1.0, 2.0]), Column(("p0", "other"), np.array([1.0, 2.0]))
    with pytest.raises(UserError, match="only be compared on the same prompts"):
        difference(setting(vendi=here), setting(vendi=there), "vendi", seed=0)
    with pytest.raises(UserError, match="'nll' was not measured for both; measured for both: vendi"):
        difference(setting(vendi=here), setting(vendi=here), "nll", seed=0)


def rows() -> list[Row]:
    return [
        Row(id="r0", source="f", line=1, prompt="What is up?", answers=("the sky", "not much")),
        Row(id="r1", source="f", line=2, prompt="what  is UP?", answers=("you",)),
        Row(id="r2", source="f", line=3, prompt="Two?", answers=("2",), references=("2", "two")),
        Row(id="r3", source="f", line=4, prompt="Three?", checker={"kind": "numeric", "answer": 3}),
        Row(id="r4", source="f", line=5, text="Some plain text."),
    ]


def test_hold_out(tokenizer: Any) -> None:
    held = hold_out(rows(), tokenizer, prompts=9, seed=0, max_new_tokens=4, context=256)
    assert [example.id for example in held.examples] == ["r0#0", "r0#1", "r1", "r2", "r4"]
    assert [prompt.id for prompt in held.prompts] == ["r0", "r2", "r3"]
    assert {held.groups[name] for name in ("r0#0", "r0#1", "r1")} == {"r0"}
    assert held.groups["r4"] == "r4"
    assert [prompt.checker for prompt in held.prompts] == [
        None,
        {"kind": "set", "answers": ["2", "two"], "ignore_case": True},
        {"kind": "numeric", "answer": 3},
    ]


def test_references_that_are_texts_are_no_checker(tokenizer: Any) -> None:
    text = "one of the places to eat that are near the river"
    texts = [Row(id=f"t{at}", source="f", prompt=f"{at}?", answers=("x",), references=(text, "yes")) for at in range(2)]
    few = [*texts, Row(id="t2", source="f", prompt="2?", answers=("x",), references=(text,))]
    checked = {}
    for given in (texts, few):
        held = hold_out(given, tokenizer, prompts=9, seed=0, max_new_tokens=4, context=256)
        checked[len(given)] = [prompt.checker is not None for prompt in held.prompts]
        assert all(prompt.has_references for prompt in held.prompts)
    assert checked == {2: [True, True], 3: [False, False, False]}  # by the median: 6 words, then 11


def test_chosen_prompts_follow_the_seed_and_keep_their_order(tokenizer: Any) -> None:
    many = [Row(id=f"r{index}", source="f", prompt=f"number {index}", answers=("x",)) for index in range(30)]
    chosen = {}
    for seed in (0, 1):
        held = hold_out(many, tokenizer, prompts=5, seed=seed, max_new_tokens=4)
        chosen[seed] = [int(prompt.id[1:]) for prompt in held.prompts]
        assert len(chosen[seed]) == 5
        assert chosen[seed] == sorted(chosen[seed])
        again = hold_out(many, tokenizer, prompts=5, seed=seed, max_new_tokens=4)
        assert [prompt.id for prompt in again.prompts] == [prompt.id for prompt in held.prompts]
    assert chosen[0] != chosen[1]
    assert hold_out(many, tokenizer, prompts=0, seed=0, max_new_tokens=4).prompts == []


def test_prompt_longer_than_the_context(tokenizer: Any) -> None:
    long = [Row(id="long", source="f.jsonl", line=3, prompt="x" * 300)]
    with pytest.raises(UserError, match=r"f\.jsonl:3 .*more than the 246 that fit the context"):
        hold_out(long, tokenizer, prompts=1, seed=0, max_new_tokens=10, context=256)


def test_a_response_as_long_as_the_context(tokenizer: Any) -> None:
    short = [Row(id="short", source="f.jsonl", line=3, prompt="x", answers=("y",))]
    with pytest.raises(UserError, match="max_new_tokens is 1000, but the model's context has 256 tokens"):
        hold_out(short, tokenizer, prompts=1, seed=0, max_new_tokens=1000, context=256)
    assert hold_out(short, tokenizer, prompts=0, seed=0, max_new_tokens=1000, context=256).examples


def test_measure(model: Any, tokenizer: Any) -> None:
    held = hold_out(rows(), tokenizer, prompts=9, seed=0, max_new_tokens=4, context=256)
    settings = measure(
        model,
        tokenizer,
        examples=held.examples,
        prompts=held.prompts,
        groups=held.groups,
        temperatures=(1.0, 0, 0.5),
        samples=4,
        max_new_tokens=4,
        judge=model,
    )
    assert [one.temperature for one in settings] == [1.0, 0.0, 0.5]
    hot, greedy, cool = (summarise(one, seed=0) for one in settings)
    assert {"nll", "entropy", "perplexity"} <= hot.keys()
    assert not {"nll", "entropy", "perplexity"} & greedy.keys()
    assert cool["entropy"].value < hot["entropy"].value
    assert cool["accuracy"] == hot["accuracy"] == greedy["accuracy"]
    assert greedy["distinct_outputs"].value == 1.0
    # The model judges its own samples: cooler ones are likelier.
    assert greedy["base_nll"].value < cool["base_nll"].value < hot["base_nll"].value
    assert hot["nll"].n == 3
    assert settings[0].unfinished == sum(not one.finished for one in settings[0].samples)


def test_measure_without_examples_or_prompts(model: Any, tokenizer: Any) -> None:
    held = hold_out(rows(), tokenizer, prompts=2, seed=0, max_new_tokens=4, context=256)
    (only_samples,) = measure(model, tokenizer, prompts=held.prompts, samples=2, max_new_tokens=2)
    assert "nll" not in only_samples.columns
    (only_scores,) = measure(model, tokenizer, examples=held.examples)
    assert set(only_scores.columns) == {"nll", "accuracy", "entropy"}
