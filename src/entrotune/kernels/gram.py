"""How the losses of an objective pull at the hidden states they share: inner products of their gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from entrotune.kernels.eager import eager
from entrotune.kernels.linear import Reference, linear_objective
from entrotune.objectives import Objective


@eager
def gradient_gram(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    objective: Objective,
    names: Sequence[str],
    *,
    tokens: int,
    coefficients: Mapping[str, float | Tensor],
    reference: Reference | None = None,
    ignore_index: int = -100,
    **head: Any,
) -> tuple[Tensor, int]:
    """Σ over tokens of ⟨∂Lᵢ/∂h, ∂Lⱼ/∂h⟩, where Lᵢ is what the i-th name multiplies in the objective; no gradient.

    Hidden states of different tokens are different rows, so the sums of batches and ranks add up to that of all.

    Args:
        hidden: [..., D].
        weight: [V, D].
        targets: [...], `ignore_index` where there is nothing to learn.
        objective: with names.
        names: those of the losses.
        tokens: at most so many supervised tokens are measured, spread evenly; each takes a pass for every name.
        coefficients: of the other names, as of `linear_objective`.
        reference: as of `linear_objective`.
        ignore_index: the target that marks a position as not supervised.
        head: what else `linear_objective` takes.

    Returns:
        The inner products, [names, names], float64, and of how many tokens.
    """
    chosen = (targets.reshape(-1) != ignore_index).nonzero().view(-1)
    if chosen.numel() > tokens:
        chosen = chosen[torch.linspace(0, chosen.numel() - 1, tokens, device=chosen.device).round().long()]

    def taken(values: Tensor) -> Tensor:
        return values.detach().reshape(-1, *values.shape[targets.dim() :])[chosen]

    rows, given = taken(hidden), {n: taken(v) if isinstance(v, Tensor) else v for n, v in coefficients.items()}
    other = None if reference is None else replace(reference, hidden=taken(reference.hidden))
    grads = []
    for name in names:
        loss = objective.share(name)
        with torch.enable_grad():
            at = rows.clone().requires_grad_()
            value, _ = linear_objective(
                at,
                weight.detach(),
                taken(targets),
                loss,
                coefficients={n: given[n] for n in loss.names},
                num_items=1,
                reference=other if loss.needs.reference else None,
                ignore_index=ignore_index,
                **head,
            )
            grads.append(torch.autograd.grad(value, [at])[0].double().view(-1))
    stacked = torch.stack(grads)
    return stacked @ stacked.T, int(chosen.numel())
