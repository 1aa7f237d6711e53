"""The loss of a target set the plain way: one forward pass for each target, with its prompt."""

from typing import Any

import torch

from entrotune.data.targets import EncodedTargets


def plain_loss(model: Any, encoded: EncodedTargets) -> torch.Tensor:
    """−Σ w log P(target | prompt), as a sum of ordinary passes."""
    total = torch.zeros((), dtype=model.dtype)
    prompt = encoded.prompt.input_ids
    for sequence, weight in zip(encoded.sequences, encoded.of.weights, strict=True):
        logits = model(input_ids=torch.tensor([[*prompt, *sequence]])).logits[0, len(prompt) - 1 : -1]
        total = total - weight * logits.log_softmax(-1).gather(-1, torch.tensor(sequence)[:, None]).sum()
    return total
