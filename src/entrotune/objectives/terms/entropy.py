"""Shannon entropy of the prediction."""

from dataclasses import dataclass

from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows
from entrotune.objectives.term import Term, log_probabilities


@dataclass(frozen=True)
class Entropy(Term, name="entropy"):
    """H = −Σ p log p, nats. Subtract it to keep predictions spread."""

    signed = True

    def value(self, rows: Rows) -> Tensor:
        return rows.entropy

    def coefficients(self, rows: Rows) -> Coefficients:
        return Coefficients(a0=-rows.entropy, a1=-1.0)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        p, log_p = log_probabilities(logits)
        return -(p * log_p).sum(-1)
