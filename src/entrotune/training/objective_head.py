"""A model that can be asked for an objective instead of logits."""

import functools
import inspect
import types
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from entrotune.kernels import linear_objective
from entrotune.models import find_head
from entrotune.objectives import Objective


@dataclass
class ObjectiveOutput(ModelOutput):
    """What a forward pass with `objective=` returns: the loss with gradient, the rest per token and without.

    Shapes are [batch, length − 1], the positions that predict a token (all positions where labels came shifted).
    """

    loss: Tensor | None = None
    row_loss: Tensor | None = None
    nll: Tensor | None = None
    entropy: Tensor | None = None
    varentropy: Tensor | None = None
    is_top1: Tensor | None = None
    mask: Tensor | None = None
    aux_loss: Tensor | None = None


def add_objective_head(model: PreTrainedModel, *, backend: str = "auto", chunk_bytes: int | None = None) -> None:
    """Let `model(..., labels=labels, objective=objective)` return an `ObjectiveOutput`; other calls are unchanged.

    The backbone runs, then `linear_objective` on its last hidden states and the head, both looked up at each call
    because PEFT and FSDP replace them. Call it on the model inside a PEFT wrapper.

    Args:
        model: a causal language model; its `forward` is replaced on the instance.
        backend: of `linear_objective`.
        chunk_bytes: of `linear_objective`.
    """
    plain_forward = model.forward

    # `generate` reads the signature of forward to check its arguments, so the original one is kept.
    @functools.wraps(plain_forward)
    def forward(self: PreTrainedModel, *args: Any, objective: Objective | None = None, **kwargs: Any) -> Any:
        if objective is None:
            return plain_forward(*args, **kwargs)
        return _objective_forward(self, objective, args, kwargs, backend=backend, chunk_bytes=chunk_bytes)

    forward.__signature__ = inspect.signature(plain_forward)  # type: ignore[attr-defined]
    model.forward = types.MethodType(forward, model)


def _objective_forward(
    model: PreTrainedModel,
    objective: Objective,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    backend: str,
    chunk_bytes: int | None,
) -> ObjectiveOutput:
    labels, shifted = kwargs.pop("labels", None), kwargs.pop("shift_labels", None)
    num_items = kwargs.pop("num_items", None)
    kwargs["use_cache"] = False
    outputs = model.base_model(*args, **kwargs)
    hidden = outputs.last_hidden_state
    if shifted is None:
        # Position t predicts token t + 1.
        hidden, shifted = hidden[:, :-1], labels[:, 1:]
    head = find_head(model)
    device = head.weight.device
    loss, stats = linear_objective(
        hidden.to(device),
        head.weight,
        shifted.to(device),
        objective,
        num_items=num_items,
        bias=head.bias,
        logit_scale=head.logit_scale,
        softcap=head.softcap,
        backend=backend,
        chunk_bytes=chunk_bytes,
    )
    names = ("nll", "entropy", "varentropy", "is_top1", "mask")
    return ObjectiveOutput(
        loss=loss,
        row_loss=stats.loss,
        **{name: getattr(stats, name) for name in names},
        aux_loss=_router_loss(model, outputs, kwargs),
    )


def _router_loss(model: PreTrainedModel, outputs: Any, kwargs: dict[str, Any]) -> Tensor | None:
    """The load-balancing loss of a mixture of experts, unweighted; None where no router logits were asked for."""
    if not kwargs.get("output_router_logits"):
        return None
    # All families of transformers share this one.
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    config = model.config.get_text_config()
    loss = load_balancing_loss_func(
        outputs.router_logits,
        getattr(config, "num_experts", None) or config.num_local_experts,
        config.num_experts_per_tok,
        kwargs.get("attention_mask"),
    )
    return loss if isinstance(loss, Tensor) else torch.zeros((), device=outputs.last_hidden_state.device)
