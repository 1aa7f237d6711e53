"""A text examined token by token, against full logits in float64."""

import math

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from entrotune.errors import UserError
from entrotune.scoring.examine import examine, examine_tokens
from entrotune.scoring.pieces import Pieces
from scoring.plainly import plain_scores
from tolerances import SINGLE

TEXT = "the cat's naïve 💡"


def test_numbers_are_those_of_the_prediction_before_each_token(
    sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    examined = examine(TEXT, sharp_model, tokenizer)
    ids = [token.id for token in examined.tokens]
    assert ids == tokenizer(TEXT)["input_ids"]
    plain = plain_scores(sharp_model, ids, [*range(len(ids))], [*[True] * (len(ids) - 1), False])
    first, *others = examined.tokens
    assert (first.entropy, first.varentropy, first.nll, first.rank) == (None,) * 4
    np.testing.assert_allclose([one.entropy for one in others], plain["token_entropy"][:-1], **SINGLE)
    np.testing.assert_allclose([one.varentropy for one in others], plain["token_varentropy"][:-1], **SINGLE)
    np.testing.assert_allclose([one.nll for one in others], plain["token_nll"], **SINGLE)
    assert [one.rank for one in others] == plain["token_rank"]
    after = examined.distribution(len(ids))
    assert after.entropy == pytest.approx(plain["token_entropy"][-1], rel=2e-5)


def test_distributions_are_the_likeliest_of_the_full_row(
    sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    examined = examine(TEXT, sharp_model, tokenizer, top_k=7)
    ids = torch.tensor([[token.id for token in examined.tokens]])
    with torch.no_grad():
        truth = torch.log_softmax(sharp_model(input_ids=ids).logits[0].double(), -1)
    for index in (1, 5, len(examined.tokens)):
        row = truth[index - 1]
        torch.testing.assert_close(examined.log_probabilities(index).double(), row, **SINGLE)
        found = examined.distribution(index)
        assert list(found.ids) == row.topk(7).indices.tolist()
        np.testing.assert_allclose(found.log_probabilities, row.topk(7).values, **SINGLE)
        assert found.cumulative[-1] == pytest.approx(float(row.topk(7).values.exp().sum()), rel=1e-4)
        assert (found.vocabulary, len(found.texts)) == (300, 7)
    warm = examined.at_temperature(2.0)
    exact = torch.distributions.Categorical(logits=truth / 2).entropy()
    torch.testing.assert_close(warm.entropy.double(), exact, **SINGLE)


def test_softcap_and_scale_are_in_the_full_row(tokenizer: PreTrainedTokenizerFast) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8, "vocab_size": 300}
    model = Gemma2ForCausalLM(
        Gemma2Config(**shape, num_attention_heads=2, num_key_value_heads=1, final_logit_softcapping=0.5, pad_token_id=0)
    ).eval()
    torch.nn.init.normal_(model.lm_head.weight, std=0.5)
    examined = examine("abc", model, tokenizer)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[token.id for token in examined.tokens]])).logits[0]
    torch.testing.assert_close(examined.log_probabilities(2), torch.log_softmax(logits[1].float(), -1), **SINGLE)


def test_a_prompt_is_shown_as_given_and_the_end_mark_counts(
    sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    examined = examine("Paris", sharp_model, tokenizer, prompt="Where?", system="Be brief.")
    given = "".join(token.text for token in examined.tokens if token.given)
    own = [token.text for token in examined.tokens if not token.given]
    assert given == "<s>system:Be brief.</s><s>user:Where?</s><s>assistant:"
    assert own == [*"Paris", "</s>"]


def test_bos(sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    assert [one.text for one in examine("ab", sharp_model, tokenizer, bos="none").tokens] == ["a", "b"]
    first, second, _ = examine("ab", sharp_model, tokenizer, bos="always").tokens
    assert (first.text, first.given, second.given) == ("<s>", True, False)
    assert second.nll is not None


def test_what_is_cut_is_counted(sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    whole = examine("a" * 30, sharp_model, tokenizer)
    cut = examine("a" * 30, sharp_model, tokenizer, max_length=10)
    assert (whole.tokens_cut, cut.tokens_cut, len(cut.tokens)) == (0, 20, 10)
    assert [one.rank for one in cut.tokens] == [one.rank for one in whole.tokens[:10]]
    assert examine("b" * 600, sharp_model, tokenizer).tokens_cut == 600 - 512


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("", {}, "the text is empty"),
        ("a\ud800", {}, "half of a surrogate pair"),
        ("a", {"prompt": "\ud83d"}, "half of a surrogate pair"),
        ("a", {"bos": "never"}, "bos is 'never'; expected one of auto, none, always"),
        ("a", {"system": "x"}, "a system message belongs to a prompt"),
        ("a", {"max_length": 0}, "at least 1, got 0 and 20"),
    ],
)
def test_bad_input(
    sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str, options: dict[str, str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        examine(text, sharp_model, tokenizer, **options)  # type: ignore[arg-type]


def test_impossible_positions_and_tokens(sharp_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    examined = examine("ab", sharp_model, tokenizer)
    for index in (0, 3, -1):
        with pytest.raises(UserError, match="expected 1 to 2"):
            examined.distribution(index)
    with pytest.raises(UserError, match="token 300, but the model's vocabulary ends at 299"):
        examine_tokens([5, 300], sharp_model, tokenizer)


def test_predictions_that_are_not_finite_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    from tiny import tiny_llama

    model = tiny_llama()
    with torch.no_grad():
        model.lm_head.weight[7] = math.nan
    with pytest.raises(UserError, match="not finite: entropy is nan at position 0"):
        examine("abc", model, tokenizer)


def test_characters_of_several_tokens_are_told_where_they_end(tokenizer: PreTrainedTokenizerFast) -> None:
    pieces = Pieces(tokenizer)
    ids = tokenizer("aé💡")["input_ids"]
    assert pieces.of_text(ids) == ["a", "⟨C3⟩", "é", "⟨F0⟩", "⟨9F⟩", "⟨92⟩", "💡"]
    assert [pieces.of(id) for id in ids[:3]] == ["a", "⟨C3⟩", "⟨A9⟩"]
    # An end without a beginning, a beginning without an end, and a token that the tokenizer does not have.
    assert pieces.of_text([ids[2], ids[1], ids[0], 299]) == ["⟨A9⟩", "⟨C3⟩", "a", "⟨token 299⟩"]


@pytest.mark.embedded
def test_the_embedded_model_knows_what_is_likely() -> None:
    from entrotune import load_model

    model, tokenizer = load_model("smollm2-135m")
    examined = examine("The capital of France is Paris.", model, tokenizer)
    paris = next(token for token in examined.tokens if token.text == " Paris")
    assert paris.rank is not None
    assert paris.rank < 5
    assert " Paris" in examined.distribution(paris.index).texts
    (space_and_bytes,) = [token.text for token in examine("a 日", model, tokenizer).tokens if "⟨E6" in token.text]
    assert space_and_bytes.startswith(" ⟨E6")
