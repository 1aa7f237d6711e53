"""From rows to what an evaluation needs: tokens to score, prompts to sample from, and which rows share a prompt."""

import dataclasses
import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.data import (
    Example,
    Prompt,
    Reject,
    Row,
    answers_of,
    encode_rows,
    merge_answers,
    prompt_key,
    prompt_room,
    prompts_of,
)
from entrotune.data.rows import prompt_messages
from entrotune.errors import UserError
from entrotune.measures import parse_checker, parse_meaning

# Where neither the model nor the user sets a limit.
_DEFAULT_LENGTH = 4096
_WORDS_OF_AN_ANSWER = 10


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What to evaluate on.

    Attributes:
        examples: to score; empty where no row has an answer or a text.
        prompts: to sample from, different ones, in the order of the rows; empty where no row has a prompt.
        groups: example id → id of the first row with the same prompt.
        rejects: rows that could not be encoded.
    """

    examples: list[Example]
    prompts: list[Prompt]
    groups: dict[str, str]
    rejects: list[Reject]


def hold_out(
    rows: Sequence[Row],
    tokenizer: Any,
    *,
    prompts: int,
    seed: int,
    max_new_tokens: int,
    context: int | None = None,
    system: str | None = None,
    on_bad_row: str = "skip",
) -> HeldOut:
    """Encode the rows to score and choose the prompts to sample from.

    Rows whose prompts differ only in case or white space are one prompt. Prompts are chosen in the order of a hash of
    `seed` and prompt, so the choice hardly changes when rows are added. A row without a checker but with references
    is checked against them (set membership, ignoring case), unless it asks for a meaning to be put into words, or the
    references are texts (more than 10 words, by the median of all) that no sample would repeat.

    Args:
        prompts: how many to sample from at most; 0 for none.
        context: tokens the model reaches to; None where it sets no limit.
        system: a system message for conversations without one; see `encode_rows`.

    Raises:
        UserError: neither an example nor a prompt is left, a checker cannot be read, or a prompt is too long for the
            context; with `on_bad_row` "skip" only where all are, else such rows are rejects and others are chosen.
    """
    length = context or _DEFAULT_LENGTH
    scored = [row for row in rows if _has_tokens_to_score(row)]
    encoded = encode_rows(scored, tokenizer, max_length=length, system=system, on_bad_row=on_bad_row)
    asked = merge_answers([row for row in rows if prompt_messages(row)], ignore_case=True) if prompts else []
    room = prompt_room(context, max_new_tokens) if asked else None
    too_long: list[Reject] = []
    while True:
        chosen = _choose(asked, prompts, seed)
        left_out: list[Reject] = []
        found = prompts_of(
            chosen, tokenizer, system=system, max_length=room, too_long=left_out if on_bad_row == "skip" else None
        )
        too_long += left_out
        if not left_out:
            break
        gone = {reject.id for reject in left_out}
        asked = [row for row in asked if row.id not in gone]
    if too_long and not found:
        raise UserError(f"{too_long[0].where}: {too_long[0].reason}; shorten it or leave the row out")
    if not encoded.examples and not found:
        encoded.check_usable()
    to_repeat = _are_to_repeat(asked)
    with_checkers = [_checked(prompt, row, to_repeat) for prompt, row in zip(found, chosen, strict=True)]
    known = {(reject.source, reject.line) for reject in encoded.rejects}
    rejects = encoded.rejects + [reject for reject in too_long if (reject.source, reject.line) not in known]
    return HeldOut(examples=encoded.examples, prompts=with_checkers, groups=_groups(scored), rejects=rejects)


def _has_tokens_to_score(row: Row) -> bool:
    """Whether a row has tokens to score."""
    return row.text is not None or row.input_ids is not None or bool(answers_of(row))


def _choose(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    if count < 0:
        raise UserError(f"prompts must be 0 or more, got {count}")
    ordered = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{prompt_key(row)}".encode()).digest())
    kept = {row.id for row in ordered[:count]}
    return [row for row in rows if row.id in kept]


def _are_to_repeat(rows: Sequence[Row]) -> bool:
    """Whether references are answers, which a sample can be equal to, and not texts such as summaries."""
    words = [len(reference.split()) for row in rows for reference in row.references]
    return bool(words) and statistics.median(words) <= _WORDS_OF_AN_ANSWER


def _checked(prompt: Prompt, row: Row, to_repeat: bool) -> Prompt:
    """The prompt with its checker, which is refused here where it cannot be read, before anything is sampled."""
    if prompt.checker is not None:
        try:
            parse_checker(prompt.checker)
        except UserError as error:
            raise UserError(f"{row.source}:{row.line} (id {row.id}): {error}") from None
    if prompt.checker is not None or not row.references or not to_repeat:
        return prompt
    if parse_meaning(prompt.messages[-1]["content"]) is not None:
        return prompt
    return dataclasses.replace(prompt, checker={"kind": "set", "answers": list(row.references), "ignore_case": True})


def _groups(rows: Sequence[Row]) -> dict[str, str]:
    first: dict[str, str] = {}
    groups = {}
    for row in rows:
        group = first.setdefault(prompt_key(row), row.id)
        groups[row.id] = group
        groups |= {f"{row.id}#{index}": group for index in range(len(row.answers))}
    return groups
