"""What a run towards target distributions would do, told before weights are loaded."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from entrotune.data.targets import build_trie, split_sequences
from entrotune.experiments.diffuse_sets import DiffuseSets, groups_of, prepare_sets, read_sets
from entrotune.models import ModelDescription, attach_lora, count_parameters, describe_model
from entrotune.training.distribution import DiffuseConfig, precision_of


def plan_diffuse(config: DiffuseConfig) -> dict[str, Any]:
    """Sets, counts of tokens with and without the tree, steps and memory in bytes, from recipe and tokenizer alone.

    Activations as of `plan_training`: 34 bytes a position, layer and unit of width in half precision.

    Raises:
        UserError: targets or a recipe that cannot be used.
    """
    description = describe_model(config.model)
    read = read_sets(config)
    if config.is_study:
        groups_of(read)
    sets = prepare_sets(config, read, description.tokenizer, context=description.context)
    counts = sets.counts(config.rows_per_part)
    trained = [one for prefixes in sets.trained for one in prefixes]
    # Of several prefixes one is drawn a pass.
    a_pass = sum(_read(prefixes, config.rows_per_part) / len(prefixes) for prefixes in sets.trained)
    plainly = sum(
        (len(one.prompt.input_ids) + len(sequence)) / len(prefixes)
        for prefixes in sets.trained
        for one in prefixes
        for sequence in one.sequences
    )
    steps = -(-len(sets.trained) // config.sets_per_step) * config.passes
    runs = len(sets.groups) * len(config.each_seed) if config.is_study else 1
    return {
        "kind": "plan",
        "data": counts,
        "sets": [
            {
                "label": one.label,
                "targets": len(one.of.targets),
                "floor": one.of.floor,
                "prompt_tokens": len(one.prompt.input_ids),
                "tree_nodes": len(one.trie.children),
                "conflicts": len(one.conflicts),
            }
            for one in trained
        ],
        "runs": runs,
        "passes": config.passes,
        "steps": steps,
        "tokens_a_pass": round(a_pass),
        "tokens_a_pass_without_tree": round(plainly),
        "tokens_to_train": round(a_pass * config.passes),
        "samples": 2 * config.samples * len(sets.measured),
        **_memory(config, description, sets),
        "precision": precision_of(config),
    }


def _read(prefixes: Any, rows_per_part: int) -> int:
    """Positions that the model reads for a set with each of its prefixes."""
    return sum(_part_lengths(one, rows_per_part, total=True) for one in prefixes)


def _part_lengths(one: Any, rows_per_part: int, *, total: bool) -> int:
    lengths = [
        len(one.prompt.input_ids)
        + len(build_trie([one.sequences[at] for at in part], [one.of.weights[at] for at in part]).tokens)
        for part in split_sequences(one.sequences, rows_per_part)
    ]
    return sum(lengths) if total else max(lengths)


def _memory(config: DiffuseConfig, description: ModelDescription, sets: DiffuseSets) -> dict[str, Any]:
    text = description.config.get_text_config()
    lora = config.method == "lora"
    size = 2 if precision_of(config) == "bfloat16" else 4
    trained = _adapter_parameters(config, description) if lora else description.parameters
    longest = max(_part_lengths(one, config.rows_per_part, total=False) for each in sets.trained for one in each)
    memory = {
        "weights": description.parameters * (size if lora else 4) + (trained * 4 if lora else 0),
        "gradients": trained * 4,
        "optimizer": trained * 8,
        "activations": longest * text.num_hidden_layers * text.hidden_size * 17 * size,
    }
    return {
        "longest_part": longest,
        "parameters": description.parameters + (trained if lora else 0),
        "trainable_parameters": trained,
        "memory_bytes": memory | {"total": sum(memory.values())},
    }


def _adapter_parameters(config: DiffuseConfig, description: ModelDescription) -> int:
    """Parameters of the adapter, counted on a model without storage."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(description.config)
        model = attach_lora(model, rank=config.lora_rank, alpha=config.lora_alpha, targets=config.lora_targets)
    return count_parameters(model)[1]
