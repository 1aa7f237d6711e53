"""What can be known of a model without loading its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from entrotune.models.loading import model_folder
from entrotune.models.quiet import quiet_transformers
from entrotune.models.sources import ModelSource, resolve_model


@dataclass(frozen=True)
class ModelDescription:
    """A model's source, configuration and tokenizer, its parameters and the longest sequence it was made for."""

    source: ModelSource
    config: Any
    tokenizer: Any
    parameters: int
    context: int | None


def describe_model(name: str | Path) -> ModelDescription:
    """Read configuration and tokenizer, and count parameters on torch's meta device.

    Raises:
        UserError: no such model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = resolve_model(name)
    folder = model_folder(source if source.base is None else source.base)
    with quiet_transformers():
        config = AutoConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelDescription(source, config, tokenizer, parameters, context_of(config))


def context_of(config: Any) -> int | None:
    """The longest sequence of a configuration, tokens; None where it states none."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)
