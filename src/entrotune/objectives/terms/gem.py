"""GEM: entropic distribution matching by a game (arXiv 2408.16673)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Needs, Rows
from entrotune.objectives.term import Term, as_number, require


@dataclass(frozen=True)
class Gem(Term, name="gem"):
    """Σ q w (z − z_y) with q = softmax(z / beta) and w held fixed.

    With `h=linear`, w = 1, and the gradient is that of beta·CE(z / beta). With `h=logsigmoid`,
    w = sigmoid(0.01 (z − z_y)), and the gradient is about half as long: compare at matched step size.
    """

    beta: float = 0.7
    h: str = "linear"

    def __post_init__(self) -> None:
        as_number(self, "beta")
        require(self, "beta", self.beta > 0, "above 0 (0 would put all of q on the most probable token)")
        require(self, "h", self.h in ("linear", "logsigmoid"), "linear or logsigmoid")

    @property
    def _weighted(self) -> bool:
        return self.h == "logsigmoid"

    def needs(self) -> Needs:
        return Needs(temperature=self.beta, tempered_mean=not self._weighted, sigmoid_weights=self._weighted)

    def value(self, rows: Rows) -> Tensor:
        if self._weighted:
            return rows.weighted_gap
        return rows.tempered_gap - rows.target_gap

    def coefficients(self, rows: Rows) -> Coefficients:
        if self._weighted:
            return Coefficients(bw=1.0, c=rows.weighted_mass)
        return Coefficients(b=1.0, c=1.0)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        q = torch.softmax(frozen / self.beta, dim=-1)
        gap = logits - logits.gather(-1, targets[:, None])
        weight = torch.sigmoid(0.01 * (frozen - frozen.gather(-1, targets[:, None]))) if self._weighted else 1.0
        # A logit of −inf has q = 0 and must count as nothing rather than as 0 · −inf.
        return (q * weight * gap.masked_fill(q == 0, 0.0)).sum(-1)
