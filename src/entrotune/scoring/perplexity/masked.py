"""Pseudo-likelihood under a masked model: each token from all others, masked one at a time (Salazar et al. 2020).

The sum of −log p(token | all others) is no negative log-likelihood of the text: it compares texts under masked models
(arXiv 1910.14659), not with causal ones.

B: sequences of a batch, T: positions, D: width, V: vocabulary.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.models import evaluation_mode
from entrotune.scoring.batches import batches
from entrotune.scoring.perplexity.causal import Advance, Floats
from entrotune.scoring.perplexity.encoding import Encoded, Encoder, Ints


def masked_nll(
    model: Any,
    encoder: Encoder,
    encoded: Sequence[Encoded],
    *,
    max_length: int,
    batch_tokens: int,
    advance: Advance,
) -> list[Floats]:
    """−log p of each target with it alone masked, nats, for each text.

    Of a text longer than `max_length`, the tokens around the masked one are read, as many before as after it where
    there are so many; what the tokenizer puts around a text is put around them.
    """
    found: list[Floats] = [np.full(len(one.targets), np.nan) for one in encoded]
    wanted = [(number, index) for number, one in enumerate(encoded) for index in range(len(one.targets))]
    lengths = [min(len(encoded[number].ids), max_length) for number, _ in wanted]
    with evaluation_mode(model):
        check_masked_head(model, max_length)
        for batch in batches(lengths, batch_tokens):
            chosen = [wanted[at] for at in batch]
            read = [
                around(encoded[number], int(encoded[number].targets[at]), encoder, max_length) for number, at in chosen
            ]
            targets = [int(encoded[number].ids[encoded[number].targets[at]]) for number, at in chosen]
            for (number, at), nll in zip(chosen, _batch(model, encoder, read, targets), strict=True):
                found[number][at] = nll
            advance(len(chosen))
    return found


def around(one: Encoded, target: int, encoder: Encoder, max_length: int) -> tuple[Ints, int]:
    """What is read to predict a token, and its position there."""
    if len(one.ids) <= max_length:
        return one.ids, target
    before, after = len(encoder.before), len(encoder.after)
    inner = one.ids[before : len(one.ids) - after]
    room = max_length - before - after
    start = int(np.clip(target - before - room // 2, 0, len(inner) - room))
    ids = np.concatenate([one.ids[:before], inner[start : start + room], one.ids[len(one.ids) - after :]])
    return ids, target - start


def check_masked_head(model: Any, max_length: int) -> None:
    """Compare logits of one position, as they are taken here, with the model's own.

    Raises:
        UserError: they differ: this family does something with hidden states that is not understood.
    """
    ids = torch.arange(min(4, max_length), device=model.device)[None]
    mask = torch.ones_like(ids)
    theirs = model(input_ids=ids, attention_mask=mask).logits[:, -1].float()
    ours = _logits_at(model, ids, mask, torch.tensor([ids.shape[1] - 1], device=model.device)).float()
    tolerance = 64 * torch.finfo(model.dtype).eps * theirs.abs().max().clamp(min=1.0).item()
    if ours.shape != theirs.shape or not (ours - theirs).abs().max().item() <= tolerance:
        raise UserError(f"the output head of {type(model).__name__} is not understood; use another masked model")


def _batch(model: Any, encoder: Encoder, read: Sequence[tuple[Ints, int]], targets: Sequence[int]) -> Floats:
    longest = max(len(ids) for ids, _ in read)
    ids_BT = np.full((len(read), longest), encoder.tokenizer.pad_token_id, dtype=np.int64)
    mask_BT = np.zeros((len(read), longest), dtype=np.int64)
    for row, (ids, place) in enumerate(read):
        ids_BT[row, : len(ids)] = ids
        ids_BT[row, place] = encoder.tokenizer.mask_token_id
        mask_BT[row, : len(ids)] = 1
    device = model.device
    places_B = torch.tensor([place for _, place in read], device=device)
    try:
        logits_BV = _logits_at(
            model, torch.from_numpy(ids_BT).to(device), torch.from_numpy(mask_BT).to(device), places_B
        )
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"a batch of {ids_BT.size:,} tokens does not fit the memory of {device}; give a smaller batch_tokens"
        ) from error
    log_p_BV = logits_BV.to(torch.promote_types(logits_BV.dtype, torch.float32)).log_softmax(-1)
    nll: Floats = -log_p_BV.gather(-1, torch.tensor(targets, device=device)[:, None])[:, 0].double().cpu().numpy()
    return nll


def _logits_at(model: Any, ids_BT: Tensor, mask_BT: Tensor, places_B: Tensor) -> Tensor:
    """[B, V] logits of one position a sequence; the head, whatever it is made of, sees no other."""
    with _only(model.base_model, places_B):
        logits: Tensor = model(input_ids=ids_BT, attention_mask=mask_BT).logits
    return logits[:, 0]


@contextlib.contextmanager
def _only(backbone: Any, places_B: Tensor) -> Iterator[None]:
    """Let a backbone give the hidden state of one position a sequence only."""

    def choose(_: Any, __: Any, output: Any) -> Any:
        hidden_BTD = output["last_hidden_state"]
        rows_B = torch.arange(len(places_B), device=hidden_BTD.device)
        output["last_hidden_state"] = hidden_BTD[rows_B, places_B.to(hidden_BTD.device)][:, None]
        return output

    handle = backbone.register_forward_hook(choose)
    try:
        yield
    finally:
        handle.remove()
