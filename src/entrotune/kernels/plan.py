"""What one call of the fused linear objective does, and how its rows are cut into chunks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives import Objective

# 1 GiB of logits feeds a GPU's matrix products well; a wide vocabulary needs twice that for as many rows.
CPU_CHUNK_BYTES = 64 << 20
GPU_CHUNK_BYTES = 1 << 30
WIDE_VOCABULARY = 200_000


@dataclass(frozen=True)
class Head:
    """How logits come from hidden states: softcap((hidden · weightᵀ + bias) · scale) / temperature."""

    scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0


@dataclass(frozen=True)
class Stream:
    """Hidden states of M rows with the matrix that turns them into logits.

    Attributes:
        hidden: [M, D].
        weight: [V, D].
        bias: [V] or None.
        head: what happens to their product.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    head: Head


@dataclass(frozen=True)
class Plan:
    """The objective, which gradients are wanted, in which precision and chunks.

    Attributes:
        product_dtype: of the matrix products' inputs.
        logits_dtype: of the logits that the statistics see.
        chunk_bytes: memory for the logits of a chunk; None for the default of the device.
        device: where all tensors are.
        weights: [terms, M], of each row in place of the objective's coefficients; None where rows share them.
    """

    objective: Objective
    hidden_grad: bool
    weight_grad: bool
    bias_grad: bool
    product_dtype: torch.dtype
    logits_dtype: torch.dtype
    chunk_bytes: int | None
    device: torch.device
    weights: Tensor | None = None

    @property
    def any_grad(self) -> bool:
        """Whether a gradient pass is needed at all."""
        return self.hidden_grad or self.weight_grad or self.bias_grad

    @property
    def stats_dtype(self) -> torch.dtype:
        """Of statistics and of sums over chunks."""
        return torch.float64 if self.product_dtype == torch.float64 else torch.float32

    @property
    def separate_gradient(self) -> bool:
        """Whether the gradient needs a buffer of its own, as logits are wider than the products' inputs."""
        return self.any_grad and self.logits_dtype != self.product_dtype

    def budget(self, vocabulary: int) -> int:
        """Bytes for a chunk's logits and what is as wide."""
        if self.chunk_bytes is not None:
            return self.chunk_bytes
        if self.device.type == "cpu":
            return CPU_CHUNK_BYTES
        return GPU_CHUNK_BYTES * (2 if vocabulary >= WIDE_VOCABULARY else 1)

    def chunk_rows(self, vocabulary: int, *, beside: int) -> int:
        """Tokens of a chunk; at least 1, a multiple of 128 where the budget has room for that many.

        Args:
            beside: bytes an entry of a row takes in buffers other than those of the logits and their gradient.
        """
        streams = 2 if self.objective.needs.reference else 1
        entry = streams * self.logits_dtype.itemsize + beside
        entry += self.product_dtype.itemsize if self.separate_gradient else 0
        rows = max(1, self.budget(vocabulary) // (vocabulary * entry))
        return rows if rows < 128 else rows - rows % 128
