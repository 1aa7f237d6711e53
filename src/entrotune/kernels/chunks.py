"""The fused linear objective: chunks of tokens through one buffer, the gradient formed in the forward pass.

Shapes: M supervised tokens, C tokens of a chunk, T terms, D width, V vocabulary.
"""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from entrotune.kernels.plan import Plan, Stream
from entrotune.kernels.products import product
from entrotune.objectives import Rows

# What a row pass leaves behind: the objective's value, then the first fields of `Rows` after the vocabulary.
STATISTICS = ("loss", "max_logit", "log_mass", "target_gap", "entropy", "varentropy")


class RowKernel(Protocol):
    """What a backend does with the rows of a chunk."""

    def __call__(
        self,
        products_CV: Tensor,
        reference_CV: Tensor | None,
        targets_C: Tensor,
        weights_TC: Tensor | None,
        stats: Tensor,
        grad_CV: Tensor,
    ) -> None:
        """Turn products hidden · weightᵀ into statistics [6, C] and, where wanted, the gradient with respect to them.

        The products are overwritten; `grad_CV` may be the same buffer. Rows of both have room for `width` columns.
        `weights_TC` are those of the terms in each row, where rows do not share them.
        """


def fused_linear_objective(
    stream: Stream, reference: Stream | None, targets_M: Tensor, plan: Plan, backend: Any
) -> tuple[Tensor, Tensor, Rows]:
    """The objective summed over M rows (differentiable), per row [M], and the statistics.

    Args:
        backend: a class whose instances are row kernels, with `width(vocabulary)`, columns of the buffers,
            `beside(plan)`, bytes an entry of a row takes in its own, and `scaled(tensor, factor, dtype)`, a tensor
            times a scalar tensor, in a precision.
    """
    outputs = _LinearObjective.apply(
        stream.hidden, stream.weight, stream.bias, (stream.head, reference, targets_M, plan, backend)
    )
    total, stats = outputs
    return total, stats[0], Rows(stream.weight.shape[0], *stats[1:].unbind(0))


class _LinearObjective(torch.autograd.Function):
    """Forward computes loss, statistics and gradients; backward only scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, rest: Any) -> tuple[Tensor, Tensor]:
        head, reference, targets, plan, backend = rest
        with torch.autocast(hidden.device.type, enabled=False):
            stats, grads = _run(Stream(hidden, weight, bias, head), reference, targets, plan, backend)
        ctx.dtypes = [None if t is None else t.dtype for t in (hidden, weight, bias)]
        ctx.scaled = backend.scaled
        ctx.save_for_backward(*grads)
        ctx.mark_non_differentiable(stats)
        return stats[0].sum(), stats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        # New tensors: the saved ones stay as they are, so that a retained graph can be walked again.
        pairs = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *(None if grad is None else ctx.scaled(grad, upstream, dtype) for grad, dtype in pairs), None


def _run(
    stream: Stream, reference: Stream | None, targets: Tensor, plan: Plan, backend: Any
) -> tuple[Tensor, list[Tensor | None]]:
    """Statistics [6, M] and the three unscaled gradients."""
    (total, _), vocabulary, device = stream.hidden.shape, stream.weight.shape[0], stream.hidden.device
    head_VD = stream.weight.to(plan.product_dtype)
    other_VE = None if reference is None else reference.weight.to(plan.product_dtype)
    stats = torch.empty(len(STATISTICS), total, dtype=plan.stats_dtype, device=device)
    sums = _Gradients(stream, plan)
    width = backend.width(vocabulary)
    chunk = min(plan.chunk_rows(width, beside=backend.beside(plan)), max(1, total))
    rows = backend(plan, stream, reference, chunk)

    def buffer(dtype: torch.dtype) -> Tensor:
        return torch.empty(chunk, width, dtype=dtype, device=device)[:, :vocabulary]

    logits_CV = buffer(plan.logits_dtype)
    grad_CV = buffer(plan.product_dtype) if plan.separate_gradient else logits_CV
    other_CV = None if reference is None else buffer(plan.logits_dtype)
    for start in range(0, total, chunk):
        part = slice(start, min(start + chunk, total))
        hidden_CD = stream.hidden[part].to(plan.product_dtype)
        count = hidden_CD.shape[0]
        products = product(hidden_CD, head_VD.T, logits_CV[:count])
        other = None
        if reference is not None and other_CV is not None and other_VE is not None:
            other = product(reference.hidden[part].to(plan.product_dtype), other_VE.T, other_CV[:count])
        weights = None if plan.weights is None else plan.weights[:, part]
        rows(products, other, targets[part], weights, stats[:, part], grad_CV[:count])
        sums.add(part, grad_CV[:count], hidden_CD, head_VD)
    return stats, [sums.hidden, sums.weight, sums.bias]


class _Gradients:
    """Gradients of hidden states, head and bias, summed over chunks.

    dHidden is summed once per row, so the products' precision does; dWeight and dBias are summed over chunks, so in
    float32: rounding them at every chunk biases entropy.
    """

    def __init__(self, stream: Stream, plan: Plan) -> None:
        hidden, weight, bias = stream.hidden, stream.weight, stream.bias
        self.hidden = torch.empty_like(hidden, dtype=plan.product_dtype) if plan.hidden_grad else None
        # The first chunk writes these two; without any chunk they must be zero all the same.
        make = torch.empty_like if hidden.shape[0] else torch.zeros_like
        self.weight = make(weight, dtype=plan.stats_dtype) if plan.weight_grad else None
        self.bias = make(bias, dtype=plan.stats_dtype) if bias is not None and plan.bias_grad else None

    def add(self, part: slice, grad_CV: Tensor, hidden_CD: Tensor, head_VD: Tensor) -> None:
        """Add a chunk's share."""
        first = part.start == 0
        if self.hidden is not None:
            torch.mm(grad_CV, head_VD, out=self.hidden[part])
        if self.weight is not None:
            product(grad_CV.T, hidden_CD, self.weight, add=not first)
        if self.bias is not None:
            share = grad_CV.sum(0, dtype=self.bias.dtype)
            self.bias.copy_(share) if first else self.bias.add_(share)
