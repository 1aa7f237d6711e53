"""A target set: a request, the outputs that are wanted for it, and how often each."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from entrotune.data.rows import Message
from entrotune.errors import UserError

# How far given weights may be from a sum of 1; they are then divided by their sum.
WEIGHT_TOLERANCE = 1e-3
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class TargetSet:
    """What a model is to answer to a request, as a distribution over texts.

    Attributes:
        name: tells it from other sets.
        source: where it was read: a file, and the entry in it, a mimesis list or a range.
        group: sets of one group are left out together.
        request: a text, or the turns of a chat.
        responses: what the answer begins with; of several, training draws one a pass.
        targets: what follows, each another text.
        weights: wanted probability of each target, above 0, summing to 1.
        eos: whether an output ends after its target.
        mixture: how often the set is used, relative to the others.
        merged: duplicates that a built-in list had.
    """

    name: str
    source: str
    group: str
    request: str | tuple[Message, ...]
    responses: tuple[str, ...]
    targets: tuple[str, ...]
    weights: tuple[float, ...]
    eos: bool = True
    mixture: float = 1.0
    merged: int = 0

    @property
    def floor(self) -> float:
        """Entropy of the weights, nats: the lowest loss there is."""
        return entropy_of(self.weights)


def entropy_of(weights: Sequence[float]) -> float:
    """−Σ w ln w, nats."""
    return -math.fsum(weight * math.log(weight) for weight in weights)


def check_targets(targets: Sequence[str], where: str, *, entry: str = "target") -> None:
    """Refuse targets that are none, empty or given twice.

    Args:
        where: the source, for the message.
        entry: what a target's number counts: `line` of a text file, else `target`.

    Raises:
        UserError: with the numbers of the offenders, from 1, and what to do.
    """
    if not targets:
        raise UserError(f"{where} has no target; give at least one output, as text")
    if empty := [str(number) for number, target in enumerate(targets, start=1) if not target.strip()]:
        raise UserError(f"{where}: {entry} {', '.join(empty[:_SHOWN])} is empty; give it a text or take it out")
    if twice := [target for target, count in Counter(targets).items() if count > 1]:
        told = "; ".join(
            f"{target!r} ({entry} {', '.join(str(at) for at, other in enumerate(targets, start=1) if other == target)})"
            for target in twice[:_SHOWN]
        )
        raise UserError(
            f"{where} has {len(twice)} duplicate target{'s' * (len(twice) > 1)}: {told}; keep each once, and give it a "
            "higher weight if it is to be more likely"
        )


def checked_weights(weights: Sequence[float] | None, count: int, where: str) -> tuple[float, ...]:
    """Weights that sum to 1: those given, or equal ones.

    Raises:
        UserError: another number of them than of targets, one that is not above 0, or a sum that is not 1.
    """
    if weights is None:
        return (1 / count,) * count
    if len(weights) != count:
        raise UserError(f"{where} has {count} targets and {len(weights)} weights; give one weight for each target")
    if bad := [number for number, weight in enumerate(weights, start=1) if not 0 < weight < math.inf]:
        raise UserError(
            f"{where}: weight {bad[0]} is {weights[bad[0] - 1]:g}; weights must be above 0: take a target out that is "
            "never wanted"
        )
    total = math.fsum(weights)
    if abs(total - 1) > WEIGHT_TOLERANCE:
        raise UserError(f"{where}: the weights sum to {total:g}, not 1; divide each by {total:g}")
    return tuple(weight / total for weight in weights)


def split_targets(one: TargetSet, share: float, seed: int) -> tuple[int, ...]:
    """Indices of the targets that are left when a share of them, chosen by the seed, is held out.

    Raises:
        UserError: no target would be left to train on, or none to hold out.
    """
    # A hash, not a generator: which targets are held out must not change with a library.
    count = round(share * len(one.targets))
    if not 0 < count < len(one.targets):
        raise UserError(
            f"{one.source}: holding out {share:g} of {len(one.targets)} targets leaves none on one side; use another "
            "share, or leave the set out"
        )
    order = sorted(
        range(len(one.targets)), key=lambda at: sha256(f"{seed}:{one.name}:{one.targets[at]}".encode()).digest()
    )
    return tuple(sorted(order[count:]))


def select(one: TargetSet, indices: Sequence[int]) -> TargetSet:
    """The set of some of its targets, weights rescaled to a sum of 1."""
    total = math.fsum(one.weights[at] for at in indices)
    return replace(
        one,
        targets=tuple(one.targets[at] for at in indices),
        weights=tuple(one.weights[at] / total for at in indices),
    )
