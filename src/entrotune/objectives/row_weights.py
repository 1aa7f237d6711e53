"""Coefficients that differ from row to row: one weight a term and row, in place of one a term."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.objectives.objective import Objective, check_names
from entrotune.objectives.term import Term, number


def row_weights(objective: Objective, values: Mapping[str, float | Tensor], like: Tensor) -> Tensor:
    """The weight of each of the objective's `terms` in each of N rows, [terms, N].

    Args:
        objective: with names.
        values: for each name a number, or [N] numbers.
        like: [N], with the dtype and device of the result.

    Raises:
        UserError: a name without a value or a value without a name; a number that makes no sense for its term. On CUDA
            the numbers of rows are checked by the device.
    """
    check_names(objective, values)
    totals = {term: torch.zeros_like(like) for term in objective.terms}
    for coefficient, term in objective.parts:
        totals[term] += coefficient
    for factor, names, term in objective.open_parts:
        totals[term] += math.prod((values[name] for name in names), start=factor)
    for term, weights in totals.items():
        _check(term, weights)
    return torch.stack(list(totals.values()))


def _check(term: Term, weights: Tensor) -> None:
    if not weights.numel():
        return
    if weights.device.type == "cuda":
        torch._assert_async(weights.isfinite().all())
        if not term.signed:
            torch._assert_async((weights >= 0).all())
        return
    least = float(weights.min())
    if not bool(weights.isfinite().all()):
        raise UserError(f"the coefficient of {term} is not finite in every row")
    if least < 0 and not term.signed:
        raise UserError(
            f"the coefficient of {term} is {number(least)} in a row, but a negative one rewards the model for missing "
            "the data without end; use a positive coefficient"
        )
