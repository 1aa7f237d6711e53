"""α-divergence to the prediction, from the one-hot data or from a reference."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Needs, Rows, row_weight
from entrotune.objectives.term import Term, as_number, require, target_nll
from entrotune.objectives.terms.divergences import at_temperature, on_tempered, shown, tempered_pair


@dataclass(frozen=True)
class AlphaDivergence(Term, name="alpha_divergence"):
    """T² (Σ r^a P^(1−a) − 1) / (a (a − 1)): Amari's α-divergence of P from r; KL(r ‖ P) at a = 1.

    Without a reference r is the one-hot data, so that this is (p_y^(1−a) − 1) / (a (a − 1)): bounded by
    1 / (a (1 − a)) for a below 1, growing like exp((a − 1) nll) above.
    """

    a: float = 0.5
    against: str = "data"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        as_number(self, "a", "temperature")
        require(self, "a", self.a > 0, "above 0 (as a goes to 0 against a reference this is kl(ref, reverse=true))")
        require(self, "against", self.against in ("data", "ref"), "data or ref")
        require(self, "temperature", self.temperature > 0, "above 0")
        data_only = self.against == "data" and self.temperature != 1
        require(self, "temperature", not data_only, "1 against data: one-hot data have no temperature")

    def __str__(self) -> str:
        return shown(self, "data", always=("a",))

    @property
    def _data(self) -> bool:
        return self.against == "data"

    def needs(self) -> Needs:
        if self._data:
            return Needs()
        pair = at_temperature(self.temperature)
        return pair | (Needs(forward_kl=True) if self.a == 1 else Needs(power=self.a))

    def value(self, rows: Rows) -> Tensor:
        if self.a == 1:
            return rows.nll if self._data else self.temperature**2 * rows.forward_kl
        if self._data:
            return torch.expm1((self.a - 1) * rows.nll) / (self.a * (self.a - 1))
        return self.temperature**2 * (rows.power_sum - 1) / (self.a * (self.a - 1))

    def coefficients(self, rows: Rows) -> Coefficients:
        if self._data:
            return row_weight(((self.a - 1) * rows.nll).exp() / self.a)
        slope = self.temperature / self.a
        if self.a == 1:
            return on_tempered(self.temperature, slope) + Coefficients(d=-slope)
        return on_tempered(self.temperature, slope * rows.power_sum) + Coefficients(g=-slope)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        if self._data:
            nll = target_nll(logits, targets)
            return nll if self.a == 1 else ((-nll).exp() ** (1 - self.a) - 1) / (self.a * (self.a - 1))
        log_p, log_r = tempered_pair(logits, frozen, self.temperature)
        if self.a == 1:
            return self.temperature**2 * (log_r.exp() * (log_r - log_p)).sum(-1)
        total = (self.a * log_r + (1 - self.a) * log_p).exp().sum(-1)
        return self.temperature**2 * (total - 1) / (self.a * (self.a - 1))
