"""A prompt that stands in a batch several times is read once, and that changes nothing that is drawn."""

import importlib
from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from entrotune.data import Prompt
from entrotune.decoding import Strategy, draw, left_padded, nothing_inherited, read_once, stream
from entrotune.evaluation import drawing, sample
from entrotune.models import LSTMConfig, LSTMForCausalLM
from tiny import SHAPE, byte_tokenizer, tiny_llama

PROMPTS = [(5, 6, 7, 8, 9, 10), (8,), (9, 10, 11, 12, 13)]


def gpt2() -> Any:
    return GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=4, pad_token_id=0, eos_token_id=2))


def sliding() -> Any:
    return MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=3))


def alternating() -> Any:
    return Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=8, sliding_window=3))


def mamba() -> Any:
    return MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2, pad_token_id=0))


def lstm() -> Any:
    return LSTMForCausalLM(LSTMConfig(vocab_size=300, hidden_size=32, embedding_size=8, pad_token_id=0, eos_token_id=2))


def made(make: Any) -> Any:
    torch.manual_seed(0)
    model = make().eval()
    # Gemma's attention overflows in float64 under padding.
    return model if isinstance(model, Gemma2ForCausalLM) else model.double()


def samples(model: Any, temperature: float) -> list[Any]:
    prompts = [
        Prompt(id=f"p{at}", messages=(), text="", input_ids=ids, references=(), checker=None)
        for at, ids in enumerate(PROMPTS)
    ]
    settings: dict[str, Any] = {"samples": 4, "temperature": temperature, "max_new_tokens": 6, "seed": 1}
    return sample(model, byte_tokenizer(), prompts, batch_size=7, **settings)


@pytest.mark.parametrize("make", [tiny_llama, gpt2, sliding, alternating, mamba, lstm])
def test_what_is_drawn_is_the_same(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(make)
    once = samples(model, 1.0)
    assert len({one.token_ids for one in once}) == len(once)  # answers to one prompt are not repeated
    with monkeypatch.context() as patch:
        patch.setattr(drawing, "read_once", lambda *_: {})
        each = samples(model, 1.0)
    assert [one.token_ids for one in once] == [one.token_ids for one in each]


@pytest.mark.parametrize("text", ["sample", "greedy", "beam(2)", "contrastive_search(3, 0.6)", "diverse_beam(4, 2)"])
def test_strategies_draw_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(tiny_llama)
    rows = [PROMPTS[at] for at in (0, 2, 0, 1, 2)]

    def drawn() -> list[Any]:
        streams = [stream(0, f"p{ids}", at) for at, ids in enumerate(rows)]
        return draw(model, byte_tokenizer(), rows, streams, strategy=Strategy.of(text), max_new_tokens=6)

    once = drawn()
    monkeypatch.setattr(importlib.import_module("entrotune.decoding.draw"), "read_once", lambda *_: {})
    each = drawn()
    assert [one.token_ids for one in once] == [one.token_ids for one in each]
    assert [one.nll for one in once] == pytest.approx([one.nll for one in each], rel=1e-9)


def test_a_prompt_is_read_once() -> None:
    model = made(tiny_llama)
    seen: list[tuple[int, ...]] = []
    model.model.register_forward_pre_hook(
        lambda _, args, given: seen.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    rows = [PROMPTS[0]] * 3 + [PROMPTS[2]] * 2
    ids, mask = left_padded(rows, 0, "cpu")
    with nothing_inherited(model):
        cache = read_once(model, rows, ids, mask)["past_key_values"]
    assert seen == [(2, 5)]
    assert tuple(cache.layers[0].keys.shape) == (5, 2, 5, 8)


@pytest.mark.parametrize(
    ("make", "rows"),
    [(tiny_llama, PROMPTS), (tiny_llama, [(5,), (5,)]), (lstm, [(5, 6), (5, 6)]), (mamba, [(5, 6), (5, 6)])],
)
def test_where_there_is_nothing_to_share(make: Any, rows: list[tuple[int, ...]]) -> None:
    model = made(make)
    ids, mask = left_padded(rows, 0, "cpu")
    assert read_once(model, rows, ids, mask) == {}
