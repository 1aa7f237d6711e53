"""Divergences between the prediction P and a reference r, both at one temperature T.

The factor T² keeps gradients of the size they have at T = 1 (Hinton et al., arXiv 1503.02531). The reference gets no
gradient.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Needs, Rows, Scalar
from entrotune.objectives.term import Term, as_number, require, written


@dataclass(frozen=True)
class Kl(Term, name="kl"):
    """T² KL(r ‖ P); with `reverse=true`, T² KL(P ‖ r), the penalty of RLHF. Nats."""

    against: str = "ref"
    reverse: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        as_number(self, "temperature")
        require(self, "against", self.against == "ref", "ref, the reference model (KL to one-hot data is ce)")
        require(self, "reverse", isinstance(self.reverse, bool), "true or false")
        require(self, "temperature", self.temperature > 0, "above 0")

    def __str__(self) -> str:
        return shown(self, "")

    def needs(self) -> Needs:
        return at_temperature(self.temperature) | Needs(forward_kl=not self.reverse, reverse_kl=self.reverse)

    def value(self, rows: Rows) -> Tensor:
        return self.temperature**2 * (rows.reverse_kl if self.reverse else rows.forward_kl)

    def coefficients(self, rows: Rows) -> Coefficients:
        slope = self.temperature
        if self.reverse:
            return on_tempered(self.temperature, -slope * rows.reverse_kl) + Coefficients(e=slope)
        return on_tempered(self.temperature, slope) + Coefficients(d=-slope)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        log_p, log_r = tempered_pair(logits, frozen, self.temperature)
        if self.reverse:
            return self.temperature**2 * (log_p.exp() * (log_p - log_r)).sum(-1)
        return self.temperature**2 * (log_r.exp() * (log_r - log_p)).sum(-1)


@dataclass(frozen=True)
class Jsd(Term, name="jsd"):
    """T² (w KL(r ‖ m) + (1 − w) KL(P ‖ m)) with m = w r + (1 − w) P (arXiv 2306.13649). Bounded; w is `weight`."""

    against: str = "ref"
    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        as_number(self, "weight", "temperature")
        require(self, "against", self.against == "ref", "ref, the reference model")
        require(self, "weight", 0 < self.weight < 1, "above 0 and below 1")
        require(self, "temperature", self.temperature > 0, "above 0")

    def __str__(self) -> str:
        return shown(self, "", always=("weight",))

    def needs(self) -> Needs:
        return at_temperature(self.temperature) | Needs(mixture=self.weight)

    def value(self, rows: Rows) -> Tensor:
        mixed = self.weight * rows.reference_mixture_kl + (1 - self.weight) * rows.mixture_kl
        return self.temperature**2 * mixed

    def coefficients(self, rows: Rows) -> Coefficients:
        slope = self.temperature * (1 - self.weight)
        return on_tempered(self.temperature, -slope * rows.mixture_kl) + Coefficients(f=slope)

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        log_p, log_r = tempered_pair(logits, frozen, self.temperature)
        log_m = torch.logaddexp(log_r + math.log(self.weight), log_p + math.log1p(-self.weight))
        to_r = (log_r.exp() * (log_r - log_m)).sum(-1)
        to_p = (log_p.exp() * (log_p - log_m)).sum(-1)
        return self.temperature**2 * (self.weight * to_r + (1 - self.weight) * to_p)


def at_temperature(temperature: float) -> Needs:
    """A reference at a temperature, and the prediction at the same one."""
    return Needs(reference_temperature=temperature, temperature=None if temperature == 1 else temperature)


def on_tempered(temperature: float, scalar: Scalar) -> Coefficients:
    """`scalar` times P_j."""
    return Coefficients(a0=scalar) if temperature == 1 else Coefficients(b=scalar)


def tempered_pair(logits: Tensor, reference: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """log P and log r of [N, V] logits; where a logit of either is −inf, a number whose exponential is 0."""
    return tuple(  # type: ignore[return-value]
        torch.log_softmax(z / temperature, dim=-1).clamp(min=-1e18) for z in (logits, reference)
    )


def shown(term: Term, default: str, *, always: tuple[str, ...] = ()) -> str:
    """The term as text: the reference first, then what is not at its default."""
    defaults = {"reverse": False, "temperature": 1.0}
    parts = []
    for name, value in sorted(term.parameters().items(), key=lambda item: item[0] != "against"):
        if name == "against":
            parts += [str(value)] if value != default else []
        elif name in always or value != defaults[name]:
            parts.append(f"{name}={written(value)}")
    return f"{term.name}({', '.join(parts)})"
