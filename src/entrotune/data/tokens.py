"""Texts to tokens with the characters they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from entrotune.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids and, for each, the characters [start, end) of the text; an added BOS stands for none."""

    input_ids: list[int]
    offsets: list[tuple[int, int]]


def check_tokenizer(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raise `UserError` for a tokenizer that cannot say which characters a token stands for."""
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"{type(tokenizer).__name__} does not tell which characters a token stands for; load the fast tokenizer"
        )


def unknown_token(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The token that stands for any text the vocabulary lacks; None where every text has tokens of its own.

    Byte-level tokenizers often name their end mark as unknown token and never make it of a text: that is none.
    """
    token = tokenizer.unk_token_id
    marks = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return None if token is None or token in marks else int(token)


def tokenize(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], *, from_template: bool) -> list[Tokens]:
    """Tokenize whole texts, never cut. Plain texts get the tokenizer's BOS; no text gets two, or an EOS.

    Args:
        from_template: the texts hold their special tokens already, so none is added.
    """
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=not from_template,
        return_offsets_mapping=True,
        return_attention_mask=False,
        truncation=False,
        verbose=False,
    )
    pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    return [_one_bos_no_added_eos(tokenizer, Tokens(ids, offsets)) for ids, offsets in pairs]


def _one_bos_no_added_eos(tokenizer: "PreTrainedTokenizerBase", tokens: Tokens) -> Tokens:
    """Drop a BOS before a BOS that the text holds itself, and an EOS that stands for no character."""
    ids, offsets = tokens.input_ids, tokens.offsets
    begin = int(tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2)
    added_eos = bool(ids) and ids[-1] == tokenizer.eos_token_id and offsets[-1][0] == offsets[-1][1]
    end = len(ids) - added_eos
    return Tokens(ids[begin:end], offsets[begin:end])
