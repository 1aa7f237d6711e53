"""Getting and keeping a model: names, loading, the output head, adapters, saving."""

from entrotune.models.adapters import attach_lora, count_parameters
from entrotune.models.head import Head, backbone, base_of, check_head, find_head, plain_logits
from entrotune.models.loading import load_model
from entrotune.models.saving import save_model
from entrotune.models.sources import EMBEDDED, ModelSource, resolve_model

__all__ = [
    "EMBEDDED",
    "Head",
    "ModelSource",
    "attach_lora",
    "backbone",
    "base_of",
    "check_head",
    "count_parameters",
    "find_head",
    "load_model",
    "plain_logits",
    "resolve_model",
    "save_model",
]
