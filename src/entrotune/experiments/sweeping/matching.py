"""Quality at equal diversity: a setting against plain `ce` at temperatures that make it at least as diverse.

Between two temperatures that were measured, quality and diversity of `ce` are taken on the straight line between them,
which is what sampling each prompt at one of the two by chance has on average. Of all places where `ce` is as diverse or
more, its best is compared with. The interval is the bootstrap over prompts of the difference's linear expansion in all
means that it is made of (the delta method), so it knows that the diversities themselves are estimates.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from entrotune.evaluation import Column
from entrotune.experiments.sweep_config import better
from entrotune.experiments.sweeping.measuring import Measured
from entrotune.measures import Estimate, bootstrap_mean, verdict

ROUNDING = 1e-12
# Whether the diversity is within what tempering reached, above all of it, or below all of it.
Side = Literal["within", "more diverse", "less diverse"]


@dataclass(frozen=True)
class Matched:
    """The quality of a setting minus the best of tempered `ce` at that diversity or more.

    Attributes:
        estimate: of the difference, in the measure's own direction.
        side: a setting that is more diverse than `ce` at any temperature is compared with the best of `ce`; for one
            that is less diverse, `ce` at all of its temperatures counts.
        temperatures: of `ce`, between which the comparison lies; one of them twice where it lies there.
        share: how far it lies from the first to the second.
        sign: 1 where larger values of the measure are better, else −1.
    """

    estimate: Estimate
    side: Side
    temperatures: tuple[float, float]
    share: float
    sign: int

    @property
    def nearest(self) -> float:
        """The temperature of `ce` that is nearest in diversity."""
        return self.temperatures[self.share > 0.5]

    @property
    def advantage(self) -> float:
        """The difference, positive where the setting is better."""
        return self.sign * self.estimate.value

    @property
    def certain(self) -> float:
        """The end of the interval that speaks least for the setting; the difference where there is no interval."""
        end = self.estimate.low if self.sign > 0 else self.estimate.high
        return self.advantage if end is None else self.sign * end

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `no difference shown`; better only where it is at least as diverse."""
        found = verdict(self.estimate)
        if found == "no difference shown":
            return found
        if (found == "higher") != (self.sign > 0):
            return "worse" if self.side != "more diverse" else "no difference shown"
        return "better" if self.side != "less diverse" else "no difference shown"

    def to_dict(self) -> dict[str, Any]:
        """The comparison as it stands in a record."""
        return {
            "difference": self.estimate.to_dict(),
            "verdict": self.verdict,
            "side": self.side,
            "temperatures": list(self.temperatures),
            "share": round(self.share, 4),
        }


def match(
    setting: Measured, tempered: Sequence[Measured], *, quality: str, diversity: str, seed: int
) -> Matched | None:
    """Compare a setting with tempered `ce`; None where the measures are undefined for one of them.

    Args:
        setting: at one temperature.
        tempered: plain `ce` at several temperatures.
        quality: the measure that is compared.
        diversity: the measure that is to be equal.
        seed: of the bootstrap.
    """
    wanted, sign = setting.mean(diversity), better(quality)
    known = [one for one in tempered if one.mean(quality) is not None and one.mean(diversity) is not None]
    if wanted is None or setting.mean(quality) is None or not known:
        return None
    front = sorted(known, key=lambda one: one.temperature)
    side, first, second, share = _place(wanted, front, quality, diversity)
    start, end = _number(first, diversity), _number(second, diversity)
    slope = (_number(second, quality) - _number(first, quality)) / (end - start) if end != start else 0.0
    parts = [(setting, 1.0), (first, -(1 - share)), (second, -share)]
    estimate = _expanded(parts, quality, diversity, slope, seed)
    return Matched(estimate, side, (first.temperature, second.temperature), share, sign)


def _place(
    wanted: float, front: Sequence[Measured], quality: str, diversity: str
) -> tuple[Side, Measured, Measured, float]:
    """Where `ce` is best among all places where it is at least as diverse.

    These are the settings that are as diverse or more, and the places between two where the line has the diversity
    that is wanted; each is given by the two settings around it and the share of the way.
    """
    sign = better(diversity)
    found = [(one, one, 0.0) for one in front if sign * _number(one, diversity) >= sign * wanted]
    is_above = not found
    for first, second in itertools.pairwise(front):
        start, end = _number(first, diversity), _number(second, diversity)
        if min(start, end) < wanted < max(start, end):
            found.append((first, second, (wanted - start) / (end - start)))
    is_below = all(sign * _number(one, diversity) > sign * wanted for one in front)
    found = found or [(one, one, 0.0) for one in front]

    def value(place: tuple[Measured, Measured, float]) -> float:
        first, second, share = place
        return better(quality) * ((1 - share) * _number(first, quality) + share * _number(second, quality))

    return "more diverse" if is_above else "less diverse" if is_below else "within", *max(found, key=value)


def _expanded(
    parts: Sequence[tuple[Measured, float]], quality: str, diversity: str, slope: float, seed: int
) -> Estimate:
    """Σ weight·(quality − slope·diversity) with its interval, from what each prompt adds to each of the means."""
    columns = [
        (one.record.columns[name], weight * factor)
        for one, weight in parts
        for name, factor in ((quality, 1.0), (diversity, -slope))
        if weight != 0
    ]
    ids = dict.fromkeys(name for column, _ in columns for name in column.ids)
    position = {name: place for place, name in enumerate(ids)}
    value, size, added_N, size_N = 0.0, 0.0, np.zeros(len(ids)), np.zeros(len(ids))
    counts = []
    for column, factor in columns:
        mean, influence, count = _influence(column)
        value += factor * mean
        size += abs(factor * mean)
        places = [position[name] for name in column.ids]
        np.add.at(added_N, places, factor * influence)
        np.add.at(size_N, places, np.abs(factor * influence))
        counts.append(count)
    # What is left by rounding alone could pass for a difference that all prompts share.
    value = 0.0 if abs(value) < ROUNDING * size else value
    added_N[np.abs(added_N) < ROUNDING * size_N] = 0.0
    estimate = bootstrap_mean(value + len(ids) * added_N, seed=seed)
    # An interval says no more than the measure with the fewest prompts.
    return dataclasses.replace(estimate, n=min(counts))


def _influence(column: Column) -> tuple[float, Any, int]:
    """The mean of a column, what each prompt adds to its error, and how many prompts it is over."""
    values = column.values
    weights = np.ones(len(values)) if column.weights is None else column.weights
    used = ~np.isnan(values) & (weights > 0)
    total = weights[used].sum()
    mean = float(values[used].sum() / total)
    return mean, np.where(used, (np.where(used, values, 0.0) - mean * weights) / total, 0.0), int(used.sum())


def _number(measured: Measured, metric: str) -> float:
    value = measured.mean(metric)
    assert value is not None
    return value


def halves(measured: Measured, diversity: str, *, seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """Two halves of the prompts by chance: one to choose a setting on, one to confirm it on.

    Those that were sampled from are shared out evenly, and so are the rest.
    """
    columns = measured.record.columns
    sampled = dict.fromkeys(columns[diversity].ids)
    rest = dict.fromkeys(name for column in columns.values() for name in column.ids if name not in sampled)

    def order(names: Mapping[str, None]) -> list[str]:
        return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:half:{name}".encode()).digest())

    first, second = ([*order(sampled)[start::2], *order(rest)[start::2]] for start in (0, 1))
    return frozenset(first), frozenset(second)
