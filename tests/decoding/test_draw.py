"""Responses follow the strategy's distribution, and depend on nothing but model, prompt, index and seed."""

from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from entrotune.decoding import EntropySwitch, Strategy, TargetEntropy, draw, stream
from tiny import byte_tokenizer, tiny_llama

PROMPTS = [(5, 6, 7), (8,), (9, 10, 11, 12, 13), (14, 15)]


@pytest.fixture
def model() -> Any:
    """Two layers with random weights that can only say the tokens 2 (the end) to 9."""
    model = tiny_llama(initializer_range=0.2)
    bias = torch.full((300,), -torch.inf)
    bias[2:10] = 0.0
    model.lm_head.bias = torch.nn.Parameter(bias)
    return model


def drawn(model: Any, text: str, *, prompts: list[tuple[int, ...]] = PROMPTS, tokens: int = 8, first: int = 0) -> list:
    streams = [stream(0, f"p{ids}", first) for ids in prompts]
    return draw(model, byte_tokenizer(), prompts, streams, strategy=Strategy.of(text), max_new_tokens=tokens)


@pytest.mark.parametrize("text", ["sample", "temperature(0.6) + top_k(4)", "target_entropy(1.2)", "typical(0.7)"])
def test_tokens_follow_the_distribution(model: Any, text: str) -> None:
    ids = (9, 10, 11)
    with torch.no_grad():
        exact = Strategy.of(text).probabilities(model(torch.tensor([ids])).logits[0, -1].double())
    streams = [stream(7, "p", index) for index in range(800)]
    found = draw(model, byte_tokenizer(), [ids] * 800, streams, strategy=Strategy.of(text), max_new_tokens=1)
    counts = Counter(one.token_ids[0] for one in found)
    possible = [token for token in range(300) if exact[token] > 0]
    assert set(counts) <= set(possible)
    # The streams are fixed: it passes always or never; 1e-3 would refuse one correct sampler in a thousand.
    assert chisquare([counts[token] for token in possible], [800 * exact[t] for t in possible]).pvalue > 1e-3


@pytest.mark.parametrize("text", ["sample", "entropy_switch + top_p(0.9)", "annealed(1.5, 0.5, 4)", "greedy"])
def test_a_batch_is_as_its_rows_alone(model: Any, text: str) -> None:
    together = drawn(model, text)
    alone = [drawn(model, text, prompts=[ids])[0] for ids in PROMPTS]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    assert [one.nll for one in together] == pytest.approx([one.nll for one in alone], rel=1e-4)
    reversed_ = drawn(model, text, prompts=PROMPTS[::-1])[::-1]
    assert [one.token_ids for one in together] == [one.token_ids for one in reversed_]


def test_other_indices_are_other_draws(model: Any) -> None:
    assert len({drawn(model, "sample", prompts=PROMPTS[:1], first=index)[0].token_ids for index in range(20)}) > 10


@pytest.mark.parametrize(
    "text", ["sample", "temperature(2) + top_k(3)", "greedy", "beam(3)", "beam(2) + no_repeat_ngram(1)"]
)
def test_nll_is_that_of_the_model_itself(model: Any, text: str) -> None:
    for ids, found in zip(PROMPTS, drawn(model, text), strict=True):
        whole = torch.tensor([[*ids, *found.token_ids]])
        with torch.no_grad():
            log_p = model(whole).logits[0, len(ids) - 1 : -1].double().log_softmax(-1)
        exact = -sum(float(log_p[t, token]) for t, token in enumerate(found.token_ids))
        assert found.nll == pytest.approx(exact, rel=1e-4)
        assert found.finished == (found.token_ids[-1] == 2)
        assert found.tokens == len(found.token_ids) - found.finished


def test_greedy_is_that_of_transformers(model: Any) -> None:
    for ids, found in zip(PROMPTS, drawn(model, "greedy"), strict=True):
        output = model.generate(
            torch.tensor([ids]), max_new_tokens=8, do_sample=False, attention_mask=torch.ones(1, len(ids))
        )
        assert output[0, len(ids) :].tolist() == list(found.token_ids)


def test_beams_find_a_likelier_sequence_than_greedy(model: Any) -> None:
    greedy, beams = (drawn(model, text, tokens=4) for text in ("greedy", "beam(8, length_penalty=0)"))
    assert sum(one.nll for one in beams) <= sum(one.nll for one in greedy)
    expected = model.generate(
        torch.tensor([PROMPTS[2]]),
        max_new_tokens=4,
        num_beams=8,
        length_penalty=0.0,
        attention_mask=torch.ones(1, 5),
        early_stopping=False,
    )
    assert tuple(expected[0, 5:].tolist()) == beams[2].token_ids


def test_our_processors_serve_any_generate_call(model: Any) -> None:
    torch.manual_seed(0)
    switch = EntropySwitch(low=0.3, high=1.5, low_var=0.5, high_var=0.2, temperature=0.8, hot=1.2)
    output = model.generate(
        torch.tensor([PROMPTS[0]] * 50),
        attention_mask=torch.ones(50, 3),
        max_new_tokens=6,
        do_sample=True,
        top_k=0,
        logits_processor=[switch, TargetEntropy(0.0)],
    )
    assert len(set(map(tuple, output.tolist()))) == 1  # entropy 0 leaves no choice
    model.generation_config.temperature = 0.1
    before = model.generation_config.to_dict()
    drawn(model, "sample")
    assert model.generation_config.to_dict() == before
