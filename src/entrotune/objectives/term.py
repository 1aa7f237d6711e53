"""A term: one row statistic worth minimising, with its gradient in the row algebra and its slow, exact twin."""

import inspect
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from entrotune.objectives.rows import Coefficients, Needs, Rows

if TYPE_CHECKING:
    from entrotune.objectives.objective import Objective

TERMS: dict[str, type["Term"]] = {}


@dataclass(frozen=True)
class Term:
    """One term of an objective. Subclass it in a file of `objectives/terms/` and it is part of the algebra.

    Parameters are dataclass fields, floats or strings; check them in `__post_init__` with `require`.

    Class attributes:
        name: how the term is written.
        signed: whether a negative coefficient makes sense. True for terms bounded on both sides (entropies); a
            negative coefficient on the others would reward the model for missing the data without end.
    """

    name: ClassVar[str] = ""
    signed: ClassVar[bool] = False

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is not None:  # a base class that several terms share has no name of its own
            cls.name = name
            TERMS[name] = cls

    def needs(self) -> Needs:
        """The row statistics beyond the common ones."""
        return Needs()

    def value(self, rows: Rows) -> Tensor:
        """The term of each row, [N]."""
        raise TypeError(f"the term {self.name!r} defines no value")

    def coefficients(self, rows: Rows) -> Coefficients:
        """The scalars of the gradient of `value` with respect to the logits."""
        raise TypeError(f"the term {self.name!r} defines no coefficients")

    def exact(self, logits: Tensor, targets: Tensor, frozen: Tensor) -> Tensor:
        """`value` again, from whole rows and by autograd: the truth that tests compare with.

        Args:
            logits: [N, V], differentiable.
            targets: [N].
            frozen: the same numbers as `logits` with no gradient; what the term holds fixed is computed from it. For a
                term whose needs name a reference, the reference's logits.
        """
        raise TypeError(f"the term {self.name!r} defines no exact value")

    def __str__(self) -> str:
        defaults = {f.name: f.default for f in fields(self)}
        shown = [
            f"{key}={number(value) if isinstance(value, float) else value}"
            for key, value in self.parameters().items()
            if isinstance(value, float) or value != defaults[key]
        ]
        return f"{self.name}({', '.join(shown)})" if shown else self.name

    def parameters(self) -> dict[str, float | str]:
        """The arguments, in the order in which they may be given."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def objective(self) -> "Objective":
        """The objective that is this term alone."""
        from entrotune.objectives.objective import Objective

        return Objective.from_parts([(1.0, self)])

    def __add__(self, other: "Term | Objective") -> "Objective":
        return self.objective() + other

    def __sub__(self, other: "Term | Objective") -> "Objective":
        return self.objective() - other

    def __mul__(self, factor: float) -> "Objective":
        return self.objective() * factor

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Objective":
        return self.objective() / divisor

    def __neg__(self) -> "Objective":
        return -self.objective()


def require(term: Term, argument: str, condition: bool, expected: str) -> None:
    """Raise a `ValueError` that names the term, its argument, what was got and what was expected."""
    if not condition:
        raise ValueError(f"{term.name}({argument}={getattr(term, argument)}): {argument} must be {expected}")


def as_number(term: Term, *arguments: str) -> None:
    """Turn the named arguments into finite floats, or raise a `ValueError`."""
    for argument in arguments:
        value = getattr(term, argument)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        require(term, argument, is_number, "a finite number")
        object.__setattr__(term, argument, float(value))


def signature(term: type[Term]) -> str:
    """How to write the term, with its defaults: `gem(beta=0.7, h=linear)`, `kl(ref, reverse=false, temperature=1)`."""
    defaults = {p.name: p.default for p in inspect.signature(term).parameters.values()}
    against = [defaults.pop("against")] if "against" in defaults else []
    shown = [*against, *(f"{name}={written(value)}" for name, value in defaults.items())]
    return f"{term.name}({', '.join(shown)})" if shown else term.name


def written(value: float | str | bool) -> str:
    """An argument as it is written in an objective."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """The shortest text that reads back as the same float: `10`, `0.1`, `1e-07`."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """p and log p of [N, V] logits; log p is 0 where a logit is −inf, so that p log p and its gradient are 0 there."""
    log_p = torch.log_softmax(logits, dim=-1)
    return log_p.exp(), torch.where(log_p.isneginf(), torch.zeros_like(log_p), log_p)


def target_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """−log p_y of [N, V] logits and [N] targets, [N]."""
    return -torch.log_softmax(logits, dim=-1).gather(-1, targets[:, None]).squeeze(-1)
