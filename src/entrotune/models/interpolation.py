"""Weights between a model and a tuned copy of it (WiSE-FT, arXiv 2109.01903; for language models 2504.10478)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from entrotune.errors import UserError
from entrotune.models.head import base_of
from entrotune.models.loading import attach_adapter, load_model
from entrotune.models.sources import ModelSource, resolve_model

# What a forward pass depends on and no shape shows.
_FORM = ("num_attention_heads", "num_key_value_heads", "head_dim", "hidden_act", "rope_parameters", "rms_norm_eps")
_HALVES = (torch.bfloat16, torch.float16)
_NAMED = 3


def whole_model(name: str | Path) -> tuple[Any, Any]:
    """Load a model with its adapter, if it has one, merged into the weights; in the precision of its files, on the CPU.

    An adapter is added to half-precision weights in float32, so that what it adds is not rounded on the way; the sum
    has the precision of the base.

    Raises:
        UserError: as `load_model`; weights that are quantised, or an adapter that is no change of weights.
    """
    source = resolve_model(name)
    if source.base is None:
        model, tokenizer = load_model(name, dtype="auto", device="cpu")
        _check_floating(model, source)
        return model, tokenizer
    assert source.path is not None
    model, tokenizer = whole_model(source.base.name)
    half = {key: weight.dtype for key, weight in model.state_dict().items() if weight.dtype in _HALVES}
    _set_weights(model, {key: weight.float() for key, weight in model.state_dict().items() if key in half})
    model, tokenizer = attach_adapter(model, tokenizer, source.path, source.name)
    model = without_adapter(model)
    _set_weights(model, {key: weight.to(half[key]) for key, weight in model.state_dict().items() if key in half})
    return model, tokenizer


def without_adapter(model: Any) -> Any:
    """A model with its adapter, if it has one, merged into its weights.

    Raises:
        UserError: an adapter that is no change of weights.
    """
    base = base_of(model)  # refuses prompt learning
    return base if base is model else model.merge_and_unload()


def interpolate_into(tuned: nn.Module, start: nn.Module, share: float) -> None:
    """Replace each weight of `tuned` by (1 − share)·start + share·tuned.

    The sum is taken in float64 and rounded once, to the wider of both precisions; at 0 and 1 the weights are those of
    the one or the other, bit for bit. Weights that are tied stay tied. `start` is not changed; it may be on another
    device.

    Raises:
        UserError: a share outside [0, 1], or models of another architecture, form, tied head, name or shape of weights.
    """
    if not 0 <= share <= 1:
        raise UserError(f"interpolate must be from 0 (the start) to 1 (the tuned model), not {share}")
    check_same_form(start, tuned)
    found = start.state_dict()
    between = {
        name: _between(found[name], weight, share)
        for name, weight in tuned.state_dict().items()
        if weight.is_floating_point()
    }
    _set_weights(tuned, between)


def _between(ours: Tensor, theirs: Tensor, share: float) -> Tensor:
    dtype = torch.promote_types(ours.dtype, theirs.dtype)
    if share in (0, 1):
        return (theirs if share else ours).to(theirs.device, dtype, copy=True)
    # On the CPU, as not every accelerator has float64.
    return ((1 - share) * ours.cpu().double() + share * theirs.cpu().double()).to(theirs.device, dtype)


def check_same_form(start: nn.Module, tuned: nn.Module) -> None:
    """Raise `UserError` where two models are not the same but for the values of their weights."""
    kinds = [type(model).__name__ for model in (start, tuned)]
    if kinds[0] != kinds[1]:
        raise UserError(f"the start is a {kinds[0]} and the tuned model a {kinds[1]}; only like can be interpolated")
    forms = [_form(model) for model in (start, tuned)]
    for key, value in forms[0].items():
        if forms[1][key] != value:
            raise UserError(f"{key} is {value} in the start and {forms[1][key]} in the tuned model; they do not fit")
    ours, theirs = start.state_dict(), tuned.state_dict()
    for one, other, where in ((ours, theirs, "tuned model"), (theirs, ours, "start")):
        missing = sorted(one.keys() - other.keys())
        if missing:
            raise UserError(f"the {where} lacks {len(missing)} weights that the other has: {_listed(missing)}")
    other_shapes = [name for name, weight in theirs.items() if weight.shape != ours[name].shape]
    if other_shapes:
        first = other_shapes[0]
        raise UserError(
            f"{len(other_shapes)} weights have another shape ({_listed(other_shapes)}): {first} is "
            f"{list(ours[first].shape)} in the start and {list(theirs[first].shape)} in the tuned model"
        )
    other_buffers = [
        name
        for name, weight in theirs.items()
        if not weight.is_floating_point() and not torch.equal(weight.cpu(), ours[name].cpu())
    ]
    if other_buffers:
        raise UserError(f"{_listed(other_buffers)} are whole numbers and differ, so nothing lies between them")


def check_same_tokens(start: Any, tuned: Any) -> None:
    """Raise `UserError` where two tokenizers do not have the same tokens at the same places."""
    ours, theirs = start.get_vocab(), tuned.get_vocab()
    differing = sorted(token for token in ours.keys() | theirs.keys() if ours.get(token) != theirs.get(token))
    if differing:
        first = differing[0]
        places = " and ".join(
            f"{vocabulary.get(first, 'absent')} in the {whose}"
            for vocabulary, whose in ((ours, "start"), (theirs, "tuned model"))
        )
        raise UserError(
            f"the tokenizers differ in {len(differing)} tokens, {first!r} among them ({places}); only models of one "
            "vocabulary can be interpolated"
        )


def _form(model: Any) -> Mapping[str, Any]:
    config = model.config.get_text_config()
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    return {"a head tied to the embeddings": tied} | {key: getattr(config, key, None) for key in _FORM}


def _set_weights(model: Any, weights: Mapping[str, Tensor]) -> None:
    """Give a model these weights, each in its own precision; one that is tied has one name among the parameters."""
    with torch.no_grad():
        for name, parameter in (*model.named_parameters(), *model.named_buffers()):
            if name in weights:
                parameter.data = weights[name]


def _check_floating(model: nn.Module, source: ModelSource) -> None:
    quantised = [name for name, weight in model.named_parameters() if not weight.is_floating_point()]
    if quantised or getattr(model, "quantization_method", None) is not None:
        raise UserError(f"the weights of '{source.name}' are quantised; give the model as it was before that")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
