"""Dynamic fine-tuning."""

from dataclasses import dataclass

from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows, row_weight
from entrotune.objectives.term import Term, target_nll


@dataclass(frozen=True)
class Dft(Term, name="dft"):
    """p_y · CE with p_y held fixed: improbable tokens pull less (arXiv 2508.05629)."""

    def value(self, rows: Rows) -> Tensor:
        return (-rows.nll).exp() * rows.nll

    def coefficients(self, rows: Rows) -> Coefficients:
        return row_weight((-rows.nll).exp())

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        return (-target_nll(frozen, targets)).exp() * target_nll(logits, targets)
