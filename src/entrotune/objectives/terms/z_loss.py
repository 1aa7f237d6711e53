"""Squared log-partition."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows
from entrotune.objectives.term import Term


@dataclass(frozen=True)
class ZLoss(Term, name="z_loss"):
    """logsumexp(z)²: keeps logits from drifting (arXiv 2204.02311, with coefficient 1e-4)."""

    def value(self, rows: Rows) -> Tensor:
        return rows.lse**2

    def coefficients(self, rows: Rows) -> Coefficients:
        return Coefficients(a0=2 * rows.lse)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        return torch.logsumexp(logits, dim=-1) ** 2
