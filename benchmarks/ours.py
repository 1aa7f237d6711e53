"""Our ways, and the floors they stand on: the same matrix products in the same chunks and nothing else.

Shapes of tensors: N tokens, C tokens of a chunk, D width, V vocabulary.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from entrotune import Objective
from entrotune.kernels import Reference, linear_objective
from entrotune.kernels.chunks import STATISTICS
from entrotune.kernels.plan import Head, Plan, Stream
from entrotune.kernels.products import product
from entrotune.kernels.triton_backend import padded
from measuring import Way
from problems import Inputs

MAIN = ("ce", "ce - 0.1*entropy", "gem(beta=0.7)")
# One of each other kind, so that "any objective" is measured.
OTHERS = (
    "gem(beta=0.7, h=logsigmoid)",
    "varentropy",
    "label_smoothing(eps=0.1)",
    "focal(gamma=2)",
    "dft",
    "eaft",
    "power(k=0.7)",
    "alpha_divergence(a=0.5)",
    "tsallis(q=2)",
    "renyi(q=2)",
    "mse",
    "z_loss",
    "ce - 0.1*entropy + 0.01*varentropy + 0.0001*z_loss",
)
WITH_REFERENCE = ("kl(ref)", "kl(ref, reverse=true)", "jsd(ref)", "ce - 0.1*entropy + 0.05*kl(ref)")


def whole(inputs: Inputs, objective: str, **options: Any) -> Way:
    """Forward and backward; gradients of the call before are dropped."""
    read = Objective(objective)  # a trainer reads it once

    def call() -> Tensor:
        inputs.forget()
        loss, _ = linear_objective(inputs.hidden, inputs.weight, inputs.targets, read, **options)
        loss.backward()
        return loss

    return call


def frozen_head(inputs: Inputs, objective: str, **options: Any) -> Way:
    """Forward and backward with no gradient of the head, as under LoRA."""
    weight, read = inputs.weight.detach(), Objective(objective)

    def call() -> None:
        inputs.forget()
        linear_objective(inputs.hidden, weight, inputs.targets, read, **options)[0].backward()

    return call


def without_gradient(inputs: Inputs, objective: str, **options: Any) -> Way:
    """Loss and statistics alone."""
    read = Objective(objective)

    @torch.no_grad()
    def call() -> None:
        linear_objective(inputs.hidden, inputs.weight, inputs.targets, read, **options)

    return call


def make_reference(inputs: Inputs) -> Reference:
    """A second model of the same width: hidden states and head a little off."""
    hidden, weight = inputs.hidden.detach(), inputs.weight.detach()
    generator = torch.Generator(hidden.device).manual_seed(7)

    def moved(values: Tensor) -> Tensor:
        noise = torch.randn(values.shape, generator=generator, device=values.device, dtype=values.dtype)
        return values + 0.1 * values.std() * noise

    return Reference(moved(hidden), moved(weight))


def plan_of(inputs: Inputs, objective: str, *, chunk_bytes: int | None = None) -> Plan:
    """What `linear_objective` does with these tensors, as it plans it."""
    hidden = inputs.hidden
    return Plan(
        Objective(objective),
        hidden_grad=True,
        weight_grad=True,
        bias_grad=False,
        product_dtype=hidden.dtype,
        logits_dtype=hidden.dtype,
        chunk_bytes=chunk_bytes,
        device=hidden.device,
    )


def chunk_rows(inputs: Inputs, objective: str, *, chunk_bytes: int | None = None) -> int:
    """Tokens of a chunk."""
    vocabulary, total = inputs.weight.shape[0], inputs.hidden.shape[0]
    return min(plan_of(inputs, objective, chunk_bytes=chunk_bytes).chunk_rows(vocabulary, beside=0), total)


def floor(
    inputs: Inputs,
    objective: str = "ce",
    *,
    products: int = 3,
    reference: Reference | None = None,
    chunk_bytes: int | None = None,
) -> Way:
    """The matrix products of a call, in its chunks, dWeight summed in float32.

    Args:
        products: 1 logits; 2 and dHidden; 3 and dWeight; 4 and the logits of `reference`.
    """
    hidden, weight = inputs.hidden.detach(), inputs.weight.detach()
    rows = chunk_rows(inputs, objective, chunk_bytes=chunk_bytes)

    def call() -> None:
        logits = torch.empty(rows, weight.shape[0], dtype=hidden.dtype, device=hidden.device)
        other = torch.empty_like(logits) if reference is not None else None
        d_hidden = torch.empty_like(hidden) if products > 1 else None
        d_weight = torch.empty_like(weight, dtype=torch.float32) if products > 2 else None
        for start, part in _parts(hidden.shape[0], rows):
            block = logits[: hidden[part].shape[0]]
            torch.mm(hidden[part], weight.T, out=block)
            if reference is not None and other is not None:
                torch.mm(reference.hidden[part], reference.weight.T, out=other[: block.shape[0]])
            if d_hidden is not None:
                torch.mm(block, weight, out=d_hidden[part])
            if d_weight is not None:
                product(block.T, hidden[part], d_weight, add=start > 0)

    return call


def _parts(total: int, rows: int) -> Iterator[tuple[int, slice]]:
    for start in range(0, total, rows):
        yield start, slice(start, min(start + rows, total))


class Chunk:
    """The row kernel alone, on the first chunk of a call.

    Args:
        inputs: of the call.
        objective: of the call.
    """

    def __init__(self, inputs: Inputs, objective: str) -> None:
        self.plan, self.rows = plan_of(inputs, objective), chunk_rows(inputs, objective)
        weight = inputs.weight.detach()
        self.stream = Stream(inputs.hidden.detach()[: self.rows], weight, None, Head())
        self.targets = inputs.targets[: self.rows]
        wide = torch.empty(self.rows, padded(weight.shape[0]), dtype=weight.dtype, device=weight.device)
        self.logits = torch.mm(self.stream.hidden, weight.T, out=wide[:, : weight.shape[0]])
        self.stats = torch.empty(len(STATISTICS), self.rows, dtype=torch.float32, device=weight.device)

    def call(self, *, block: int, warps: int, hints: bool) -> Way:
        """Statistics and gradient in place, with that many columns and warps; a call takes what the last one left."""
        from entrotune.kernels.triton_rows import TritonRows

        kernel = TritonRows(self.plan, self.stream, None, self.rows)
        kernel.options |= {"BLOCK": block, "num_warps": warps, "HINTS": hints}
        return lambda: kernel(self.logits, None, self.targets, None, self.stats, self.logits)
