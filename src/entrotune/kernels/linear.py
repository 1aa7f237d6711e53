"""`linear_objective`: any objective of hidden states and a head, without the logits ever existing in full."""

import math

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from entrotune.errors import UserError
from entrotune.kernels.torch_backend import Head, Plan, torch_linear_objective
from entrotune.objectives import Objective, RowStats, Term

BACKENDS = ("auto", "reference", "torch")


def linear_objective(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    objective: Objective | Term | str,
    *,
    num_items: int | Tensor | None = None,
    ignore_index: int = -100,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    backend: str = "auto",
    chunk_bytes: int | None = None,
) -> tuple[Tensor, RowStats]:
    """The objective of `hidden @ weight.T`, summed over supervised tokens and divided by `num_items`.

    Equal to `objective.from_logits(softcap((hidden @ weight.T + bias) * logit_scale) / temperature, targets)`, where
    softcap(x) = cap·tanh(x / cap), but the [N, V] logits never exist: chunks of tokens pass through one buffer and the
    gradient is formed on the way, so the backward pass only scales it. Statistics are float32 (float64 for float64
    input); dWeight is accumulated in float32. Under autocast the products run in autocast's precision.

    Args:
        hidden: [..., D].
        weight: [V, D]; a sharded `DTensor` is gathered once.
        targets: [...], token ids, `ignore_index` where there is nothing to learn.
        objective: an `Objective`, a term or text such as `"ce - 0.1*entropy"`.
        num_items: what to divide the sum by, so that any split into micro-batches and ranks adds up to the same
            loss; by default the number of supervised tokens of this call (at least 1).
        ignore_index: the target that marks a position as not supervised.
        bias: [V]; −inf marks a token that cannot be, such as padding of the vocabulary.
        logit_scale: the model's own factor on the logits.
        softcap: the model's own soft cap (Gemma), after the scale.
        temperature: divides the logits last; 1.0 in training.
        backend: `"reference"` (autograd over full logits), `"torch"` (fused, any device) or `"auto"`.
        chunk_bytes: memory for the logits of one chunk; by default 64 MiB on a CPU and 1 GiB elsewhere.

    Returns:
        The loss, a scalar (0 and finite where no token is supervised), and statistics in the shape of `targets`.

    Raises:
        ValueError: shapes, dtypes, targets, scale or backend do not fit.
    """
    objective = Objective(objective)
    if isinstance(weight, DTensor):
        weight = weight.full_tensor()
    if isinstance(bias, DTensor):
        bias = bias.full_tensor()
    head = Head(logit_scale, softcap, temperature)
    _check(hidden, weight, targets, bias=bias, head=head, backend=backend, chunk_bytes=chunk_bytes)
    mask = targets != ignore_index
    hidden_MD, targets_M = hidden[mask], targets[mask]
    _check_targets(targets_M, weight.shape[0])
    if backend == "reference":
        logits = _logits(hidden_MD, weight, bias, head)
        loss, stats = objective.from_logits(logits, targets_M, num_items=num_items)
        return loss, stats.placed(mask)
    grad = torch.is_grad_enabled()
    plan = Plan(
        objective,
        head,
        hidden_grad=grad and hidden.requires_grad,
        weight_grad=grad and weight.requires_grad,
        bias_grad=grad and bias is not None and bias.requires_grad,
        dtype=_product_dtype(hidden, weight),
        chunk_bytes=chunk_bytes,
    )
    total, loss_M, rows = torch_linear_objective(hidden_MD, weight, bias, targets_M, plan)
    count = max(1, targets_M.numel()) if num_items is None else num_items
    return total / count, RowStats.scatter(rows, loss_M, mask)


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, head: Head) -> Tensor:
    """Full logits, in float32 or better, differentiable."""
    high = torch.promote_types(hidden.dtype, torch.float32)
    logits = hidden.to(high) @ weight.to(high).T
    if bias is not None:
        logits = logits + bias.to(high)
    logits = logits * head.scale
    if head.softcap is not None:
        logits = torch.tanh(logits / head.softcap) * head.softcap
    return logits / head.temperature


def _product_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    if torch.is_autocast_enabled(hidden.device.type) and weight.dtype != torch.float64:
        return torch.get_autocast_dtype(hidden.device.type)
    if hidden.dtype != weight.dtype:
        raise UserError(
            f"hidden states are {hidden.dtype} and the head is {weight.dtype}; convert one, or run under autocast"
        )
    return weight.dtype


def _check(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None,
    head: Head,
    backend: str,
    chunk_bytes: int | None,
) -> None:
    if backend not in BACKENDS:
        raise UserError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)}")
    if weight.dim() != 2 or hidden.shape[-1:] != weight.shape[1:]:
        raise UserError(f"hidden {tuple(hidden.shape)} and weight {tuple(weight.shape)} need [..., D] and [V, D]")
    if hidden.shape[:-1] != targets.shape:
        raise UserError(
            f"hidden {tuple(hidden.shape)} needs targets {tuple(hidden.shape[:-1])}, got {tuple(targets.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise UserError(f"bias {tuple(bias.shape)} needs the shape {tuple(weight.shape[:1])} of the vocabulary")
    if targets.is_floating_point():
        raise UserError(f"targets are token ids, not {targets.dtype}")
    for name, value in (("logit_scale", head.scale), ("softcap", head.softcap), ("temperature", head.temperature)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"{name} must be a number above 0, not {value}")
    if chunk_bytes is not None and chunk_bytes < 1:
        raise UserError(f"chunk_bytes must be at least 1, not {chunk_bytes}")


def _check_targets(targets_M: Tensor, vocabulary: int) -> None:
    if targets_M.numel() and not (int(targets_M.min()) >= 0 and int(targets_M.max()) < vocabulary):
        low, high = int(targets_M.min()), int(targets_M.max())
        raise UserError(f"targets reach from {low} to {high}, outside the vocabulary of {vocabulary} tokens")
