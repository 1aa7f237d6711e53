"""Weights between two models, and adapters merged into their base."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from entrotune.errors import UserError
from entrotune.models import (
    attach_lora,
    check_same_tokens,
    interpolate_into,
    load_model,
    save_model,
    whole_model,
    without_adapter,
)
from tiny import byte_tokenizer, tiny_llama


def _bits(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every weight as whole numbers, so that −0 is not 0."""
    kinds = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float64: torch.int64}
    return {name: weight.clone().view(kinds[weight.dtype]) for name, weight in model.state_dict().items()}


def _same_bits(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = _bits(a), _bits(b)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_ends_are_the_models_bit_for_bit(dtype: torch.dtype, tied: bool) -> None:
    start, tuned = (tiny_llama(seed, tie_word_embeddings=tied).to(dtype) for seed in (0, 1))
    with torch.no_grad():
        start.model.norm.weight[0] = -0.0  # 1 * -0.0 + 0 * x would be +0.0
    for share, end in ((0.0, start), (1.0, tuned)):
        made = copy.deepcopy(tuned)
        interpolate_into(made, start, share)
        assert _same_bits(made, end)


def test_between_is_the_sum_in_float64_rounded_once() -> None:
    start, tuned = tiny_llama(0), tiny_llama(1)
    before, made = copy.deepcopy(start), copy.deepcopy(tuned)
    interpolate_into(made, start, 0.3)
    for name, weight in made.state_dict().items():
        expected = 0.7 * start.state_dict()[name].double() + 0.3 * tuned.state_dict()[name].double()
        assert torch.equal(weight, expected.float()), name
        assert weight.data_ptr() != start.state_dict()[name].data_ptr()
    assert _same_bits(start, before)


def test_the_wider_precision_of_both_is_kept() -> None:
    start, tuned = tiny_llama(0).to(torch.bfloat16), tiny_llama(1)
    made = copy.deepcopy(tuned)
    interpolate_into(made, start, 0.0)
    assert {weight.dtype for weight in made.state_dict().values()} == {torch.float32}
    assert all(torch.equal(made.state_dict()[name], weight.float()) for name, weight in start.state_dict().items())
    halves = copy.deepcopy(start)
    interpolate_into(halves, tiny_llama(1).to(torch.bfloat16), 0.5)
    assert {weight.dtype for weight in halves.state_dict().values()} == {torch.bfloat16}


def test_tied_weights_stay_tied() -> None:
    start, made = (tiny_llama(seed, tie_word_embeddings=True) for seed in (0, 1))
    interpolate_into(made, start, 0.5)
    assert made.lm_head.weight is made.model.embed_tokens.weight
    ids = torch.arange(3, 9)[None]
    assert torch.equal(made.lm_head.weight, made.state_dict()["model.embed_tokens.weight"])
    assert torch.isfinite(made(input_ids=ids).logits).all()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"vocab_size": 299},
            r"2 weights have another shape \(model.embed_tokens.weight, lm_head.weight\).*\[300, 32\]",
        ),
        ({"num_hidden_layers": 3}, r"the start lacks 9 weights .*model\.layers\.2\.input_layernorm\.weight"),
        ({"num_hidden_layers": 1}, "the tuned model lacks 9 weights"),
        ({"num_attention_heads": 2}, "num_attention_heads is 4 in the start and 2"),
        ({"tie_word_embeddings": True}, "a head tied to the embeddings is False in the start and True"),
    ],
)
def test_models_that_do_not_fit_are_refused_by_name(changes: dict[str, Any], told: str) -> None:
    start, tuned = tiny_llama(0), tiny_llama(1, **changes)
    before = copy.deepcopy(tuned)
    with pytest.raises(UserError, match=told):
        interpolate_into(tuned, start, 0.5)
    assert _same_bits(tuned, before)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(UserError, match="from 0"):
        interpolate_into(tiny_llama(1), tiny_llama(0), share)


def test_other_tokens_are_named() -> None:
    other = byte_tokenizer()
    other.add_tokens(["<think>"])
    with pytest.raises(UserError, match=r"1 tokens, '<think>' among them \(absent in the start and 259 in the tuned"):
        check_same_tokens(byte_tokenizer(), other)
    check_same_tokens(byte_tokenizer(), byte_tokenizer(template=None))


def _adapted(base: nn.Module) -> Any:
    """A LoRA adapter whose second half is not 0, as after training."""
    torch.manual_seed(3)
    model = attach_lora(base, rank=4, alpha=8)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.05)
    return model.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merged_adapter_gives_the_logits_of_the_adapted_model(tmp_path: Path, dtype: torch.dtype) -> None:
    save_model(tiny_llama(0).to(dtype), byte_tokenizer(), tmp_path / "base")
    base, _ = load_model(tmp_path / "base", device="cpu")
    save_model(_adapted(base), byte_tokenizer(), tmp_path / "adapter", base=str(tmp_path / "base"))
    whole, _ = whole_model(tmp_path / "adapter")
    assert not hasattr(whole, "peft_config")
    assert {weight.dtype for weight in whole.state_dict().values()} == {dtype}

    adapted, _ = load_model(tmp_path / "adapter", device="cpu")
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        ours, theirs, start = (
            m(input_ids=ids).logits.float() for m in (whole, adapted, load_model(tmp_path / "base")[0])
        )
    # float32: two ways to add the same products. bfloat16: every sum of weights is rounded to 8 bits.
    tolerance = {torch.float32: 1e-6, torch.bfloat16: 0.02}[dtype]
    assert (ours - theirs).abs().max() < tolerance < (start - theirs).abs().max()


def test_a_quarter_of_an_adapter_is_a_quarter_of_its_change(tmp_path: Path) -> None:
    base = tiny_llama(0)
    tuned = without_adapter(_adapted(copy.deepcopy(base)))
    made = copy.deepcopy(tuned)
    interpolate_into(made, base, 0.25)
    name = "model.layers.0.self_attn.q_proj.weight"
    change = tuned.state_dict()[name] - base.state_dict()[name]
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(made.state_dict()[name], base.state_dict()[name] + 0.25 * change)
    norm = "model.norm.weight"
    assert torch.equal(made.state_dict()[norm], base.state_dict()[norm])
