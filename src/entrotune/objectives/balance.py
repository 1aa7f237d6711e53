"""Weights of several losses from their gradients: such that all pull equally hard, or that none is made worse."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from entrotune.errors import UserError
from entrotune.objectives.objective import Objective
from entrotune.objectives.schedules import Moment, is_number, refuse_unknown

BALANCED = "balanced"
DEFAULTS: dict[str, Any] = {"method": "gradnorm", "every": 4, "tokens": 256, "smoothing": 0.9, "min": 0.1}
# The rest that a step of the search may leave, of the largest entry, and how many steps it may take.
RESOLUTION = 1e-13
MOST_STEPS = 10_000


def min_norm_weights(gram: Sequence[Sequence[float]] | Tensor, *, least: float = 0.0) -> list[float]:
    """The weights w ≥ `least`, Σ w = 1, for which ‖Σ wᵢ gᵢ‖ is least.

    Where `least` is 0, −Σ wᵢ gᵢ is a direction in which no loss rises, or 0 where there is none (Désidéri 2012; Sener &
    Koltun 2018, arXiv 1810.04650). Two gradients have a closed form. Of more, weight moves from the worst to the best
    gradient by exact steps (pairwise Frank-Wolfe, arXiv 1511.05932). Where all are 0 the weights are equal.

    Args:
        gram: [n, n], the inner products of the gradients.
        least: below 1 / n.
    """
    g = torch.as_tensor(gram, dtype=torch.float64, device="cpu")
    count = g.shape[0]
    # What is searched is the part above the least: w = corners · v with v ≥ 0, Σ v = 1.
    corners = (1 - count * least) * torch.eye(count, dtype=torch.float64) + least
    g = corners @ g @ corners
    weights = torch.full((count,), 1 / count, dtype=torch.float64)
    limit = RESOLUTION * float(g.abs().max())
    for _ in range(MOST_STEPS):
        slopes = g @ weights
        best = int(slopes.argmin())
        worst = int(torch.where(weights > 0, slopes, -torch.inf).argmax())
        gap = float(slopes[worst] - slopes[best])
        if gap <= limit:
            break
        curvature = float(g[best, best] + g[worst, worst] - 2 * g[best, worst])
        available = float(weights[worst])
        step = min(available, gap / curvature) if curvature > 0 else available
        weights[best] += step
        weights[worst] = 0.0 if step == available else weights[worst] - step
    return (corners @ (weights / weights.sum())).tolist()


def equal_norm_weights(gram: Sequence[Sequence[float]] | Tensor, *, least: float = 0.0) -> list[float]:
    """The weights w ≥ `least`, Σ w = 1, for which all wᵢ ‖gᵢ‖ are equal, before each gives to the least.

    It is where GradNorm (Chen et al. 2018, arXiv 1711.02257) comes to rest with its α = 0, all losses to be learnt at
    one rate. Where all gradients are 0 the weights are equal.

    Args:
        gram: [n, n], the inner products of the gradients.
        least: below 1 / n.
    """
    norms = torch.as_tensor(gram, dtype=torch.float64, device="cpu").diagonal().clamp(min=0).sqrt()
    inverse = 1 / norms.clamp(min=max(float(norms.max()) * RESOLUTION, torch.finfo(torch.float64).tiny))
    return (least + (1 - len(norms) * least) * inverse / inverse.sum()).tolist()


METHODS = {"gradnorm": equal_norm_weights, "mgda": min_norm_weights}


class Balance:
    """The weights of the losses that balanced names multiply, which follow their gradients as a run goes on.

    Every so many steps the inner products of the losses' gradients are measured on some of the step's tokens, with
    respect to the hidden states that all losses share: the upper bound of Sener & Koltun 2018 (arXiv 1810.04650), which
    costs no pass through the model. They are smoothed exponentially, and the weights follow from them.

    Args:
        names: of the coefficients.
        method: `gradnorm` (`equal_norm_weights`) or `mgda` (`min_norm_weights`).
        every: steps from one measurement to the next.
        tokens: at most so many are measured of a micro-batch.
        smoothing: how much of the inner products before a measurement stays, from 0 to below 1.
        least: weight of each. With 0 a loss whose gradient vanishes, such as the distance from a model that is still
            the same, would take all of it, and nothing would be learnt.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        method: str = "gradnorm",
        every: int = 4,
        tokens: int = 256,
        smoothing: float = 0.9,
        least: float = 0.1,
    ) -> None:
        self.names = tuple(names)
        self.solve = METHODS[method]
        self.every, self.tokens, self.smoothing, self.least = every, tokens, smoothing, least
        self.gram = [[0.0] * len(self.names) for _ in self.names]
        self.weights = [1 / len(self.names)] * len(self.names)

    def measures(self, step: int) -> bool:
        """Whether the step after so many is measured."""
        return step % self.every == 0

    def observe(self, gram: Tensor) -> None:
        """Take the inner products of the gradients, [n, n], a mean over tokens."""
        kept = self.smoothing * torch.tensor(self.gram, dtype=torch.float64)
        smooth = kept + (1 - self.smoothing) * gram.to("cpu", torch.float64)
        self.gram = smooth.tolist()
        self.weights = self.solve(smooth, least=self.least)

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on exactly."""
        return {"gram": self.gram, "weights": self.weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.gram, self.weights = state["gram"], state["weights"]


class Balanced:
    """One of the coefficients of a `Balance`."""

    def __init__(self, balance: Balance, index: int) -> None:
        self.balance, self.index = balance, index

    def at(self, moment: Moment) -> float:
        """The coefficient of the next step."""
        return self.balance.weights[self.index]

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest coefficient."""
        return self.balance.least, 1 - self.balance.least * (len(self.balance.names) - 1)


