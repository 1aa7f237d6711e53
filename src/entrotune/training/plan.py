"""What a run would do, told before weights are loaded."""

import math
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from trl import pack_dataset

from entrotune.data import to_dataset
from entrotune.errors import UserError
from entrotune.models import ModelDescription, attach_lora, context_of, count_parameters, describe_model
from entrotune.training.arguments import precision_of, reference_name
from entrotune.training.config import TrainConfig
from entrotune.training.curriculum import pack_in_order
from entrotune.training.rows import TrainingRows, read_rows


def plan_training(config: TrainConfig, description: ModelDescription) -> dict[str, Any]:
    """What a run on one device would do, from configuration and tokenizer alone: counts, steps and memory in bytes.

    Activations follow Korthikanti et al. 2022 (arXiv 2205.05198) for attention that does not store its matrix: 34
    bytes a token, layer and unit of width in half precision, 2 with gradient checkpointing.

    Args:
        config: the recipe.
        description: of its model, by `describe_model`.

    Raises:
        UserError: rows or a recipe that cannot be used.
    """
    assert config.epochs is not None  # the recipe chose a default
    check_context(config, description.config)
    rows = read_rows(config, description.tokenizer)
    text = description.config.get_text_config()
    per_epoch = math.ceil(math.ceil(_sequences(config, rows) / config.batch_size) / config.accumulation)
    steps = config.max_steps or math.ceil(config.epochs * per_epoch)
    lora = config.method == "lora"
    size = 2 if precision_of(config) == "bfloat16" else 4
    trained = _adapter_parameters(config, description) if lora else description.parameters
    tokens = config.batch_size * (config.max_length if config.packing else rows.counts["longest"])
    kept = 1 if config.gradient_checkpointing else 17
    memory = {
        "weights": description.parameters * (size if lora else 4) + (trained * 4 if lora else 0),
        "gradients": trained * 4,
        "optimizer": trained * 8,
        **_reference_bytes(config, size),
        "activations": tokens * text.num_hidden_layers * text.hidden_size * kept * size,
    }
    return {
        "data": rows.counts,
        "read": rows.told,
        "steps": steps,
        "tokens_to_train": round(rows.counts.get("curriculum", rows.counts)["train_tokens"] * steps / per_epoch),
        "parameters": description.parameters + (trained if lora else 0),
        "trainable_parameters": trained,
        "memory_bytes": memory | {"total": sum(memory.values())},
        "precision": precision_of(config),
    }


def _reference_bytes(config: TrainConfig, size: int) -> dict[str, int]:
    """Memory of a reference beside the model; nothing where there is none, or it is the base under an adapter."""
    name = reference_name(config)
    return {} if name is None else {"reference": describe_model(name).parameters * size}


def check_context(config: TrainConfig, model_config: Any) -> None:
    """Raise `UserError` where `max_length` is beyond the positions of the model."""
    context = context_of(model_config)
    if context is not None and config.max_length > context:
        raise UserError(
            f"max_length is {config.max_length}, but {config.model} reads {context} tokens at most; lower max_length"
        )


def _sequences(config: TrainConfig, rows: TrainingRows) -> int:
    """How many sequences an epoch has."""
    if rows.order is not None:
        length = {example.id: len(example.input_ids) for example in rows.train}
        lengths = [length[id] for id in rows.order.ids]
        return len(pack_in_order(lengths, config.max_length)) if config.packing else len(lengths)
    if not config.packing:
        return len(rows.train)
    return len(pack_dataset(to_dataset(rows.train).remove_columns("labels"), config.max_length))


def _adapter_parameters(config: TrainConfig, description: ModelDescription) -> int:
    """Parameters of the adapter, counted on a model without storage."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(description.config)
        model = attach_lora(model, rank=config.lora_rank, alpha=config.lora_alpha, targets=config.lora_targets)
    return count_parameters(model)[1]
