"""What a page is told of a text, against full logits in float64."""

import math

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from entrotune.scoring.examine import examine
from entrotune.scoring.token_record import text_record

TEXT = "the cat sat on the mat"


def full(model: LlamaForCausalLM, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), -1).numpy()


def test_means_are_over_what_counts(sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    examined = examine(TEXT, sharp_model, tokenizer)
    log_p = full(sharp_model, [token.id for token in examined.tokens])
    entropy = -(np.exp(log_p) * log_p).sum(-1)
    size = len(examined.tokens)
    predicted = text_record(examined, id="a")["summary"]
    assert (predicted["tokens"], predicted["counted"]) == (size, size - 1)
    assert predicted["entropy"] == pytest.approx(entropy[:-1].mean(), rel=2e-5)
    everywhere = text_record(examined, id="a", counted=range(1, size + 1))["summary"]
    assert everywhere["entropy"] == pytest.approx(entropy.mean(), rel=2e-5)
    nll = -np.mean([log_p[at - 1, token.id] for at, token in enumerate(examined.tokens) if at])
    assert everywhere["nll"] == predicted["nll"] == pytest.approx(nll, rel=2e-5)
    assert predicted["perplexity"] == pytest.approx(math.exp(nll), rel=1e-4)
    likeliest = np.mean([log_p[at - 1].argmax() == token.id for at, token in enumerate(examined.tokens) if at])
    assert predicted["top1"] == pytest.approx(likeliest)


def test_a_single_token_has_no_means(sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    summary = text_record(examine("a", sharp_model, tokenizer, bos="none"), id="a")["summary"]
    assert (summary["counted"], summary["entropy"], summary["nll"], summary["perplexity"]) == (0, None, None, None)


def test_tails_are_the_mass_of_the_other_tokens_and_bound_it_at_other_temperatures(
    sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    examined = examine(TEXT, sharp_model, tokenizer, top_k=20)
    record = text_record(examined, id="a")
    others = np.sort(full(sharp_model, [token.id for token in examined.tokens]), axis=-1)[:, :-20]
    exact = {power: np.log(np.exp(power * others).sum(-1)) for power in (0.5, 0.6, 0.75, 0.9, 1.0, 1.2, 2.0, 5.0)}
    one, slope, half, half_slope = np.array(record["tails"], dtype=float).T
    np.testing.assert_allclose(one, exact[1.0], atol=1e-4)
    np.testing.assert_allclose(half, exact[0.5], atol=1e-4)
    np.testing.assert_allclose(slope, (np.exp(others) * others).sum(-1) / np.exp(one), rtol=1e-3)
    np.testing.assert_allclose(half_slope, (np.exp(others / 2) * others).sum(-1) / np.exp(half), rtol=1e-3)
    least = np.array([row[-1][1] for row in record["top"]])
    for power, truth in exact.items():
        tangents = np.maximum(one + (power - 1) * slope, half + (power - 0.5) * half_slope)
        share = (1 - power) / 0.5
        above = (1 - share) * one + share * half if power < 1 else one + (power - 1) * least
        assert (truth >= tangents - 1e-3).all(), power
        assert (truth <= above + 1e-3).all(), power


def test_without_other_tokens_there_are_no_tails(
    sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    assert text_record(examine("ab", sharp_model, tokenizer, top_k=400), id="a")["tails"] is None


def test_a_mass_below_rounding_has_no_slope(tokenizer: PreTrainedTokenizerFast) -> None:
    from tiny import tiny_llama

    model = tiny_llama()
    torch.nn.init.normal_(model.lm_head.weight, std=20)
    tails = text_record(examine("abc", model, tokenizer), id="a")["tails"]
    assert [row[0] for row in tails] == pytest.approx([math.log(1e-6)] * 3)
    assert [row[1] for row in tails] == [None] * 3


def test_places_are_those_of_the_tokens_among_the_likeliest(
    sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    record = text_record(examine(TEXT, sharp_model, tokenizer, top_k=100), id="a")
    assert [place for place in record["place"] if place is not None]
    for rank, place in zip(record["rank"], record["place"], strict=True):
        assert place == (rank if rank < 100 else None)
