"""Squared error of raw logits against the one-hot target."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Needs, Rows
from entrotune.objectives.term import Term


@dataclass(frozen=True)
class Mse(Term, name="mse"):
    """Mean over the vocabulary of (z − one-hot(y))²: regression on outputs that are not probabilities."""

    def needs(self) -> Needs:
        return Needs(logit_squares=True)

    def value(self, rows: Rows) -> Tensor:
        return (rows.logit_squares - 2 * rows.target_logit + 1) / rows.vocabulary

    def coefficients(self, rows: Rows) -> Coefficients:
        return Coefficients(m=2 / rows.vocabulary, c=2 / rows.vocabulary)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        one_hot = torch.zeros_like(frozen).scatter(-1, targets[:, None], 1.0)
        return ((logits - one_hot) ** 2).mean(-1)
