"""What every batch that is generated needs: padding on the left, end marks, and nothing of the model's own settings."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from entrotune.models import base_of


def left_padded(rows: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, [B, T] each, padded on the left so that every response begins at the same position."""
    longest = max(len(row) for row in rows)
    pads = [longest - len(row) for row in rows]
    ids = [[pad] * size + list(row) for row, size in zip(rows, pads, strict=True)]
    mask = [[0] * size + [1] * (longest - size) for size in pads]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def read_once(base: Any, rows: Sequence[Sequence[int]], ids_BT: Tensor, mask_BT: Tensor) -> dict[str, Any]:
    """What `generate` needs so that a prompt that stands in a batch several times is read once: its keys and values.

    Reading is most of the work where prompts are long and answers short or many.

    Args:
        base: the model, its own generation settings taken away.
        rows: the prompts, B of them.
        ids_BT: the same, `left_padded`.
        mask_BT: likewise.

    Returns:
        `past_key_values` of all tokens but the last, for `generate` on the same ids and mask; nothing where no prompt
        stands twice, and for models that keep something else than keys and values (an LSTM, a state-space model).
    """
    places: dict[tuple[int, ...], int] = {}
    owners = [places.setdefault(tuple(row), len(places)) for row in rows]
    if len(places) == len(rows) or ids_BT.shape[1] == 1 or not _keeps_keys_and_values(base):
        return {}
    first = [owners.index(place) for place in range(len(places))]
    output = base.generate(
        input_ids=ids_BT[first, :-1],
        attention_mask=mask_BT[first, :-1],
        generation_config=GenerationConfig(
            max_new_tokens=1, do_sample=False, use_cache=True, return_dict_in_generate=True
        ),
    )
    cache = output.past_key_values
    if not isinstance(cache, DynamicCache):  # a model that makes its own
        return {}
    cache.batch_select_indices(torch.tensor(owners, device=ids_BT.device))
    return {"past_key_values": cache}


def _keeps_keys_and_values(base: Any) -> bool:
    if getattr(base, "_is_stateful", False):
        return False
    layers = DynamicCache(config=base.config.get_text_config(decoder=True)).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


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
