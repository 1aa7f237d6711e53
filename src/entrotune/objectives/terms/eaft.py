"""Entropy-adaptive fine-tuning."""

import math
from dataclasses import dataclass

from torch import Tensor

from entrotune.objectives.rows import Coefficients, Rows, row_weight
from entrotune.objectives.term import Term, as_number, log_probabilities, require, target_nll


@dataclass(frozen=True)
class Eaft(Term, name="eaft"):
    """H / ln k · CE with H held fixed: tokens the model is sure about pull less (arXiv 2601.02151).

    The paper approximates H by the entropy of the k = 20 most probable tokens and divides by its maximum ln k; here H
    is the entropy of the whole row, so the weight can pass 1 where the prediction is spread over more than k tokens.
    """

    k: float = 20.0

    def __post_init__(self) -> None:
        as_number(self, "k")
        require(self, "k", self.k > 1, "above 1")

    def value(self, rows: Rows) -> Tensor:
        return rows.entropy / math.log(self.k) * rows.nll

    def coefficients(self, rows: Rows) -> Coefficients:
        return row_weight(rows.entropy / math.log(self.k))

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        p, log_p = log_probabilities(frozen)
        return -(p * log_p).sum(-1) / math.log(self.k) * target_nll(logits, targets)
