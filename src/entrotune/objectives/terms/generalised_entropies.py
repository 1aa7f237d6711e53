"""Tsallis and Rényi entropies of the prediction, both functions of Σ p^q."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Needs, Rows
from entrotune.objectives.term import Term, as_number, require


@dataclass(frozen=True)
class _OfOrder(Term):
    """An entropy of order q. Σ p^q needs logsumexp(q z): a tempered copy at temperature 1/q."""

    q: float = 2.0
    signed = True

    def __post_init__(self) -> None:
        as_number(self, "q")
        require(self, "q", self.q > 0, "above 0")
        require(self, "q", self.q != 1, "other than 1, where this is `entropy`")

    def needs(self) -> Needs:
        return Needs(temperature=1 / self.q)

    def log_power_sum(self, rows: Rows) -> Tensor:
        """log Σ p^q."""
        return rows.tempered_log_mass - self.q * rows.log_mass


@dataclass(frozen=True)
class Tsallis(_OfOrder, name="tsallis"):
    """(1 − Σ p^q) / (q − 1) (doi 10.1007/BF01016429)."""

    def value(self, rows: Rows) -> Tensor:
        return -torch.expm1(self.log_power_sum(rows)) / (self.q - 1)

    def coefficients(self, rows: Rows) -> Coefficients:
        slope = self.q * self.log_power_sum(rows).exp() / (self.q - 1)
        return Coefficients(a0=slope, b=-slope)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        return (1 - _power_sum(logits, self.q)) / (self.q - 1)


@dataclass(frozen=True)
class Renyi(_OfOrder, name="renyi"):
    """log(Σ p^q) / (1 − q), nats (Rényi 1961)."""

    def value(self, rows: Rows) -> Tensor:
        return self.log_power_sum(rows) / (1 - self.q)

    def coefficients(self, rows: Rows) -> Coefficients:
        slope = self.q / (1 - self.q)
        return Coefficients(a0=-slope, b=slope)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        return _power_sum(logits, self.q).log() / (1 - self.q)


def _power_sum(logits: Tensor, q: float) -> Tensor:
    """Σ p^q of [N, V] logits."""
    return (q * torch.log_softmax(logits, dim=-1)).exp().sum(-1)
