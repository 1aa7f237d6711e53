"""Objectives: sums of terms with coefficients, which are themselves things that can be added and scaled."""

import difflib
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache, reduce
from typing import Any, Self

import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.objectives.factor import Names
from entrotune.objectives.parse import known_terms, parse
from entrotune.objectives.rows import Coefficients, Needs, Rows, RowStats
from entrotune.objectives.term import TERMS, Term, number
from entrotune.objectives.truth import exact_rows

Parts = tuple[tuple[float, Term], ...]
OpenParts = tuple[tuple[float, Names, Term], ...]


class Objective:
    """A sum of terms, each with a coefficient: what training minimises, per supervised token, in nats.

    Write it as text, `Objective("ce - 0.1*entropy")`; as a mapping, `Objective({"ce": 1, "entropy": -0.1})`; or with
    Python operators on terms, `ce() - 0.1 * entropy()`. `str()` gives text that reads back as the same objective.
    Objectives are immutable, comparable (the order of terms does not matter) and hashable. Coefficients may have names,
    `Objective("ce - alpha*entropy")`; `with_coefficients({"alpha": 0.1})` gives the objective that can be computed.

    Attributes:
        parts: terms and their coefficients.
        open_parts: terms, the names of their coefficients and the numbers these are multiplied with.

    Raises:
        ValueError: a wrong name, argument or coefficient, or two temperatures; the place in the text is marked.
    """

    __slots__ = ("open_parts", "parts")
    parts: Parts
    open_parts: OpenParts

    def __init__(self, source: "str | Term | Mapping[str, float] | Objective") -> None:
        if isinstance(source, Objective):
            self.parts, self.open_parts = source.parts, source.open_parts
        elif isinstance(source, str):
            self.parts, self.open_parts = _merged(parse(source))
        elif isinstance(source, Mapping):
            self.parts, self.open_parts = _merged(
                (_coefficient(c, text) * f, names, t) for text, c in source.items() for f, names, t in parse(text)
            )
        elif isinstance(source, Term):
            self.parts, self.open_parts = ((1.0, source),), ()
        else:
            raise UserError(f"an objective is text, a mapping of terms or a term, not {type(source).__name__}")
        _check(self)

    @classmethod
    def from_parts(cls, parts: Iterable[tuple[float, Term]]) -> Self:
        """The sum of `parts`, not yet checked: a difference may pass through a form that makes no sense alone."""
        return cls._of(*_merged((c, (), term) for c, term in parts))

    @classmethod
    def _of(cls, parts: Parts, open_parts: OpenParts) -> Self:
        objective = cls.__new__(cls)
        objective.parts, objective.open_parts = parts, open_parts
        return objective

    def __str__(self) -> str:
        text = ""
        for coefficient, names, term in self._all_parts():
            sign = "-" if coefficient < 0 else "+"
            size = "" if abs(coefficient) == 1 else f"{number(abs(coefficient))}*"
            size += "".join(f"{name}*" for name in names)
            text += f" {sign} {size}{term}" if text else f"{'-' if sign == '-' else ''}{size}{term}"
        return text

    def __repr__(self) -> str:
        return f"Objective({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objective) and set(self._all_parts()) == set(other._all_parts())

    def __hash__(self) -> int:
        return hash(frozenset(self._all_parts()))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Objective._of, (self.parts, self.open_parts))

    def __add__(self, other: "Term | Objective") -> "Objective":
        return Objective._of(*_merged([*self._all_parts(), *_summand(other)._all_parts()]))

    def __sub__(self, other: "Term | Objective") -> "Objective":
        return self + -1.0 * _summand(other)

    def __mul__(self, factor: float) -> "Objective":
        factor = _coefficient(factor, str(self))
        return Objective._of(*_merged((factor * c, names, term) for c, names, term in self._all_parts()))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Objective":
        return self * (1.0 / divisor)

    def __neg__(self) -> "Objective":
        return self * -1.0

    def _all_parts(self) -> OpenParts:
        return (*((c, (), term) for c, term in self.parts), *self.open_parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of coefficients that have no value yet, in the order of the text."""
        return tuple(dict.fromkeys(name for _, names, _ in self.open_parts for name in names))

    def with_coefficients(self, values: Mapping[str, float]) -> "Objective":
        """The objective with these numbers for its names. A term whose coefficient becomes 0 stays a part of it, so
        that what an objective needs does not change while its coefficients do.

        Raises:
            ValueError: a name without a value or a value without a name; a number that makes no sense for its term.
        """
        check_names(self, values)
        numbers = {name: _coefficient(value, name) for name, value in values.items()}
        totals = {term: coefficient for coefficient, term in self.parts}
        for factor, names, term in self.open_parts:
            totals[term] = totals.get(term, 0.0) + math.prod((numbers[name] for name in names), start=factor)
        return Objective(Objective._of(tuple((c, term) for term, c in totals.items()), ()))

    def check_values(self) -> None:
        """Raise a `ValueError` where a coefficient has a name and no value."""
        if self.names:
            raise UserError(
                f"the objective {self} cannot be computed before its coefficients have values; "
                f"use with_coefficients({{{self.names[0]!r}: 0.1}})"
            )

    @property
    def needs(self) -> Needs:
        """The row statistics all terms together need."""
        return _needs(self.terms)

    @property
    def terms(self) -> tuple[Term, ...]:
        """Each term once, in the order in which weights of rows are given."""
        return tuple(dict.fromkeys(term for _, _, term in self._all_parts()))

    def share(self, name: str) -> "Objective":
        """What a name multiplies: the derivative of the objective with respect to it."""
        left = [(c, tuple(n for n in names if n != name), term) for c, names, term in self.open_parts if name in names]
        return Objective._of(*_merged(left))

    def coefficient_values(self) -> dict[str, float]:
        """`{"ce": 1.0, "entropy": -0.1}`: what is logged at every step."""
        return {str(term): coefficient for coefficient, term in self.parts}

    def weighted(self, weights: Tensor | None = None) -> Iterable[tuple[Any, Term]]:
        """Each term with its coefficient, or with those of the rows: `weights` is [terms, N]."""
        if weights is not None:
            return zip(weights, self.terms, strict=True)
        self.check_values()
        return self.parts

    def value(self, rows: Rows, weights: Tensor | None = None) -> Tensor:
        """The objective of each row, [N]; `weights` [terms, N] stand in place of its coefficients."""
        return sum((c * term.value(rows) for c, term in self.weighted(weights)), torch.zeros_like(rows.entropy))

    def coefficients(self, rows: Rows, weights: Tensor | None = None) -> Coefficients:
        """The scalars of the gradient with respect to the logits, per row; `weights` as of `value`."""
        shares = (c * term.coefficients(rows) for c, term in self.weighted(weights))
        return reduce(Coefficients.__add__, shares, Coefficients())

    def from_logits(
        self,
        logits: Tensor,
        targets: Tensor,
        *,
        reference_logits: Tensor | None = None,
        weights: Tensor | None = None,
        num_items: int | Tensor | None = None,
        ignore_index: int = -100,
    ) -> tuple[Tensor, RowStats]:
        """The objective of logits already computed, differentiable: sum over supervised tokens / `num_items`.

        Args:
            logits: [..., V]; half precision is computed in float32.
            targets: [...], with `ignore_index` where there is nothing to learn.
            reference_logits: [..., V] of the reference, for terms such as `kl(ref)`; no gradient goes there.
            weights: [terms, ...] of each position, in place of the coefficients; see `row_weights`.
            num_items: what to divide by; by default the number of supervised tokens (at least 1).

        Returns:
            The loss (a scalar; 0 where no token is supervised) and the statistics of each token.

        Raises:
            ValueError: a reference is needed and absent, or given and not needed; targets that are no token ids, or not
                one for each row of logits.
        """
        objective = Objective(self)
        if logits.shape[:-1] != targets.shape or targets.is_floating_point():
            raise UserError(
                f"logits {tuple(logits.shape)} need token ids of the shape {tuple(logits.shape[:-1])} as targets, got "
                f"{targets.dtype} {tuple(targets.shape)}"
            )
        objective.check_reference(reference_logits is not None, "reference_logits")
        mask = targets != ignore_index
        rows_NV = _single_or_better(logits[mask])
        targets_N = targets[mask]
        frozen_NV = rows_NV.detach()
        other_NV = None if reference_logits is None else _single_or_better(reference_logits[mask].detach())
        values = [
            c * term.exact(rows_NV, targets_N, other_NV if term.needs().reference else frozen_NV)  # type: ignore[arg-type]
            for c, term in objective.weighted(None if weights is None else weights[:, mask])
        ]
        value_N = torch.stack(values).sum(0)
        count = divisor(num_items, targets_N.numel())
        # An empty sum keeps its connection to the logits, so that backward works on a batch with nothing to learn.
        loss = value_N.sum() / count if targets_N.numel() else rows_NV.sum()
        rows = exact_rows(frozen_NV, targets_N, objective.needs, reference=other_NV)
        return loss, RowStats.scatter(rows, value_N, mask)

    def check_reference(self, given: bool, argument: str) -> None:
        """Raise a `ValueError` where a reference is needed and not `given` as `argument`, or the other way round."""
        if self.needs.reference and not given:
            raise UserError(f"the objective {self} compares with a reference; pass {argument}=")
        if given and not self.needs.reference:
            raise UserError(f"the objective {self} has no term with a reference, but {argument} was given")


def divisor(num_items: int | Tensor | None, supervised: int) -> int | Tensor:
    """What a sum over supervised tokens is divided by: `num_items`, by default their number; 1 in place of 0.

    Raises:
        ValueError: it is below 0, or more than one number.
    """
    if num_items is None:
        return max(1, supervised)
    if isinstance(num_items, Tensor):
        if num_items.numel() != 1:
            raise UserError(f"num_items is one number, not a tensor of the shape {tuple(num_items.shape)}")
        count = num_items.reshape(())
        return torch.where(count == 0, torch.ones_like(count), count)
    if num_items < 0:
        raise UserError(f"num_items must be at least 0, not {num_items}")
    return num_items or 1


def _single_or_better(rows: Tensor) -> Tensor:
    return rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows


def check_names(objective: Objective, values: Mapping[str, object]) -> None:
    """Raise a `ValueError` where a name of the objective has no value, or a value no name."""
    for name in objective.names:
        if name not in values:
            near = difflib.get_close_matches(name, TERMS, n=1)
            hint = f" (or is it the term {near[0]}?)" if near else ""
            raise UserError(
                f"the coefficient {name} of the objective {objective} has no value{hint}; "
                f'give coefficients, such as {{"{name}": 0.1}}'
            )
    for name in values:
        if name not in objective.names:
            known = f"its names are {', '.join(objective.names)}" if objective.names else "it has none"
            raise UserError(
                f"coefficients names {name!r}, which is no coefficient of the objective {objective}; {known}"
            )


def _merged(parts: Iterable[tuple[float, Names, Term]]) -> tuple[Parts, OpenParts]:
    totals: dict[tuple[Names, Term], float] = {}
    for coefficient, names, term in parts:
        totals[names, term] = totals.get((names, term), 0.0) + coefficient
    kept = [(coefficient, names, term) for (names, term), coefficient in totals.items() if coefficient != 0]
    return tuple((c, term) for c, names, term in kept if not names), tuple(part for part in kept if part[1])


def _summand(other: "Term | Objective") -> Objective:
    if isinstance(other, Objective):
        return other
    if isinstance(other, Term):
        return other.objective()
    raise UserError(f"an objective and {type(other).__name__} {other!r} cannot be added; add terms, such as ce()")


def _coefficient(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError(f"the coefficient of {what!r} must be a finite number, not {value!r}")
    return float(value)


def _check(objective: Objective) -> None:
    if not objective.parts and not objective.open_parts:
        raise UserError(f"the objective is zero: nothing to minimise. Terms: {known_terms()}")
    for coefficient, _, term in objective._all_parts():
        if not math.isfinite(coefficient):
            raise UserError(f"the coefficient of {term} is {coefficient}; it must be a finite number")
        # What a name adds is checked with its value.
        if coefficient < 0 and not term.signed and not any(term == other for _, _, other in objective.open_parts):
            raise UserError(
                f"the coefficient of {term} is {number(coefficient)}, but a negative one rewards the model for missing "
                "the data without end; use a positive coefficient (entropies may be subtracted: ce - 0.1*entropy)"
            )
    _needs(objective.terms)


@lru_cache(maxsize=256)
def _needs(terms: tuple[Term, ...]) -> Needs:
    """Asked for several times a call, while the device waits."""
    return reduce(Needs.__or__, (term.needs() for term in terms), Needs())
