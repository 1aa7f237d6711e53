"""Negative log-likelihood and entropy of given tokens under a model, without full logits.

B: rows of a batch, T: positions, D: hidden size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor

from entrotune.data import Example, Prompt
from entrotune.data.examples import IGNORED
from entrotune.errors import UserError
from entrotune.evaluation.records import SampleRecord
from entrotune.kernels import linear_objective
from entrotune.models import Head, backbone, evaluation_mode, find_head


@dataclass(frozen=True)
class RowScore:
    """What a model says of one example's supervised tokens: sums, so that any grouping of rows adds up.

    Attributes:
        id: the example's.
        tokens: supervised tokens.
        top1: those that are the model's most likely token.
        nll: nats, summed, one for each temperature asked for.
        entropy: of the predictions, nats, summed, one for each temperature.
    """

    id: str
    tokens: int
    top1: int
    nll: tuple[float, ...]
    entropy: tuple[float, ...]


def evaluate_nll(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Example],
    *,
    temperatures: Sequence[float] = (1.0,),
    batch_tokens: int = 2048,
    progress: Progress | None = None,
    description: str = "scoring held-out rows",
) -> list[RowScore]:
    """Score the supervised tokens of each example, in the order of `examples`.

    One pass through the backbone serves all temperatures; at each, logits are divided by it after the model's own
    scale and cap. No gradients; dropout is off, and afterwards every module is in the mode it was in.

    Args:
        batch_tokens: tokens in a batch, padding included; an example longer than that is a batch of its own.
        description: of the progress bar.

    Raises:
        UserError: a temperature that is not above 0 (greedy decoding gives no distribution to score with).
    """
    for temperature in temperatures:
        if not temperature > 0:
            raise UserError(f"NLL needs a temperature above 0, got {temperature}")
    head = find_head(model)
    scores: list[RowScore | None] = [None] * len(examples)
    task = progress.add_task(description, total=len(examples)) if progress else None
    with evaluation_mode(model):
        for batch in _batches(examples, batch_tokens):
            for index, score in zip(batch, _score(model, head, tokenizer, examples, batch, temperatures), strict=True):
                scores[index] = score
            if progress and task is not None:
                progress.advance(task, len(batch))
    if progress and task is not None:
        progress.remove_task(task)
    return [score for score in scores if score is not None]


def sample_nll(
    judge: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    samples: Sequence[SampleRecord],
    *,
    batch_tokens: int = 2048,
    progress: Progress | None = None,
) -> list[RowScore]:
    """Score sampled responses, their end mark included, under another model that shares the tokenizer.

    Equal responses to one prompt are scored once. The result is in the order of `samples`; an empty, unfinished
    response has 0 tokens.

    Args:
        judge: usually the untouched base model.
        prompts: those that the samples answer.
    """
    asked = {prompt.id: prompt.input_ids for prompt in prompts}
    keys = [(sample.prompt_id, sample.token_ids) for sample in samples]
    examples = [
        Example(prompt_id, (*asked[prompt_id], *ids), (*[IGNORED] * len(asked[prompt_id]), *ids))
        for prompt_id, ids in dict.fromkeys(keys)
    ]
    scores = evaluate_nll(
        judge, tokenizer, examples, batch_tokens=batch_tokens, progress=progress, description="scoring samples"
    )
    found = dict(zip(dict.fromkeys(keys), scores, strict=True))
    return [found[key] for key in keys]


def _batches(examples: Sequence[Example], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of examples of like length, longest first: a batch that does not fit memory shows at once."""
    order = sorted(range(len(examples)), key=lambda index: -len(examples[index].input_ids))
    start = 0
    while start < len(order):
        longest = max(1, len(examples[order[start]].input_ids))
        size = max(1, batch_tokens // longest)
        yield order[start : start + size]
        start += size


def _score(
    model: Any, head: Head, tokenizer: Any, examples: Sequence[Example], batch: list[int], temperatures: Sequence[float]
) -> list[RowScore]:
    device = next(model.parameters()).device
    rows = [examples[index] for index in batch]
    # Padding is on the right, where no token attends to it, and its label is ignored.
    ids_BT = _padded([row.input_ids for row in rows], tokenizer.pad_token_id, device)
    mask_BT = _padded([(1,) * len(row.input_ids) for row in rows], 0, device)
    targets_BT = _padded([row.labels for row in rows], IGNORED, device)[:, 1:]
    output = backbone(model)(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False)
    hidden_BTD = output.last_hidden_state[:, :-1].to(head.weight)
    nll, entropy = [], []
    for temperature in temperatures:
        _, stats = linear_objective(
            hidden_BTD,
            head.weight,
            targets_BT,
            "ce",
            bias=head.bias,
            logit_scale=head.logit_scale,
            softcap=head.softcap,
            temperature=temperature,
        )
        nll.append(stats.nll.double().sum(dim=1).tolist())
        entropy.append(stats.entropy.double().sum(dim=1).tolist())
    tokens, top1 = stats.mask.sum(dim=1).tolist(), stats.is_top1.sum(dim=1).tolist()
    return [
        RowScore(row.id, tokens[b], top1[b], tuple(n[b] for n in nll), tuple(e[b] for e in entropy))
        for b, row in enumerate(rows)
    ]


def _padded(sequences: Sequence[Sequence[int]], value: int, device: Any) -> Tensor:
    longest = max(1, *(len(sequence) for sequence in sequences))
    return torch.tensor([[*sequence, *[value] * (longest - len(sequence))] for sequence in sequences], device=device)
