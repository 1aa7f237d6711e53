"""Rows to prompts a model is asked to answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entrotune.data.rejects import Reject, RowError
from entrotune.data.render import check_system, render_prompt
from entrotune.data.rows import Message, Row, answers_of, prompt_messages
from entrotune.data.tokens import check_tokenizer, tokenize
from entrotune.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a model is asked: `text` as it reads it, header of its own turn included, and the same as tokens.

    `messages` are the turns without the added system message. `references` are good answers: the row's references or,
    without any, its answers; `has_references` says which.
    """

    id: str
    messages: tuple[Message, ...]
    text: str
    input_ids: tuple[int, ...]
    references: tuple[str, ...]
    checker: Mapping[str, Any] | None
    has_references: bool = False


def prompt_room(context: int | None, max_new_tokens: int) -> int | None:
    """Tokens that a prompt may have; None where the model sets no limit.

    Raises:
        UserError: the response alone would fill the context.
    """
    if context is not None and max_new_tokens >= context:
        raise UserError(f"max_new_tokens is {max_new_tokens}, but the model's context has {context} tokens")
    return None if context is None else context - max_new_tokens


def prompts_of(
    rows: Sequence[Row],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    system: str | None = None,
    max_length: int | None = None,
    too_long: list[Reject] | None = None,
) -> list[Prompt]:
    """Return one prompt a row, rendered with the generation prompt of the chat template where there is one.

    Args:
        system: as in `encode_rows`; give both the same.
        max_length: tokens a prompt may have; see `prompt_room`.
        too_long: rows whose prompt is longer are added to it, and have no prompt in what is returned.

    Raises:
        UserError: a row has no prompt, the chat template refuses it, or it is longer than `max_length` and there is
            no `too_long`.
    """
    check_tokenizer(tokenizer)
    check_system(tokenizer, system)
    texts = [_text(row, tokenizer, system) for row in rows]
    tokens = tokenize(tokenizer, texts, from_template=bool(tokenizer.chat_template))
    prompts = []
    for row, text, encoded in zip(rows, texts, tokens, strict=True):
        length = len(encoded.input_ids)
        if max_length is not None and length > max_length:
            reason = f"the prompt has {length} tokens, more than the {max_length} that fit the context"
            reject = Reject(source=row.source, line=row.line, id=row.id, reason=reason, row={"prompt": text})
            if too_long is None:
                raise UserError(f"{row.source}:{row.line} (id {row.id}): {reason}; shorten it or leave the row out")
            too_long.append(reject)
            continue
        prompts.append(
            Prompt(
                id=row.id,
                messages=prompt_messages(row) or (),
                text=text,
                input_ids=tuple(encoded.input_ids),
                references=row.references or answers_of(row),
                checker=row.checker,
                has_references=bool(row.references),
            )
        )
    return prompts


def _text(row: Row, tokenizer: "PreTrainedTokenizerBase", system: str | None) -> str:
    try:
        return render_prompt(tokenizer, row, system=system)
    except RowError as error:
        raise UserError(f"{row.source}:{row.line} (id {row.id}): {error}") from None
