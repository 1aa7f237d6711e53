"""Sending a text through a model to see what it predicted where, and what the text went on with.

N: tokens, D: width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from entrotune.data import Row
from entrotune.data.records import is_unicode
from entrotune.data.rejects import RowError
from entrotune.data.render import render_answer
from entrotune.data.tokens import check_tokenizer, tokenize
from entrotune.errors import UserError
from entrotune.kernels import RowStatistics
from entrotune.kernels.row_statistics import NO_TARGET
from entrotune.models import Head, backbone, context_length, evaluation_mode, find_head
from entrotune.scoring.examined import Examined, Token, predictions
from entrotune.scoring.options import BOS
from entrotune.scoring.pieces import Pieces

# Where neither the model nor the caller sets a limit.
_DEFAULT_LENGTH = 4096


def examine(
    text: str,
    model: Any,
    tokenizer: Any,
    *,
    prompt: str | None = None,
    system: str | None = None,
    bos: str = "auto",
    top_k: int = 20,
    max_length: int | None = None,
    name: str | None = None,
) -> Examined:
    """Send a text through a model and keep what it predicted at every position.

    Args:
        model: a causal language model, and its tokenizer.
        prompt: what the text answers, in the model's chat format where it has one; the text's end mark is included
            then. Its tokens are marked as given.
        system: a system message before the prompt.
        bos: whether plain text begins with the tokenizer's BOS: `always`, `none`, or `auto`: as the tokenizer does it.
        top_k: likeliest tokens to keep of every prediction.
        max_length: tokens, the rest is cut off and counted; by default what the model reaches to.
        name: of the model, as it is to be shown.

    Raises:
        UserError: an empty text or one that is not Unicode, an unknown or impossible `bos`, a limit that is not
            positive, a system message without a prompt, or a model whose predictions are not finite.
    """
    check_tokenizer(tokenizer)
    if bos not in BOS:
        raise UserError(f"bos is {bos!r}; expected one of {', '.join(BOS)}")
    if prompt is None and system is not None:
        raise UserError("a system message belongs to a prompt; give prompt too, or leave system out")
    if not is_unicode([text, prompt, system]):
        raise UserError("the text holds half of a surrogate pair, which is no character; leave it out")
    if prompt is not None:
        ids, given = _answer(text, prompt, system, tokenizer)
    else:
        ids, given = _plain(text, bos, tokenizer)
    return examine_tokens(ids, model, tokenizer, given=given, top_k=top_k, max_length=max_length, name=name)


def examine_tokens(
    ids: Sequence[int],
    model: Any,
    tokenizer: Any,
    *,
    given: Sequence[bool] = (),
    top_k: int = 20,
    max_length: int | None = None,
    name: str | None = None,
    tokens_cut: int = 0,
) -> Examined:
    """As `examine`, of token ids.

    Args:
        given: for each token, whether it is part of the prompt; none is by default.
        tokens_cut: how many were cut off before, to be counted too.
    """
    limit = max_length if max_length is not None else context_length(model) or _DEFAULT_LENGTH
    if limit < 1 or top_k < 1:
        raise UserError(f"max_length and top_k must be at least 1, got {limit} and {top_k}")
    if not ids:
        raise UserError("there is nothing to examine: the text is empty")
    head = find_head(model)
    vocabulary = head.weight.shape[0]
    kept = list(ids[:limit])
    if max(kept) >= vocabulary:
        raise UserError(f"out of range: token {max(kept)}, but the model's vocabulary ends at {vocabulary - 1}")
    hidden_ND, found = _predictions(kept, model, head, min(top_k, vocabulary))
    pieces = Pieces(tokenizer)
    marks = list(given[:limit]) or [False] * len(kept)
    return Examined(
        tokens=_tokens(kept, pieces.of_text(kept), marks, found),
        model=name or str(getattr(model.config, "name_or_path", "")) or type(model).__name__,
        vocabulary=vocabulary,
        tokens_cut=tokens_cut + len(ids) - len(kept),
        statistics=found,
        _pieces=pieces,
        _head=head,
        _hidden=hidden_ND,
    )


def _answer(text: str, prompt: str, system: str | None, tokenizer: Any) -> tuple[list[int], list[bool]]:
    """Tokens of prompt and text in the chat format, and which of them are not the text's."""
    row = Row(id="text", source="text", prompt=prompt)
    try:
        rendered = render_answer(tokenizer, row, text, system=system, supervise="completion")
    except RowError as error:
        raise UserError(f"the prompt cannot be rendered: {error}") from None
    (encoded,) = tokenize(tokenizer, [rendered.text], from_template=rendered.from_template)
    ((start, end),) = rendered.spans
    given = [not (start < last and first < end) for first, last in encoded.offsets]
    # What the template writes after the end mark is no part of the text.
    size = len(given) - next((at for at, mark in enumerate(reversed(given)) if not mark), len(given))
    return encoded.input_ids[:size], given[:size]


def _plain(text: str, bos: str, tokenizer: Any) -> tuple[list[int], list[bool]]:
    (encoded,) = tokenize(tokenizer, [text], from_template=bos == "none")
    ids = encoded.input_ids
    added = [first == last for first, last in encoded.offsets]
    if bos == "always" and ids[:1] != [tokenizer.bos_token_id]:
        if tokenizer.bos_token_id is None:
            raise UserError("bos is 'always', but the tokenizer has no BOS token; use bos=none")
        ids, added = [tokenizer.bos_token_id, *ids], [True, *added]
    if all(added):
        raise UserError("there is nothing to examine: the text is empty")
    return ids, [mark and at == 0 for at, mark in enumerate(added)]


def _predictions(ids: list[int], model: Any, head: Head, top_k: int) -> tuple[Tensor, RowStatistics]:
    """Hidden states [N, D] and statistics of the predictions made at each position."""
    device = head.weight.device
    targets_N = torch.tensor([*ids[1:], NO_TARGET], device=device)
    try:
        with evaluation_mode(model):
            output = backbone(model)(input_ids=torch.tensor([ids], device=device), use_cache=False)
            hidden_ND = output.last_hidden_state[0].to(head.weight.dtype)
            found = predictions(hidden_ND, head, targets_N, rank=True, top_k=top_k)
    except torch.OutOfMemoryError as error:
        raise UserError(f"{len(ids):,} tokens do not fit the memory of {device}; give a smaller max_length") from error
    _check_finite(found)
    return hidden_ND, found


def _check_finite(found: RowStatistics) -> None:
    for name, values in (("entropy", found.entropy), ("varentropy", found.varentropy), ("nll", found.nll[:-1])):
        if not bool(values.isfinite().all()):
            at = int((~values.isfinite()).nonzero()[0])
            raise UserError(f"the model's predictions are not finite: {name} is {float(values[at])} at position {at}")


def _tokens(ids: list[int], texts: list[str], given: list[bool], found: RowStatistics) -> tuple[Token, ...]:
    first = Token(0, ids[0], texts[0], given[0])
    columns = (found.entropy.tolist(), found.varentropy.tolist(), found.nll.tolist(), found.rank.tolist())
    others = zip(ids[1:], texts[1:], given[1:], *(column[:-1] for column in columns), strict=True)
    return (first, *(Token(index, *values) for index, values in enumerate(others, start=1)))
