"""Cross-entropy against a smoothed one-hot target."""

from dataclasses import dataclass

from torch import Tensor

from entrotune.objectives.rows import Coefficients, Needs, Rows
from entrotune.objectives.term import Term, as_number, require, target_nll


@dataclass(frozen=True)
class LabelSmoothing(Term, name="label_smoothing"):
    """(1 − eps) CE + eps (lse − mean z): eps of the target spread evenly over the vocabulary (arXiv 1512.00567).

    Infinite where a logit is −inf, as the target gives that token a share.
    """

    eps: float = 0.1

    def __post_init__(self) -> None:
        as_number(self, "eps")
        require(self, "eps", 0 <= self.eps < 1, "at least 0 and below 1")

    def needs(self) -> Needs:
        return Needs(logit_sum=True)

    def value(self, rows: Rows) -> Tensor:
        return (1 - self.eps) * rows.nll + self.eps * (rows.lse - rows.logit_sum / rows.vocabulary)

    def coefficients(self, rows: Rows) -> Coefficients:
        return Coefficients(a0=1.0, c=1 - self.eps, k=-self.eps / rows.vocabulary)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        spread = -logits.log_softmax(-1).mean(-1)
        return (1 - self.eps) * target_nll(logits, targets) + self.eps * spread
