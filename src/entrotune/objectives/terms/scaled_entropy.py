"""Entropy that counts by the row's own uncertainty."""

import math
from dataclasses import dataclass

from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows
from entrotune.objectives.term import Term, as_number, log_probabilities, require


@dataclass(frozen=True)
class ScaledEntropy(Term, name="scaled_entropy"):
    """H · H / ln k, the second H held fixed: what is subtracted spreads tokens by how uncertain they are already.

    Its gradient is H / ln k times that of the entropy: a row the model is sure about is left alone, one whose entropy
    is that of k equally probable tokens counts as in `entropy`. The scale is that of `eaft`.
    """

    signed = True

    k: float = 20.0

    def __post_init__(self) -> None:
        as_number(self, "k")
        require(self, "k", self.k > 1, "above 1")

    def value(self, rows: Rows) -> Tensor:
        return rows.entropy**2 / math.log(self.k)

    def coefficients(self, rows: Rows) -> Coefficients:
        weight = rows.entropy / math.log(self.k)
        return Coefficients(a0=-weight * rows.entropy, a1=-weight)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        p, log_p = log_probabilities(logits)
        fixed, log_fixed = log_probabilities(frozen)
        return (fixed * log_fixed).sum(-1) * (p * log_p).sum(-1) / math.log(self.k)
