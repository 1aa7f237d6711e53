"""The output head: the matrix that turns hidden states into logits, and what the model does to its product.

logits = softcap * tanh((hidden @ weight.T + bias) * logit_scale / softcap)      (no cap where softcap is None)
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from entrotune.errors import UserError
from entrotune.models.modes import evaluation_mode

_SOFTCAP_NAMES = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
_SCALE_NAMES = ("logit_scale", "output_multiplier", "lm_head_multiplier")
_DIVISOR_NAMES = ("logits_scaling", "logits_mup_width_multiplier")


@dataclass(frozen=True)
class Head:
    """A model's output head.

    Attributes:
        module: the module that holds the weight in use (the trained copy where PEFT keeps two).
        weight: [V, D].
        bias: [V] or None.
        logit_scale: multiplies the product, before the cap.
        softcap: bounds the logits by softcap·tanh(logits/softcap); None for no cap.
    """

    module: nn.Module
    weight: Tensor
    bias: Tensor | None
    logit_scale: float
    softcap: float | None


def base_of(model: Any) -> Any:
    """The transformers model inside a PEFT wrapper, adapters in place; any other model as it is.

    Raises:
        UserError: a prompt-learning adapter, whose virtual tokens exist only in PEFT's own forward.
    """
    if not hasattr(model, "peft_config") or not hasattr(model, "get_base_model"):
        return model
    if any(config.is_prompt_learning for config in model.peft_config.values()):
        raise UserError("prompt-learning adapters are not supported; use LoRA or a full fine-tune")
    return model.get_base_model()


def backbone(model: nn.Module) -> nn.Module:
    """The model without its head: its output's `last_hidden_state` [B, T, D] is what the head multiplies.

    Raises:
        UserError: the model does not say which of its modules that is.
    """
    base = base_of(model)
    if base.base_model is base:
        raise UserError(f"{type(base).__name__} does not say which module is its backbone, so its head stays unknown")
    return base.base_model


def find_head(model: nn.Module) -> Head:
    """Find the output head of a causal language model, through PEFT wrappers.

    Raises:
        UserError: no head, an encoder beside the decoder, or an adapter on the head (LoRA, trained tokens): a fused
            loss, which multiplies by the weight itself, would ignore that adapter. A head trained whole
            (`modules_to_save`) is fine.
    """
    base = base_of(model)
    module = base.get_output_embeddings()
    if module is None:
        raise UserError(f"model {type(base).__name__} has no output head; expected a causal language model")
    if getattr(base.config, "is_encoder_decoder", False):
        raise UserError(f"{type(base).__name__} is an encoder with a decoder; expected a causal language model")
    module = _trained_copy(module)
    bias = getattr(module, "bias", None)
    config = base.config.get_text_config()
    return Head(module, module.weight, bias, _logit_scale(config), _softcap(config))


def check_head(model: nn.Module) -> None:
    """Compare hidden·weightᵀ, scaled and capped, with the model's own logits on four tokens.

    Raises:
        UserError: they differ: this family does something to its hidden states or logits that `find_head` does not
            know. Or the logits are not numbers, or the two factors differ in precision and there is no autocast.
    """
    head, name = find_head(model), type(base_of(model)).__name__
    device = head.weight.device
    ids = torch.arange(1, 5, device=device)[None] % head.weight.shape[0]
    with evaluation_mode(model):
        hidden = backbone(model)(input_ids=ids, use_cache=False).last_hidden_state.to(device)
        if hidden.dtype != head.weight.dtype and not torch.is_autocast_enabled(device.type):
            raise UserError(
                f"hidden states of {name} are {hidden.dtype} and the head is {head.weight.dtype}; convert one, or run "
                "under autocast"
            )
        if hidden.shape[-1] != head.weight.shape[1]:
            raise UserError(
                f"the output head of {name} is not understood: hidden states are {hidden.shape[-1]} wide and its "
                f"weight is {tuple(head.weight.shape)}"
            )
        ours = plain_logits(hidden, head)
        theirs = base_of(model)(input_ids=ids, use_cache=False).logits.to(device)
    if ours.shape != theirs.shape:
        raise UserError(
            f"the output head of {name} is not understood: it gives {theirs.shape[-1]} logits and its weight has "
            f"{ours.shape[-1]} rows"
        )
    if theirs.isnan().any():
        raise UserError(f"{name} gives logits that are not numbers (nan), so its weights are broken")
    # Both sides round to their precision in a different order; a missed scale is off by far more than this.
    eps = max(torch.finfo(dtype).eps for dtype in (head.weight.dtype, ours.dtype, theirs.dtype))
    ours, theirs = ours.float(), theirs.float()
    tolerance = 64 * eps * theirs.where(theirs.isfinite(), 0.0).abs().max().clamp(min=1.0).item()
    others = (ours - theirs)[~torch.isclose(ours, theirs, rtol=0, atol=tolerance)]  # -inf is -inf
    if others.numel():
        raise UserError(f"the output head of {name} is not understood: logits differ by {others.abs().max():.3g}")


def plain_logits(hidden: Tensor, head: Head) -> Tensor:
    """Logits [..., V] of hidden states [..., D], as the model computes them. Materialises them: for few rows."""
    logits = nn.functional.linear(hidden, head.weight, head.bias) * head.logit_scale
    return logits if head.softcap is None else head.softcap * torch.tanh(logits / head.softcap)


def _trained_copy(module: Any) -> Any:
    try:
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper, ModulesToSaveWrapper
    except ImportError:  # without PEFT nothing is wrapped
        return module
    if isinstance(module, ModulesToSaveWrapper):
        if module.disable_adapters or not module.active_adapters:
            return module.original_module
        return module.modules_to_save[module.active_adapters[0]]
    if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper):
        raise UserError(
            "there is an adapter on the output head, which a fused loss would ignore; "
            "leave the head out of the adapter's targets, or train it whole through modules_to_save"
        )
    return module


def _logit_scale(config: Any) -> float:
    for name in _SCALE_NAMES:
        value = getattr(config, name, None)
        if isinstance(value, int | float):  # MPT's may be a word, which its own forward does not use
            return float(value)
    divisor = next((value for name in _DIVISOR_NAMES if (value := getattr(config, name, None)) is not None), 1.0)
    # Granite, MiniCPM3 and Inkling divide by it; HyperCLOVA X multiplies.
    return float(divisor) if config.model_type == "hyperclovax" else 1.0 / float(divisor)


def _softcap(config: Any) -> float | None:
    for name in _SOFTCAP_NAMES:
        value = getattr(config, name, None)
        if value is not None:
            return float(value)
    return None
