"""The model: a step-by-step recurrence is the truth; padding, state and packing change nothing."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForCausalLM

from entrotune.errors import UserError
from entrotune.kernels import linear_objective
from entrotune.models import (
    LSTMConfig,
    LSTMForCausalLM,
    attach_lora,
    backbone,
    check_head,
    describe_model,
    find_head,
    load_model,
    make_lstm,
    make_transformer,
)
from models.lstm.texts import TEXTS
from tolerances import SINGLE


def ids_of(model: LSTMForCausalLM, rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(3, model.config.vocab_size, (rows, length), generator=torch.Generator().manual_seed(seed))


def slowly(model: LSTMForCausalLM, ids: Tensor) -> Tensor:
    """Logits [T, V] in float64 by the equations of the LSTM, a token and a layer at a time."""
    parts = {name: value.double() for name, value in model.state_dict().items()}
    size, layers = model.config.hidden_size, model.config.num_hidden_layers
    hidden = [torch.zeros(size, dtype=torch.float64) for _ in range(layers)]
    cell = [torch.zeros(size, dtype=torch.float64) for _ in range(layers)]
    found = []
    for token in ids:
        value = parts["model.embeddings.weight"][token]
        for k in range(layers):
            gates = sum(
                parts[f"model.layers.weight_{kind}_l{k}"] @ read + parts[f"model.layers.bias_{kind}_l{k}"]
                for kind, read in (("ih", value), ("hh", hidden[k]))
            )
            enter, forget, fresh, leave = gates.chunk(4)
            cell[k] = forget.sigmoid() * cell[k] + enter.sigmoid() * fresh.tanh()
            hidden[k] = value = leave.sigmoid() * cell[k].tanh()
        found.append(parts["lm_head.weight"] @ value + parts["lm_head.bias"])
    return torch.stack(found)


def test_shapes_and_values(model: LSTMForCausalLM) -> None:
    ids = ids_of(model, 3, 7)
    output = model(input_ids=ids, use_cache=True)
    assert output.logits.shape == (3, 7, model.config.vocab_size)
    assert output.past_key_values.hidden.shape == output.past_key_values.cell.shape == (2, 3, 16)
    assert model.base_model(input_ids=ids).last_hidden_state.shape == (3, 7, 16)
    assert model(input_ids=ids, logits_to_keep=2).logits.shape == (3, 2, model.config.vocab_size)
    for row in range(3):
        torch.testing.assert_close(output.logits[row].double(), slowly(model, ids[row]), **SINGLE)


@pytest.mark.parametrize("use_cache", [True, False])
def test_padding_anywhere_changes_nothing(model: LSTMForCausalLM, use_cache: bool) -> None:
    ids = ids_of(model, 4, 9)
    mask = torch.ones_like(ids)
    mask[0, :4], mask[1, 5:], mask[2, 3:6] = 0, 0, 0
    logits = model(input_ids=ids, attention_mask=mask, use_cache=use_cache).logits
    for row in range(4):
        alone = ids[row][mask[row].bool()]
        torch.testing.assert_close(logits[row][mask[row].bool()].double(), slowly(model, alone), **SINGLE)


def test_state_goes_on_after_padding(model: LSTMForCausalLM) -> None:
    """Whatever the side of the padding, and in a row that has had nothing but padding."""
    ids = ids_of(model, 4, 6)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]])
    state = model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
    assert state.get_seq_length() == 6
    more = ids_of(model, 4, 3, seed=1)
    whole = torch.cat([mask, torch.ones(4, 3, dtype=torch.long)], 1)
    logits = model(input_ids=more, attention_mask=whole, past_key_values=state).logits
    for row in range(4):
        read = torch.cat([ids[row][mask[row].bool()], more[row]])
        torch.testing.assert_close(logits[row].double(), slowly(model, read)[-3:], **SINGLE)


def test_texts_that_share_a_row_are_kept_apart(model: LSTMForCausalLM) -> None:
    ids = ids_of(model, 1, 8)
    positions = torch.tensor([[0, 1, 2, 0, 0, 1, 2, 3]])
    output = model(input_ids=ids, position_ids=positions, use_cache=True)
    expected = torch.cat([slowly(model, part) for part in ids[0].split([3, 1, 4])])
    torch.testing.assert_close(output.logits[0].double(), expected, **SINGLE)
    last = model(input_ids=ids[:, 4:], use_cache=True).past_key_values
    torch.testing.assert_close(output.past_key_values.cell, last.cell, **SINGLE)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_cached_generation_equals_recomputation(model: LSTMForCausalLM, options: dict[str, Any]) -> None:
    ids = ids_of(model, 3, 5)
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]])
    settings = {"attention_mask": mask, "max_new_tokens": 12, "do_sample": False, "eos_token_id": None, **options}
    kept, again = (model.generate(input_ids=ids, use_cache=use, **settings) for use in (True, False))
    assert kept.shape == (3, 17)
    assert torch.equal(kept, again)
    if not options:
        rest = ids[0, 2:]
        for _ in range(12):
            rest = torch.cat([rest, slowly(model, rest)[-1].argmax()[None]])
        assert torch.equal(kept[0, 2:], rest)


def test_saved_and_loaded_it_is_the_same(folder: Path, model: LSTMForCausalLM, tokenizer: Any) -> None:
    ids = ids_of(model, 2, 6)
    loaded, words = load_model(folder)
    assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
    assert words.get_vocab() == tokenizer.get_vocab()
    assert words.chat_template == tokenizer.chat_template
    assert isinstance(AutoModelForCausalLM.from_pretrained(folder), LSTMForCausalLM)
    hidden = AutoModel.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state
    assert torch.equal(hidden, model.base_model(input_ids=ids).last_hidden_state)
    described = describe_model(folder)
    assert described.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert described.context is None


def test_fused_loss_is_cross_entropy_of_its_logits(model: LSTMForCausalLM) -> None:
    check_head(model)
    ids = ids_of(model, 3, 7)
    labels = ids.masked_fill(torch.rand(ids.shape, generator=torch.Generator().manual_seed(2)) < 0.3, -100)
    head = find_head(model)
    hidden = backbone(model)(input_ids=ids).last_hidden_state[:, :-1]
    fused, _ = linear_objective(hidden, head.weight, labels[:, 1:], "ce", bias=head.bias)
    plain = torch.stack([slowly(model, row) for row in ids])[:, :-1].transpose(1, 2)
    expected = torch.nn.functional.cross_entropy(plain, labels[:, 1:])
    assert fused.item() == pytest.approx(expected.item(), rel=SINGLE["rtol"])
    assert model(input_ids=ids, labels=labels).loss.item() == pytest.approx(expected.item(), rel=SINGLE["rtol"])


def test_a_tied_head_is_the_embedding() -> None:
    tied = LSTMForCausalLM(LSTMConfig(vocab_size=9, embedding_size=8, hidden_size=8, tie_word_embeddings=True))
    assert tied.lm_head.weight is tied.model.embeddings.weight
    check_head(tied)


def test_an_untrained_model_is_nearly_uniform_and_fixed_by_its_seed() -> None:
    (one, words), (two, _), (other, _) = (make_lstm(TEXTS, seed=seed) for seed in (0, 0, 1))
    ids = ids_of(one, 1, 5)
    p = one(input_ids=ids).logits.softmax(-1)
    assert -(p * p.log()).sum(-1).min().item() == pytest.approx(math.log(len(words)), abs=1e-3)
    assert torch.equal(one(input_ids=ids).logits, two(input_ids=ids).logits)
    assert not torch.equal(one(input_ids=ids).logits, other(input_ids=ids).logits)


def test_a_transformer_of_the_same_words() -> None:
    model, tokenizer = make_transformer(TEXTS, hidden_size=16, layers=1, heads=2, context=32)
    check_head(model)
    assert model.config.vocab_size == len(tokenizer)
    with pytest.raises(UserError, match="even width a head"):
        make_transformer(TEXTS, hidden_size=15, heads=2)


def test_what_it_cannot_do_is_said(model: LSTMForCausalLM) -> None:
    with pytest.raises(UserError, match="gradient checkpointing"):
        model.gradient_checkpointing_enable()
    with pytest.raises(UserError, match="train every weight"):
        attach_lora(model)
    with pytest.raises(UserError, match="cannot follow a mask"):
        model(input_ids=ids_of(model, 1, 3), attention_mask=torch.zeros(1, 1, 3, 3))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"tie_word_embeddings": True}, "tied embeddings need one width"),
    ],
)
def test_shapes_that_cannot_be_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        LSTMConfig(**changes)