def read_balance(objective: Objective, given: Mapping[str, Any]) -> Balance | None:
    """The balance of the names whose value is `balanced`, or `{"balanced": "mgda", "every": 4}`; None without any.

    Raises:
        UserError: a single name, options that differ, a term that none or several of the names multiply.
    """
    options = {name: _options(name, value) for name, value in given.items() if is_balanced(value)}
    if not options:
        return None
    names = tuple(name for name in objective.names if name in options)
    if len(names) < 2:
        raise UserError(
            f"coefficients.{names[0]} is balanced, but against nothing; give two names or more the value "
            "balanced, as in a*ce + b*kl(ref)"
        )
    merged: dict[str, Any] = {}
    for name, chosen in options.items():
        for key, value in chosen.items():
            if merged.setdefault(key, value) != value:
                raise UserError(
                    f"coefficients.{name}: {key} is {value}, and {merged[key]} for another balanced name; they have one"
                )
    parts = [*(((), term) for _, term in objective.parts), *((found, term) for _, found, term in objective.open_parts)]
    for found, term in parts:
        count = sum(name in names for name in found)
        if count != 1:
            told = "none" if count == 0 else "several"
            raise UserError(
                f"{', '.join(names)} are balanced, and {told} of them multiply {term} in {objective}; each term needs "
                "one"
            )
    chosen = DEFAULTS | merged
    least = chosen.pop("min")
    if least * len(names) >= 1:
        raise UserError(
            f"coefficients.{names[0]}: min is {least}; expected less than 1 / {len(names)}, for they sum to 1"
        )
    return Balance(names, **chosen, least=least)


def is_balanced(given: Any) -> bool:
    """Whether a coefficient is to be balanced."""
    return given == BALANCED or (isinstance(given, Mapping) and BALANCED in given)


def _options(name: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        return {}
    refuse_unknown(name, given, (BALANCED, *(key for key in DEFAULTS if key != "method")))
    if given[BALANCED] not in METHODS:
        raise UserError(f"coefficients.{name}: balanced is {given[BALANCED]!r}; expected {' or '.join(METHODS)}")
    for key in ("every", "tokens"):
        if key in given and (not is_number(given[key]) or given[key] < 1 or given[key] % 1):
            raise UserError(f"coefficients.{name}: {key} is {given[key]!r}; expected a whole number of at least 1")
    for key in ("smoothing", "min"):
        if key in given and (not is_number(given[key]) or not 0 <= given[key] < 1):
            raise UserError(f"coefficients.{name}: {key} is {given[key]!r}; expected a number from 0 to below 1")
    return {"method" if key == BALANCED else key: value for key, value in given.items()}
