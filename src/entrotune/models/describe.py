"""What can be known of a model without loading its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from entrotune.errors import UserError
from entrotune.models.loading import load_tokenizer, model_folder
from entrotune.models.modes import context_of
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
        UserError: no such model, no tokenizer, or a configuration that is not a causal language model's.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    source = resolve_model(name)
    tokenizer = load_tokenizer(name)
    folder = model_folder(source if source.base is None else source.base)
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder)
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"the configuration of model '{source.name}' cannot be used: {first}") from error
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelDescription(source, config, tokenizer, parameters, context_of(config))
