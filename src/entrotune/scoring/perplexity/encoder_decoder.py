"""Likelihood of texts under an encoder with a decoder, given what the encoder reads.

B: texts of a batch, S: positions of the encoder, T: of the decoder, V: vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.models import evaluation_mode
from entrotune.scoring.batches import batches
from entrotune.scoring.perplexity.causal import Advance, Floats
from entrotune.scoring.perplexity.encoding import Encoded, Encoder, Ints


def encoder_decoder_nll(
    model: Any, encoder: Encoder, encoded: Sequence[Encoded], *, batch_tokens: int, advance: Advance
) -> list[Floats]:
    """−log p of each target given its source and the tokens before it, nats, for each text."""
    if not hasattr(model, "prepare_decoder_input_ids_from_labels"):
        raise UserError(f"{type(model).__name__} does not say what its decoder begins with; use another model")
    found: list[Floats] = [np.empty(0)] * len(encoded)
    with evaluation_mode(model):
        for batch in batches([len(one.ids) + len(one.source) for one in encoded], batch_tokens):
            chosen = [encoded[number] for number in batch]
            for number, one, nll_T in zip(batch, chosen, _batch(model, encoder, chosen), strict=True):
                found[number] = nll_T[one.targets]
                advance(len(one.targets))
    return found


def _batch(model: Any, encoder: Encoder, batch: Sequence[Encoded]) -> Floats:
    """[B, T]."""
    padding = int(encoder.tokenizer.pad_token_id)
    source_BS, mask_BS = _padded([one.source for one in batch], padding)
    labels_BT, _ = _padded([one.ids for one in batch], padding)
    device = model.device
    labels_BT = labels_BT.to(device)
    try:
        logits_BTV = model(
            input_ids=source_BS.to(device),
            attention_mask=mask_BS.to(device),
            decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels=labels_BT),
            use_cache=False,
        ).logits
        log_p_BTV = logits_BTV.to(torch.promote_types(logits_BTV.dtype, torch.float32)).log_softmax(-1)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"a batch of {labels_BT.numel() + source_BS.numel():,} tokens does not fit the memory of {device}; give a "
            "smaller batch_tokens"
        ) from error
    nll: Floats = -log_p_BTV.gather(-1, labels_BT[..., None])[..., 0].double().cpu().numpy()
    return nll


def _padded(sequences: Sequence[Ints], padding: int) -> tuple[Tensor, Tensor]:
    """Sequences filled up on the right, and where they are not."""
    longest = max(map(len, sequences))
    ids = np.full((len(sequences), longest), padding, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)
