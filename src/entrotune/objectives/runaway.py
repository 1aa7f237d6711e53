"""When entropy wins: objectives for which knowing nothing is better than knowing the data."""

import functools
import math

import torch

from entrotune.objectives.objective import Objective
from entrotune.objectives.term import Term, number

POINTS = 161
AT_ONCE = 8


def entropy_wins(objective: Objective, vocabulary: int) -> str | None:
    """What is wrong and where the bound is, where a uniform prediction scores better than a certain and right one.

    Args:
        objective: with values for all its coefficients.
        vocabulary: tokens of a row.
    """
    if all(coefficient >= 0 for coefficient, _ in objective.parts):
        return None
    shares = [(term, coefficient, coefficient * climb(term, vocabulary)) for coefficient, term in objective.parts]
    against = sum(share for _, coefficient, share in shares if coefficient > 0)
    gained = -sum(share for _, coefficient, share in shares if coefficient < 0)
    if against <= 0 or gained <= against * (1 + 1e-3):
        return None
    bounds = " and ".join(
        f"{term} below {number(float(f'{-coefficient * against / gained:.3g}'))}"
        for term, coefficient, _ in shares
        if coefficient < 0
    )
    return (
        f"entropy wins in {objective}: over {vocabulary:,} tokens a uniform prediction scores {gained - against:.3g} "
        f"nats better than one that is certain and right; keep the weight of {bounds}"
    )


@functools.lru_cache(maxsize=256)
def climb(term: Term, vocabulary: int) -> float:
    """By how much a term falls from a uniform prediction to one that is certain and right.

    It is the integral of the term's gradient over the target's logit, so that it is also true of terms that hold a part
    of their value fixed.
    """
    end = math.log(vocabulary) + 20.0
    places = torch.linspace(0.0, end, POINTS, dtype=torch.float64)
    slopes = torch.cat([_slopes(term, vocabulary, part) for part in places.split(AT_ONCE)])
    return -float(torch.trapezoid(slopes, places))


def _slopes(term: Term, vocabulary: int, places: torch.Tensor) -> torch.Tensor:
    """The derivative of a term with respect to the target's logit, where that is so far above all others."""
    logits = torch.zeros(len(places), vocabulary, dtype=torch.float64)
    logits[:, 0] = places
    frozen = logits.clone()
    with torch.enable_grad():
        logits.requires_grad_()
        value = term.exact(logits, torch.zeros(len(places), dtype=torch.long), frozen)
        (grads,) = torch.autograd.grad(value.sum(), [logits])
    return grads[:, 0]
