"""Varentropy of the prediction."""

from dataclasses import dataclass

from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows
from entrotune.objectives.term import Term, log_probabilities


@dataclass(frozen=True)
class Varentropy(Term, name="varentropy"):
    """Σ p (log p + H)², nats²: how unequal the surprisals of the possible tokens are."""

    signed = True

    def value(self, rows: Rows) -> Tensor:
        return rows.varentropy

    def coefficients(self, rows: Rows) -> Coefficients:
        h = rows.entropy
        return Coefficients(a0=2 * h + h**2 - rows.varentropy, a1=2 * (1 + h), a2=1.0)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        p, log_p = log_probabilities(logits)
        entropy = -(p * log_p).sum(-1, keepdim=True)
        return (p * (log_p + entropy) ** 2).sum(-1)
