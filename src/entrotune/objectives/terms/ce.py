"""Cross-entropy."""

from dataclasses import dataclass

from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows, row_weight
from entrotune.objectives.term import Term, target_nll


@dataclass(frozen=True)
class CrossEntropy(Term, name="ce"):
    """−log p_y, which is KL(one-hot ‖ p)."""

    def value(self, rows: Rows) -> Tensor:
        return rows.nll

    def coefficients(self, rows: Rows) -> Coefficients:
        return row_weight(1.0)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        return target_nll(logits, targets)
