"""`linear_objective`: any objective of hidden states and a head, without the logits ever existing in full."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from entrotune.errors import UserError
from entrotune.kernels.checks import check_call, check_targets
from entrotune.kernels.chunks import fused_linear_objective
from entrotune.kernels.eager import eager
from entrotune.kernels.plan import Head, Plan, Stream
from entrotune.kernels.torch_rows import TorchRows
from entrotune.kernels.triton_backend import triton_rows, triton_runs
from entrotune.objectives import Objective, RowStats, Term, row_weights
from entrotune.objectives.objective import divisor


@dataclass(frozen=True)
class Reference:
    """A second model's rows, for terms such as `kl(ref)`. They get no gradient, and their logits never exist in full.

    Attributes:
        hidden: [..., E], at the positions of the targets; its width may differ from the model's.
        weight: [V, E], over the model's own vocabulary.
        bias: [V].
        logit_scale: the reference's own factor on its logits.
        softcap: the reference's own soft cap.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None = None
    logit_scale: float = 1.0
    softcap: float | None = None


@eager
def linear_objective(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    objective: Objective | Term | str,
    *,
    coefficients: Mapping[str, float | Tensor] | None = None,
    num_items: int | Tensor | None = None,
    ignore_index: int = -100,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reference: Reference | None = None,
    logits_dtype: torch.dtype | None = None,
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
        weight: [V, D]; a sharded `DTensor` is gathered once, and its gradient counts as that of ranks which share their
            rows (tensor parallelism). Where ranks have rows of their own, as under FSDP, gather it by the module's
            hooks, as `EntropicTrainer` does.
        targets: [...], token ids, `ignore_index` where there is nothing to learn.
        objective: an `Objective`, a term or text such as `"ce - 0.1*entropy"`.
        coefficients: for each name in the objective a number, or one for each target, [...]: tokens need not share it.
        num_items: what to divide the sum by, so that any split into micro-batches and ranks adds up to the same
            loss; by default the number of supervised tokens of this call (at least 1).
        ignore_index: the target that marks a position as not supervised.
        bias: [V]; −inf marks a token that cannot be, such as padding of the vocabulary.
        logit_scale: the model's own factor on the logits.
        softcap: the model's own soft cap (Gemma), after the scale.
        temperature: divides the logits last, those of the reference too; 1.0 in training.
        reference: what terms such as `kl(ref)` compare with.
        logits_dtype: of the logits that statistics are taken of; by default that of the products' inputs.
            `torch.float32` spares them a rounding to half precision, at one and a half times the memory.
        backend: `"reference"` (autograd over full logits), `"torch"` (fused, any device), `"triton"` (fused, CUDA; on
            a CPU only in Triton's interpreter) or `"auto"`: triton on CUDA where it is installed and the precision is
            not float64, else torch.
        chunk_bytes: memory for what is as wide as the vocabulary; by default 64 MiB on a CPU, and elsewhere 1 GiB, or
            2 GiB from 200,000 tokens of vocabulary on.

    Returns:
        The loss, a scalar (0 and finite where no token is supervised), and statistics in the shape of `targets`.

    Raises:
        ValueError: shapes, dtypes, targets, scale, reference or backend do not fit. On CUDA a target outside the
            vocabulary is found by the device, as in PyTorch's own losses.
    """
    objective = _with_numbers(Objective(objective), coefficients)
    objective.check_reference(reference is not None, "reference")
    weight, bias = _whole(weight), None if bias is None else _whole(bias)
    head = Head(logit_scale, softcap, temperature)
    check_call(hidden, weight, targets, bias=bias, head=head, backend=backend, chunk_bytes=chunk_bytes)
    mask = targets != ignore_index
    kept = _Kept(mask)
    stream, targets_M = Stream(kept.of(hidden), weight, bias, head), kept.of(targets).long()
    other = None if reference is None else _reference_stream(reference, kept, targets, weight.shape[0], temperature)
    check_targets(targets_M, weight.shape[0])
    weights_TM = _row_weights(objective, coefficients, kept, stream) if objective.names else None
    if backend == "reference":
        other_logits = None if other is None else _logits(other)
        loss, stats = objective.from_logits(
            _logits(stream), targets_M, reference_logits=other_logits, weights=weights_TM, num_items=num_items
        )
        return loss, stats.placed(mask)
    plan = _plan(stream, objective, weights_TM, logits_dtype, chunk_bytes)
    total, loss_M, rows = fused_linear_objective(stream, other, targets_M, plan, _rows_of(backend, plan))
    return total / divisor(num_items, targets_M.numel()), RowStats.scatter(rows, loss_M, mask)


class _Kept:
    """The supervised positions. Finding them waits for the device once; where all are supervised nothing is copied."""

    def __init__(self, mask: Tensor) -> None:
        self.index = mask.reshape(-1).nonzero().view(-1)
        self.all = self.index.numel() == mask.numel()
        self.shape, self.dims = mask.shape, mask.dim()

    def of(self, values: Tensor) -> Tensor:
        """[..., *rest] → [M, *rest]."""
        flat = values.reshape(-1, *values.shape[self.dims :])
        return flat if self.all else flat.index_select(0, self.index)


def _whole(tensor: Tensor) -> Tensor:
    """A sharded tensor gathered, once for the whole call."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _reference_stream(
    reference: Reference, kept: _Kept, targets: Tensor, vocabulary: int, temperature: float
) -> Stream:
    weight, bias = _whole(reference.weight), None if reference.bias is None else _whole(reference.bias)
    head = Head(reference.logit_scale, reference.softcap, temperature)
    try:
        check_call(reference.hidden, weight, targets, bias=bias, head=head, backend="auto", chunk_bytes=None)
    except UserError as error:
        raise UserError(f"the reference: {error}") from None
    if weight.shape[0] != vocabulary:
        raise UserError(
            f"the reference has a vocabulary of {weight.shape[0]:,} tokens and the model one of {vocabulary:,}; they "
            "must be the same (rows that only pad one of them can be cut off its weight)"
        )
    return Stream(kept.of(reference.hidden.detach()), weight.detach(), None if bias is None else bias.detach(), head)


def _with_numbers(objective: Objective, coefficients: Mapping[str, float | Tensor] | None) -> Objective:
    """The objective with its numbers, where all rows share them; else with the names that rows have values for."""
    if coefficients is None:
        objective.check_values()
    elif not any(isinstance(value, Tensor) for value in coefficients.values()):
        return objective.with_coefficients(coefficients)  # type: ignore[arg-type]
    return objective


def _row_weights(
    objective: Objective, coefficients: Mapping[str, float | Tensor] | None, kept: _Kept, stream: Stream
) -> Tensor:
    """The weight of each term in each supervised row, [T, M]."""
    shape = kept.shape
    for name, value in (coefficients or {}).items():
        if isinstance(value, Tensor) and value.shape != shape:
            raise UserError(
                f"the coefficient {name} {tuple(value.shape)} needs the shape {tuple(shape)} of the targets"
            )
    dtype = torch.float64 if stream.weight.dtype == torch.float64 else torch.float32
    like = torch.empty(stream.hidden.shape[0], dtype=dtype, device=stream.hidden.device)
    values = {
        name: kept.of(value).to(like) if isinstance(value, Tensor) else value
        for name, value in (coefficients or {}).items()
    }
    return row_weights(objective, values, like)


def _plan(
    stream: Stream,
    objective: Objective,
    weights: Tensor | None,
    logits_dtype: torch.dtype | None,
    chunk_bytes: int | None,
) -> Plan:
    grad = torch.is_grad_enabled()
    dtype = _product_dtype(stream.hidden, stream.weight)
    logits_dtype = logits_dtype or dtype
    if torch.promote_types(dtype, logits_dtype) != logits_dtype:
        raise UserError(f"logits_dtype {logits_dtype} is narrower than {dtype}, the precision of the products")
    return Plan(
        objective,
        hidden_grad=grad and stream.hidden.requires_grad,
        weight_grad=grad and stream.weight.requires_grad,
        bias_grad=grad and stream.bias is not None and stream.bias.requires_grad,
        product_dtype=dtype,
        logits_dtype=logits_dtype,
        chunk_bytes=chunk_bytes,
        device=stream.hidden.device,
        weights=weights,
    )


def _rows_of(backend: str, plan: Plan) -> Any:
    if backend == "torch" or (backend == "auto" and not triton_runs(plan.device, plan.stats_dtype)):
        return TorchRows
    return triton_rows(plan)


def _logits(stream: Stream) -> Tensor:
    """Full logits, in float32 or better, differentiable."""
    high, head = torch.promote_types(stream.hidden.dtype, torch.float32), stream.head
    logits = stream.hidden.to(high) @ stream.weight.to(high).T
    if stream.bias is not None:
        logits = logits + stream.bias.to(high)
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
