"""α-divergence from the one-hot data to the prediction."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows, row_weight
from entrotune.objectives.term import Term, as_number, require, target_nll


@dataclass(frozen=True)
class AlphaDivergence(Term, name="alpha_divergence"):
    """(p_y^(1−a) − 1) / (a (a − 1)): Amari's α-divergence of one-hot data from p; cross-entropy at a = 1.

    Bounded by 1 / (a (1 − a)) for a below 1; above 1 it grows like exp((a − 1) nll).
    """

    a: float = 0.5

    def __post_init__(self) -> None:
        as_number(self, "a")
        require(self, "a", self.a > 0, "above 0")

    def value(self, rows: Rows) -> Tensor:
        if self.a == 1:
            return rows.nll
        return torch.expm1((self.a - 1) * rows.nll) / (self.a * (self.a - 1))

    def coefficients(self, rows: Rows) -> Coefficients:
        return row_weight(((self.a - 1) * rows.nll).exp() / self.a)

    def reference(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        nll = target_nll(logits, targets)
        if self.a == 1:
            return nll
        return ((-nll).exp() ** (1 - self.a) - 1) / (self.a * (self.a - 1))
