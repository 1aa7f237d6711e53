"""Targets as tokens in context: end marks, conflicts, and tokens that must not change with the target."""

from dataclasses import replace
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from entrotune.data.targets import TargetSet, encode_targets, fixed
from entrotune.errors import UserError
from tiny import byte_tokenizer


def made(targets: list[str], **changes: Any) -> TargetSet:
    values: dict[str, Any] = {
        "name": "set",
        "source": "set.json",
        "group": "set",
        "request": "Pick.",
        "responses": ("",),
        "targets": tuple(targets),
        "weights": (1 / len(targets),) * len(targets),
    }
    return TargetSet(**values | changes)


def words(*vocabulary: str, lower: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are words with the space before them."""
    ids = {token: at for at, token in enumerate(["<pad>", "</s>", "<unk>", *vocabulary])}
    inner = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?\w+| ?[^\w\s]|\s"), behavior="isolated")
    if lower:
        inner.normalizer = normalizers.Lowercase()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def test_a_chat_ends_with_the_end_of_turn_mark() -> None:
    tokenizer = byte_tokenizer()
    ((one,),) = encode_targets([made(["a", "b"])], tokenizer)
    assert one.prompt.text == "<s>user:Pick.</s><s>assistant:"
    assert [tokenizer.decode(sequence) for sequence in one.sequences] == ["a</s>", "b</s>"]
    assert tokenizer.decode(one.prompt.input_ids) == one.prompt.text


def test_without_a_template_the_end_of_sequence_is_added() -> None:
    tokenizer = byte_tokenizer(template=None)
    ((one,),) = encode_targets([made(["a", "b"])], tokenizer)
    assert one.prompt.text == "Pick."
    assert [sequence[-1] for sequence in one.sequences] == [tokenizer.eos_token_id] * 2
    ((open_end,),) = encode_targets([made(["a", "b"], eos=False)], tokenizer)
    assert [len(sequence) for sequence in open_end.sequences] == [1, 1]


def test_each_response_prefix_is_encoded() -> None:
    ((one, other),) = encode_targets([made(["a"], responses=("It is ", "I say "))], byte_tokenizer())
    assert one.prompt.text.endswith("<s>assistant:It is ")
    assert other.label == "set ('I say ')"


def test_conflicts_are_of_tokens_in_context() -> None:
    # As texts "art" begins "artist"; as tokens " art" does not begin " artist", but " art" begins " art dealer".
    tokenizer = words("Pick", ".", " art", " artist", " dealer")
    ((one,),) = encode_targets([made([" art", " artist"], eos=False)], tokenizer)
    assert one.conflicts == ()
    with pytest.raises(UserError) as told:
        encode_targets([made([" art", " artist", " art dealer"], eos=False)], tokenizer)
    for part in ("set.json: 1 target", "' art' begins ' art dealer'", "--fix eos", "--fix braces"):
        assert part in str(told.value)
    ((allowed,),) = encode_targets([made([" art", " art dealer"], eos=False)], tokenizer, conflicts="allow")
    assert allowed.conflicts == ((0, 1),)


@pytest.mark.parametrize("fix", ["eos", "braces"])
def test_the_remedies_mend_a_conflict(fix: Any) -> None:
    open_end = made(["1", "10", "{2}"], eos=False)
    with pytest.raises(UserError, match="'1' begins '10'"):
        encode_targets([open_end], byte_tokenizer())
    mended = fixed(open_end, fix)
    ((one,),) = encode_targets([mended], byte_tokenizer())
    assert one.conflicts == ()
    assert mended.targets == (("{1}", "{10}", "{2}") if fix == "braces" else open_end.targets)
    assert mended.eos == (fix == "eos")


def test_targets_that_tokenize_alike() -> None:
    tokenizer = words("pick", ".", " ada", lower=True)
    with pytest.raises(UserError, match=r"have the same tokens: ' Ada' and ' ada'; .*keep one of each"):
        encode_targets([made([" Ada", " ada"])], tokenizer)


def test_a_prompt_whose_tokens_change_with_the_target() -> None:
    tokenizer = words("Pick", ".", " is", " ", " five")
    with pytest.raises(UserError, match=r"before the target 'five'.*white space"):
        encode_targets([made(["five"], responses=(" is ",))], tokenizer)
    ((one,),) = encode_targets([made([" five"], responses=(" is",))], tokenizer)
    assert len(one.sequences[0]) == 2


def test_too_long_for_the_context() -> None:
    with pytest.raises(UserError, match="the model reads 10"):
        encode_targets([made(["a"])], byte_tokenizer(), context=10)


def test_a_chat_template_is_needed_for_turns() -> None:
    chat = replace(made(["a"]), request=({"role": "user", "content": "Pick."},))
    with pytest.raises(UserError, match=r"set\.json: .*chat template"):
        encode_targets([chat], byte_tokenizer(template=None))
