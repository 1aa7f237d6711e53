"""What a model kept of its other abilities: ordinary chats and multiple-choice rows, beside its base."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor

from entrotune.data import Example, encode_rows, load_rows
from entrotune.data.examples import IGNORED
from entrotune.data.formats import Columns
from entrotune.evaluation.choice_likelihood import ChoiceReader, EncodedChoices, encode_choices, why_unanswerable
from entrotune.evaluation.choices import load_choices
from entrotune.kernels import Reference, linear_objective
from entrotune.kernels.row_statistics import row_statistics
from entrotune.measures import bootstrap_mean, bootstrap_ratio, paired_difference, paired_ratio_difference
from entrotune.models import Head, backbone, evaluation_mode, find_head

# Where a model states no context.
_DEFAULT_LENGTH = 1024

AsBase = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class RetentionRows:
    """What abilities are measured on: chats to score and multiple-choice rows to answer; either may be empty."""

    chats: list[Example]
    choices: list[EncodedChoices]
    described: dict[str, Any]


@dataclass
class Kept:
    """A model's sums for each chat and answers to each choice, to be paired with another's."""

    tokens: list[int] = field(default_factory=list)
    nll: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    agreeing: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)


def read_retention(
    tokenizer: Any,
    *,
    chats: str,
    rows: int,
    choices: str | None,
    choices_limit: int | None,
    context: int | None,
    columns: Columns | None = None,
) -> RetentionRows:
    """Read and encode the rows; those that do not fit are counted.

    Args:
        chats: a source of rows, see `load_rows`; "" for none. Of a row with several answers the first is scored.
        rows: how many of them, the first.
        choices: multiple-choice rows, see `load_choices`.
        context: tokens the model reads at most.
        columns: of `chats`; see `load_rows`.

    Raises:
        UserError: a source that cannot be read, or without a usable row.
    """
    described: dict[str, Any] = {}
    examples: list[Example] = []
    if chats:
        read = load_rows(chats, limit=rows, columns=columns)
        # Of several answers the first: a greeting that hundreds answered must not outweigh all else.
        asked_once = [replace(row, answers=row.answers[:1]) for row in read.rows]
        encoded = encode_rows(asked_once, tokenizer, max_length=context or _DEFAULT_LENGTH)
        encoded.check_usable()
        examples = encoded.examples
        described["chats"] = {
            "source": chats,
            "rows": len(examples),
            "rejected": len(read.rejects) + len(encoded.rejects),
            "supervised_tokens": sum(label != IGNORED for one in examples for label in one.labels[1:]),
        }
    answerable: list[EncodedChoices] = []
    if choices:
        found = load_choices(choices, limit=choices_limit)
        asked = encode_choices([row for row in found.rows if row.label is not None], tokenizer)
        answerable = [one for one in asked if why_unanswerable(one, context) is None]
        described["choices"] = {
            "source": choices,
            "rows": len(answerable),
            "rejected": len(found.rejects) + len(asked) - len(answerable),
            "without_label": len(found.rows) - len(asked),
        }
    return RetentionRows(examples, answerable, described)


def measure_kept(
    model: Any,
    tokenizer: Any,
    rows: RetentionRows,
    *,
    as_base: AsBase | None = None,
    batch_tokens: int = 2048,
    progress: Progress | None = None,
) -> Kept:
    """Score the chats and answer the choices.

    Args:
        as_base: gives the base model for the length of a block, for agreement and KL; none leaves them out.
        batch_tokens: of the chats, padding included.
    """
    kept = Kept()
    total = len(rows.chats) + len(rows.choices)
    task = progress.add_task("scoring ordinary rows", total=total) if progress else None
    with evaluation_mode(model):
        for batch in _batches(rows.chats, batch_tokens):
            _score(model, tokenizer, batch, as_base, kept)
            if progress and task is not None:
                progress.advance(task, len(batch))
        labels = {one.row.id: one.row.label for one in rows.choices}
        for answers in ChoiceReader(model, tokenizer).answers(rows.choices):
            # Batches come in another order than the rows; ids keep the pairs together.
            kept.right += [int(answer.choice("bytes") == labels[answer.id]) for answer in answers]
            if progress and task is not None:
                progress.advance(task, len(answers))
    if progress and task is not None:
        progress.remove_task(task)
    return kept


def describe_kept(kept: Kept, before: Kept | None = None, *, seed: int) -> dict[str, Any]:
    """Numbers for a record, with 95% bootstrap intervals over rows; differences to `before` are paired."""
    record: dict[str, Any] = {}
    if kept.tokens:
        record["nll"] = bootstrap_ratio(kept.nll, kept.tokens, seed=seed).to_dict()
        record["entropy"] = bootstrap_ratio(kept.entropy, kept.tokens, seed=seed).to_dict()
        if kept.kl:
            record["kl_to_base"] = bootstrap_ratio(kept.kl, kept.tokens, seed=seed).to_dict()
            record["top1_agreement"] = bootstrap_ratio(kept.agreeing, kept.tokens, seed=seed).to_dict()
        if before is not None:
            difference = paired_ratio_difference(kept.nll, kept.tokens, before.nll, before.tokens, seed=seed)
            record["nll_difference"] = difference.to_dict()
    if kept.right:
        record["choice_accuracy"] = bootstrap_mean(kept.right, seed=seed).to_dict()
        if before is not None:
            record["choice_accuracy_difference"] = paired_difference(kept.right, before.right, seed=seed).to_dict()
    return record


def _batches(examples: Sequence[Example], batch_tokens: int) -> list[list[Example]]:
    """Examples of like length together, longest first: a batch that does not fit memory shows at once."""
    found: list[list[Example]] = []
    for one in sorted(examples, key=lambda one: (-len(one.input_ids), one.id)):
        if not found or (len(found[-1]) + 1) * len(found[-1][0].input_ids) > batch_tokens:
            found.append([])
        found[-1].append(one)
    return found


def _score(model: Any, tokenizer: Any, batch: Sequence[Example], as_base: AsBase | None, kept: Kept) -> None:
    head = find_head(model)
    device = head.weight.device
    longest = len(batch[0].input_ids)
    ids, labels, mask = (
        torch.tensor([[*values, *[padding] * (longest - len(values))] for values in rows], device=device)
        for rows, padding in (
            ([one.input_ids for one in batch], tokenizer.pad_token_id),
            ([one.labels for one in batch], IGNORED),
            ([(1,) * len(one.input_ids) for one in batch], 0),
        )
    )
    targets = labels[:, 1:]
    hidden = _hidden(model, ids, mask, head)
    reference, agreeing = None, None
    if as_base is not None:
        with as_base() as base:
            own = find_head(base)
            theirs = _hidden(base, ids, mask, own)
            reference = Reference(theirs, own.weight, own.bias, own.logit_scale, own.softcap)
            their_top = _top(theirs, own, targets)
        agreeing = (_top(hidden, head, targets) == their_top) & (targets != IGNORED)
    settings = {"bias": head.bias, "logit_scale": head.logit_scale, "softcap": head.softcap}
    _, stats = linear_objective(hidden, head.weight, targets, "ce", **settings)  # type: ignore[arg-type]
    kept.tokens += stats.mask.sum(dim=1).tolist()
    kept.nll += stats.nll.double().sum(dim=1).tolist()
    kept.entropy += stats.entropy.double().sum(dim=1).tolist()
    if reference is not None and agreeing is not None:
        _, compared = linear_objective(
            hidden,
            head.weight,
            targets,
            "kl(ref)",
            reference=reference,
            **settings,  # type: ignore[arg-type]
        )
        kept.kl += compared.loss.double().sum(dim=1).tolist()
        kept.agreeing += agreeing.sum(dim=1).tolist()


def _hidden(model: Any, ids: Tensor, mask: Tensor, head: Head) -> Tensor:
    output = backbone(model)(input_ids=ids, attention_mask=mask, use_cache=False)
    return output.last_hidden_state[:, :-1].to(head.weight)


def _top(hidden_BTD: Tensor, head: Head, targets: Tensor) -> Tensor:
    flat = hidden_BTD.reshape(-1, hidden_BTD.shape[-1])
    found = row_statistics(
        flat,
        head.weight,
        targets.reshape(-1),
        bias=head.bias,
        logit_scale=head.logit_scale,
        softcap=head.softcap,
        renyi2=False,
        top_k=1,
    )
    return found.topk_ids.view(targets.shape)
