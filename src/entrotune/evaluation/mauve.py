"""MAUVE of sampled responses against people's answers, by a model's hidden states."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from entrotune.data import Prompt
from entrotune.evaluation.records import SampleRecord
from entrotune.measures.mauve import ENOUGH, mauve
from entrotune.models import backbone, context_length, evaluation_mode


def mauve_of(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    samples: Sequence[SampleRecord],
    *,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """MAUVE of the samples against all answers of people to the same prompts, responses only; see `mauve`.

    Blank texts have no features; `blank` counts them. `cut` counts texts longer than the model reads.

    Args:
        model: gives the features; any model, but the same for everything compared.

    Raises:
        UserError: fewer than 20 texts on a side, or mauve-text is not installed.
    """
    answers = [answer for prompt in prompts for answer in prompt.references]
    responses = [sample.text for sample in samples]
    told = [[text for text in side if text.strip()] for side in (answers, responses)]
    limit = context_length(model)
    encoded = [[tokenizer(text, add_special_tokens=False)["input_ids"] for text in side] for side in told]
    cut = sum(limit is not None and len(ids) > limit for side in encoded for ids in side)
    features = [_features(model, tokenizer, [ids[:limit] for ids in side], progress) for side in encoded]
    found = mauve(*features, seed=seed)
    blank = len(answers) + len(responses) - sum(map(len, told))
    fewest = min(found["people"], found["sampled"])
    note = (
        "" if fewest >= ENOUGH else f"{fewest} texts: biased by their small number; compare with same, and equal n only"
    )
    return found | {"blank": blank, "cut": cut, "note": note}


@torch.no_grad()
def _features(
    model: Any, tokenizer: Any, sequences: Sequence[Sequence[int]], progress: Progress | None, batch: int = 32
) -> NDArray[np.float32]:
    """[n, d] the last hidden state at the last token of each text."""
    device = next(model.parameters()).device
    order = sorted(range(len(sequences)), key=lambda at: -len(sequences[at]))
    rows: list[Any] = [None] * len(sequences)
    task = progress.add_task("features for MAUVE", total=len(sequences)) if progress else None
    with evaluation_mode(model):
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            longest = len(sequences[chosen[0]])
            # Padding is on the right, where no token attends to it.
            ids, mask = (
                torch.tensor([[*own, *[padding] * (longest - len(own))] for own in filled], device=device)
                for filled, padding in (
                    ([list(sequences[at]) for at in chosen], tokenizer.pad_token_id),
                    ([[1] * len(sequences[at]) for at in chosen], 0),
                )
            )
            hidden = backbone(model)(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            for row, at in enumerate(chosen):
                rows[at] = hidden[row, len(sequences[at]) - 1].float().cpu().numpy()
            if progress and task is not None:
                progress.advance(task, len(chosen))
    if progress and task is not None:
        progress.remove_task(task)
    return np.stack(rows) if rows else np.zeros((0, 1), dtype=np.float32)
