"""A model that can be asked for an objective instead of logits."""

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from entrotune.kernels import Reference, gradient_gram, linear_objective
from entrotune.models import backbone, find_head
from entrotune.objectives import GroupedObjective, Objective, RowStats
from entrotune.training.groups import behind_prompt


class Sealed:
    """Row statistics out of reach: FSDP2's mixed precision rounds every tensor it finds in an output to bfloat16."""

    def __init__(self, stats: RowStats) -> None:
        self.stats = stats


@dataclass
class ObjectiveOutput(ModelOutput):
    """What a forward pass with `objective=` returns.

    Attributes:
        loss: with gradient; FSDP2's mixed precision may have rounded it.
        rows: statistics without gradient, [batch, length − 1], the positions that predict a token (all positions where
            labels came shifted).
        aux_loss: of a mixture of experts, with gradient.
    """

    loss: Tensor | None = None
    rows: Sealed | None = None
    aux_loss: Tensor | None = None


class GradientProbe:
    """Asks forward passes for the inner products of the gradients of what names multiply in an objective.

    Args:
        objective: with the values of its names.
        names: those that are asked for.
        tokens: at most so many are measured in a pass.

    Attributes:
        found: of each pass the inner products, [names, names], a sum over tokens, and how many these were.
    """

    def __init__(self, objective: GroupedObjective, names: Sequence[str], tokens: int) -> None:
        self.objective, self.names, self.tokens = objective, names, tokens
        self.found: list[tuple[Tensor, int]] = []

    def measure(
        self,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        *,
        groups: Tensor | None,
        reference: Reference | None,
        **head: Any,
    ) -> None:
        """Take a pass's share; the arguments are those of `gradient_gram`."""
        open_objective, given = self.objective.objective, self.objective.coefficients(groups)
        found = gradient_gram(
            hidden,
            weight,
            targets,
            open_objective,
            self.names,
            tokens=self.tokens,
            coefficients=given,
            reference=reference,
            **head,
        )
        self.found.append(found)


def add_objective_head(model: PreTrainedModel, *, backend: str = "auto", chunk_bytes: int | None = None) -> None:
    """Let `model(..., labels=labels, objective=objective)` return an `ObjectiveOutput`; other calls are unchanged.

    `objective=` may be a `GroupedObjective`, with the group of each target as `groups=`; `probe=` takes a
    `GradientProbe`. `model(..., hidden_only=True)` returns its last hidden states, and `reference=` takes a `Reference`
    whose hidden states are those of another model at the same positions.

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
    def forward(
        self: PreTrainedModel,
        *args: Any,
        objective: Objective | GroupedObjective | None = None,
        hidden_only: bool = False,
        **kwargs: Any,
    ) -> Any:
        if hidden_only:
            return backbone(self)(*args, **kwargs).last_hidden_state
        if objective is None:
            return plain_forward(*args, **kwargs)
        return _objective_forward(self, objective, args, kwargs, backend=backend, chunk_bytes=chunk_bytes)

    forward.__signature__ = inspect.signature(plain_forward)  # type: ignore[attr-defined]
    model.forward = types.MethodType(forward, model)


def _objective_forward(
    model: PreTrainedModel,
    objective: Objective | GroupedObjective,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    backend: str,
    chunk_bytes: int | None,
) -> ObjectiveOutput:
    labels, shifted = kwargs.pop("labels", None), kwargs.pop("shift_labels", None)
    num_items, reference = kwargs.pop("num_items", None), kwargs.pop("reference", None)
    groups, probe = kwargs.pop("groups", None), kwargs.pop("probe", None)
    kwargs["use_cache"] = False
    outputs = backbone(model)(*args, **kwargs)
    hidden = outputs.last_hidden_state
    if shifted is None:
        # Position t predicts token t + 1.
        hidden, shifted = hidden[:, :-1], labels[:, 1:]
        reference = reference and replace(reference, hidden=reference.hidden[:, :-1])
    targets, found = shifted, []
    groups = groups if groups is None else behind_prompt(groups, targets)
    minimised, coefficients = _of_groups(objective, groups)

    def compute(hidden: Tensor) -> Tensor:
        head = find_head(model)
        options: dict[str, Any] = {
            "bias": head.bias,
            "logit_scale": head.logit_scale,
            "softcap": head.softcap,
            "reference": reference,
            "backend": backend,
            "chunk_bytes": chunk_bytes,
        }
        there = targets.to(hidden.device)
        if probe is not None:
            probe.measure(hidden, head.weight, there, groups=groups, **options)
        loss, stats = linear_objective(
            hidden,
            head.weight,
            there,
            minimised,
            coefficients=coefficients,
            num_items=num_items,
            **options,
        )
        found.append(stats)
        return loss

    loss = _with_whole_head(model, compute)(hidden.to(find_head(model).weight.device))
    return ObjectiveOutput(loss=loss, rows=Sealed(found[0]), aux_loss=_router_loss(model, outputs, kwargs))


def _of_groups(
    objective: Objective | GroupedObjective, groups: Tensor | None
) -> tuple[Objective, dict[str, float | Tensor] | None]:
    """The objective, and the values of its names where tokens do not share them."""
    if isinstance(objective, GroupedObjective):
        return objective.objective, objective.coefficients(groups)
    return objective, None


def _with_whole_head(model: PreTrainedModel, compute: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`compute`, with a head that FSDP2 has sharded gathered before, and its gradient reduced afterwards.

    FSDP2 does both in hooks around a module's forward, so `compute` stands in for the forward of the head's modules.
    To gather the weight by hand would leave its gradient unreduced.
    """
    # The inner one first, where PEFT wraps it.
    modules: list[Any] = [find_head(model).module, model.get_output_embeddings()]
    for module in dict.fromkeys(modules):
        if isinstance(module, FSDPModule):
            compute = functools.partial(_as_forward, module, compute)
    return compute


def _as_forward(module: Any, compute: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    before = module.__dict__.get("forward")
    module.forward = compute
    try:
        return module(hidden)
    finally:
        del module.forward
        if before is not None:
            module.forward = before


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
