"""What every batch that is generated needs: padding on the left, end marks, and nothing of the model's own settings."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from entrotune.models import base_of


def left_padded(rows: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, [B, T] each, padded on the left so that every response begins at the same position."""
    longest = max(len(row) for row in rows)
    pads = [longest - len(row) for row in rows]
    ids = [[pad] * size + list(row) for row, size in zip(rows, pads, strict=True)]
    mask = [[0] * size + [1] * (longest - size) for size in pads]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a response: the tokenizer's end of sequence and those of the model's generation settings."""
    given = getattr(base_of(model).generation_config, "eos_token_id", None)
    ids = given if isinstance(given, list | tuple) else [given]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None)


def until_end(ids: Sequence[int], ends: Collection[int]) -> list[int]:
    """The ids up to and with the first end mark; what follows is padding."""
    for position, token in enumerate(ids):
        if token in ends:
            return list(ids[: position + 1])
    return list(ids)


@contextlib.contextmanager
def nothing_inherited(base: Any) -> Iterator[None]:
    """Take the model's own generation settings away for the block: `generate` fills what is unset from them."""
    own = base.generation_config
    base.generation_config = GenerationConfig()
    try:
        yield
    finally:
        base.generation_config = own
