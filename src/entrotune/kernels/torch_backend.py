"""The fused linear objective in plain PyTorch: chunks of tokens, the gradient formed in the forward pass.

Shapes: M supervised tokens, C tokens of a chunk, B rows of a block, D width, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from entrotune.kernels.row_pass import RowPass
from entrotune.objectives import Objective, Rows

# A block of rows is sized to stay in a processor's cache between passes; a GPU wants all the rows it can get.
CPU_BLOCK_BYTES = 4 << 20
DEFAULT_CHUNK_BYTES = {"cpu": 64 << 20}
LARGE_CHUNK_BYTES = 1 << 30


@dataclass(frozen=True)
class Head:
    """How logits come from hidden states: softcap((hidden · weightᵀ + bias) · scale) / temperature."""

    scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0


@dataclass(frozen=True)
class Plan:
    """What one call does: the objective, the head, which gradients, in which precision and chunks."""

    objective: Objective
    head: Head
    hidden_grad: bool
    weight_grad: bool
    bias_grad: bool
    dtype: torch.dtype
    chunk_bytes: int | None

    @property
    def any_grad(self) -> bool:
        """Whether a gradient pass is needed at all."""
        return self.hidden_grad or self.weight_grad or self.bias_grad

    def chunk_rows(self, vocabulary: int, width: int, device: torch.device) -> int:
        """Tokens whose logits fit in the byte budget; at least 1, a multiple of 128 where there are that many."""
        budget = self.chunk_bytes or DEFAULT_CHUNK_BYTES.get(device.type, LARGE_CHUNK_BYTES)
        per_row = vocabulary * self.dtype.itemsize
        if device.type != "cpu":
            per_row += vocabulary * 4 * RowPass.buffers_needed(self.objective.needs)
        rows = max(1, budget // per_row)
        return rows if rows < 128 else rows - rows % 128

    def block_rows(self, vocabulary: int, chunk: int, device: torch.device) -> int:
        """Rows whose statistics are taken together."""
        if device.type != "cpu":
            return chunk
        return min(chunk, max(1, CPU_BLOCK_BYTES // (vocabulary * 4)))


def torch_linear_objective(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_M: Tensor, plan: Plan
) -> tuple[Tensor, Tensor, Rows]:
    """The objective summed over M rows (differentiable), per row [M], and the statistics."""
    outputs = _LinearObjective.apply(hidden_MD, weight_VD, bias_V, targets_M, plan)
    total, stats = outputs
    return total, stats[0], Rows(weight_VD.shape[0], *stats[1:].unbind(0))


class _LinearObjective(torch.autograd.Function):
    """Forward computes loss, statistics and gradients; backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, plan: Plan
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(hidden.device.type, enabled=False):
            stats, grads = _run(hidden, weight, bias, targets, plan)
        ctx.dtypes = [None if t is None else t.dtype for t in (hidden, weight, bias)]
        ctx.save_for_backward(*grads)
        ctx.mark_non_differentiable(stats)
        return stats[0].sum(), stats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        # New tensors: the saved ones stay as they are, so that a retained graph can be walked again.
        scaled = [
            None if grad is None else (grad * upstream.to(grad.dtype)).to(dtype)
            for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return *scaled, None, None


def _run(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, plan: Plan
) -> tuple[Tensor, list[Tensor | None]]:
    """Statistics [6, M] (loss, then the first fields of `Rows`) and the three unscaled gradients."""
    (total, width), vocabulary, device = hidden.shape, weight.shape[0], hidden.device
    high = torch.float64 if plan.dtype == torch.float64 else torch.float32
    head_VD = weight.to(plan.dtype)
    stats = torch.zeros(6, total, dtype=high, device=device)
    # dHidden is summed once per row, so the working precision does; dWeight is summed over chunks, so in float32.
    hidden_grad = torch.zeros_like(hidden) if plan.hidden_grad else None
    weight_grad = torch.zeros_like(weight, dtype=high) if plan.weight_grad else None
    bias_grad = torch.zeros_like(bias, dtype=high) if bias is not None and plan.bias_grad else None
    chunk = min(plan.chunk_rows(vocabulary, width, device), max(1, total))
    block = plan.block_rows(vocabulary, chunk, device)
    impossible = bias is not None and bool(torch.isneginf(bias).any())
    row_pass = RowPass(plan.objective, vocabulary, block, stats, has_impossible=impossible)
    logits_CV = torch.empty(chunk, vocabulary, dtype=plan.dtype, device=device)
    for start in range(0, total, chunk):
        part = slice(start, min(start + chunk, total))
        hidden_CD = hidden[part].to(plan.dtype)
        grad_CV = torch.mm(hidden_CD, head_VD.T, out=logits_CV[: hidden_CD.shape[0]])
        if bias is not None:
            grad_CV.add_(bias)
        for low in range(0, hidden_CD.shape[0], block):
            rows = slice(low, min(low + block, hidden_CD.shape[0]))
            where = slice(start + rows.start, start + rows.stop)
            _block(row_pass, plan, grad_CV[rows], targets[where], stats[:, where])
        if hidden_grad is not None:
            hidden_grad[part] = torch.mm(grad_CV, head_VD)
        if weight_grad is not None:
            weight_grad.addmm_(grad_CV.T.to(high), hidden_CD.to(high))
        if bias_grad is not None:
            bias_grad.add_(grad_CV.sum(0, dtype=high))
    return stats, [hidden_grad, weight_grad, bias_grad]


def _block(row_pass: RowPass, plan: Plan, logits_BV: Tensor, targets_B: Tensor, stats: Tensor) -> None:
    """Statistics of a block into `stats`; then its gradient with respect to hidden · weightᵀ over the logits."""
    head = plan.head
    if head.scale != 1.0:
        logits_BV.mul_(head.scale)
    slope = None
    if head.softcap is not None:
        logits_BV.div_(head.softcap).tanh_()
        slope = 1 - logits_BV.square() if plan.any_grad else None
        logits_BV.mul_(head.softcap)
    if head.temperature != 1.0:
        logits_BV.div_(head.temperature)
    rows = row_pass.statistics(logits_BV, targets_B)
    torch.stack(
        [
            plan.objective.value(rows),
            rows.max_logit,
            rows.log_mass,
            rows.target_gap,
            rows.entropy,
            rows.varentropy,
        ],
        out=stats,
    )
    if not plan.any_grad:
        return
    row_pass.gradient(rows, targets_B, logits_BV)
    if slope is not None:
        logits_BV.mul_(slope)
    if head.scale != head.temperature:
        logits_BV.mul_(head.scale / head.temperature)
