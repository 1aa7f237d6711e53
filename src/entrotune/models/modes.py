"""States of a loaded model, and how far its context reaches."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off and gradients off for the block; afterwards every module has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def context_length(model: Any) -> int | None:
    """The tokens a model's positions reach to; None where its configuration sets no limit."""
    return context_of(model.config)


def context_of(config: Any) -> int | None:
    """The longest sequence of a configuration, tokens; None where it states none."""
    text_config = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        value = getattr(text_config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None
