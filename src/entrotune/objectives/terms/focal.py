"""Focal loss."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows, row_weight
from entrotune.objectives.term import Term, as_number, require, target_nll

# The smallest normal float32.
SMALLEST = 2.0**-126


@dataclass(frozen=True)
class Focal(Term, name="focal"):
    """(1 − p_y)^gamma · CE: tokens already predicted well count less (arXiv 1708.02002)."""

    gamma: float = 2.0

    def __post_init__(self) -> None:
        as_number(self, "gamma")
        require(self, "gamma", self.gamma >= 0, "at least 0")

    def value(self, rows: Rows) -> Tensor:
        return _miss(rows.nll) ** self.gamma * rows.nll

    def coefficients(self, rows: Rows) -> Coefficients:
        miss = _miss(rows.nll)
        slope = self.gamma * miss ** (self.gamma - 1) * (1 - miss) * rows.nll
        return row_weight(miss**self.gamma + slope)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        nll = target_nll(logits, targets)
        return _miss(nll) ** self.gamma * nll


def _miss(nll: Tensor) -> Tensor:
    """1 − p_y, kept above 0 so that a power below 1 has a finite slope."""
    return (-torch.expm1(-nll)).clamp(min=SMALLEST)
