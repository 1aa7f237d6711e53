"""Perplexities by their definitions: one window at a time, all logits, float64. Shares no code with what it checks."""

import copy
from collections.abc import Sequence
from typing import Any

import torch


def double(model: Any) -> Any:
    return copy.deepcopy(model).double().eval()


def log_p(model: Any, **inputs: Any) -> torch.Tensor:
    """[T, V] of one sequence."""
    with torch.no_grad():
        return model(**inputs).logits[0].double().log_softmax(-1)


def token_nll(model: Any, ids: Sequence[int], token: int, context: int) -> float:
    """Of one token given the `context` tokens before it."""
    read = torch.tensor([list(ids[token - context : token])])
    return -float(log_p(model, input_ids=read)[-1, ids[token]])


def pseudo_nll(model: Any, ids: Sequence[int], token: int, mask: int) -> float:
    """Of one token given all others."""
    read = torch.tensor([list(ids)])
    read[0, token] = mask
    return -float(log_p(model, input_ids=read)[token, ids[token]])
