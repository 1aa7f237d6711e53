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
    falls = [(term, coefficient, coefficient * fall(term, vocabulary)) for coefficient, term in objective.parts]
    losses = [share for _, coefficient, share in falls if coefficient > 0]
    if not losses:
        return f"entropy wins in {objective}: there is no loss beside it, so predictions become uniform; add ce"
    total = torch.stack(losses).sum(0)
    best = int(total.argmax())
    against = float(total[best])
    gained = -sum(float(share[best]) for _, coefficient, share in falls if coefficient < 0)
    if gained <= against * (1 + 1e-3):
        return None
    bounds = " and ".join(
        f"{term} below {number(float(f'{-coefficient * against / gained:.3g}'))}"
        for term, coefficient, _ in falls
        if coefficient < 0
    )
    return (
        f"entropy wins in {objective}: over {vocabulary:,} tokens a uniform prediction scores {gained - against:.3g} "
        f"nats better than one that is certain and right; keep the weight of {bounds}"
    )


@functools.lru_cache(maxsize=256)
def fall(term: Term, vocabulary: int) -> torch.Tensor:
    """[POINTS], by how much a term falls from a uniform prediction on the way to one that is certain and right.

    It is the integral of the term's gradient over the target's logit, so that it is also true of terms that hold a part
    of their value fixed. Losses that punish being too certain, as label smoothing does, are least before the end of the
    way. A reference model is taken to be certain and right.
    """
    end = math.log(vocabulary) + 20.0
    places = torch.linspace(0.0, end, POINTS, dtype=torch.float64)
    slopes = torch.cat([_slopes(term, vocabulary, part) for part in places.split(AT_ONCE)])
    return -torch.cat([torch.zeros(1, dtype=torch.float64), torch.cumulative_trapezoid(slopes, places)])


def _slopes(term: Term, vocabulary: int, places: torch.Tensor) -> torch.Tensor:
    """The derivative of a term with respect to the target's logit, where that is so far above all others."""
    logits = torch.zeros(len(places), vocabulary, dtype=torch.float64)
    logits[:, 0] = places
    frozen = logits.clone()
    if term.needs().reference_temperature is not None:
        frozen[:, 0] = math.log(vocabulary) + 20.0
    with torch.enable_grad():
        logits.requires_grad_()
        value = term.exact(logits, torch.zeros(len(places), dtype=torch.long), frozen)
        (grads,) = torch.autograd.grad(value.sum(), [logits])
    return grads[:, 0]
