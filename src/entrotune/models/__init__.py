"""Getting and keeping a model: names, loading, the output head, adapters, saving."""

from entrotune.models.adapters import attach_lora, count_parameters
from entrotune.models.describe import ModelDescription, describe_model
from entrotune.models.head import Head, backbone, base_of, check_head, find_head, plain_logits
from entrotune.models.interpolation import (
    check_same_form,
    check_same_tokens,
    interpolate_into,
    whole_model,
    without_adapter,
)
from entrotune.models.loading import load_model, load_tokenizer
from entrotune.models.lstm import LSTMConfig, LSTMForCausalLM, make_lstm, make_transformer
from entrotune.models.modes import context_length, context_of, evaluation_mode
from entrotune.models.saving import save_model
from entrotune.models.sources import EMBEDDED, ModelSource, resolve_model
from entrotune.models.tree import check_tree, tree_loss

__all__ = [
    "EMBEDDED",
    "Head",
    "LSTMConfig",
    "LSTMForCausalLM",
    "ModelDescription",
    "ModelSource",
    "attach_lora",
    "backbone",
    "base_of",
    "check_head",
    "check_same_form",
    "check_same_tokens",
    "check_tree",
    "context_length",
    "context_of",
    "count_parameters",
    "describe_model",
    "evaluation_mode",
    "find_head",
    "interpolate_into",
    "load_model",
    "load_tokenizer",
    "make_lstm",
    "make_transformer",
    "plain_logits",
    "resolve_model",
    "save_model",
    "tree_loss",
    "whole_model",
    "without_adapter",
]
