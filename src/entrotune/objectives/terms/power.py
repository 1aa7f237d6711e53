"""Power loss of the target's probability."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows, row_weight
from entrotune.objectives.term import Term, as_number, require, target_nll


@dataclass(frozen=True)
class Power(Term, name="power"):
    """(1 − p_y^k) / k: cross-entropy as k → 0, 1 − p_y at k = 1 (arXiv 1805.07836). Bounded: wrong labels pull less."""

    k: float = 0.7

    def __post_init__(self) -> None:
        as_number(self, "k")
        require(self, "k", self.k > 0, "above 0 (as k goes to 0 this is ce)")

    def value(self, rows: Rows) -> Tensor:
        return -torch.expm1(-self.k * rows.nll) / self.k

    def coefficients(self, rows: Rows) -> Coefficients:
        return row_weight((-self.k * rows.nll).exp())

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        p = (-target_nll(logits, targets)).exp()
        return (1 - p**self.k) / self.k
