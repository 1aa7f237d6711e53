"""Quality at equal diversity: a setting against plain `ce` at temperatures that make it at least as diverse.

Between temperatures that were measured, quality and diversity of `ce` are taken on two ways, of which the better one
counts: the straight line between two of them, which is what sampling each prompt at one of the two by chance has on
average, and the cubic spline over the logarithm of the temperature. The line alone is unfair to `ce`, whose curves
bend: NLL at a temperature between two lies below it by 0.05 to 0.2 nats where they are 0.3 apart, from the spline by
0.01 (benchmarks/bent_fronts.py). Of all places where `ce` is as diverse or more, its best is compared with. The
interval is the bootstrap over prompts of the difference's linear expansion in all means that it is made of (the delta
method), so it knows that the diversities themselves are estimates.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from entrotune.evaluation import Column
from entrotune.experiments.sweep_config import better
from entrotune.experiments.sweeping.measuring import Measured
from entrotune.measures import Estimate, bootstrap_mean, verdict, with_zero

ROUNDING = 1e-12
# Places looked at between two temperatures.
STEPS = 16
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
        return self.temperatures[int(self.share > 0.5)]

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
    side, place = _best_place(wanted, front, quality, diversity)
    parts = [(setting, 1.0), *((one, -weight) for one, weight in zip(front, place.weights, strict=True))]
    estimate = _expanded(parts, quality, diversity, place.slope, seed)
    first, second = (front[at].temperature for at in place.around)
    return Matched(estimate, side, (first, second), place.share, sign)


class _Place(NamedTuple):
    """A place on the way of `ce` over temperatures.

    Attributes:
        around: the settings that it lies between, by number; one twice where it lies there.
        share: how far it lies from the first to the second.
        weights: of all settings, that make its quality and diversity.
        slope: of quality over diversity there; 0 where the diversity is not met but surpassed.
    """

    around: tuple[int, int]
    share: float
    weights: NDArray[np.float64]
    slope: float


def _best_place(wanted: float, front: Sequence[Measured], quality: str, diversity: str) -> tuple[Side, _Place]:
    """Where `ce` is best among all places where it is at least as diverse."""
    sign = better(diversity)
    values = np.array([[_number(one, name) for name in (quality, diversity)] for one in front])
    above = sign * (values[:, 1] - wanted)
    found = [place for way in _ways(front) for place in _reached(way, above, values)]
    side: Side = "within" if found else "more diverse"
    if all(above > 0):
        side = "less diverse"
    found = found or [_Place((at, at), 0.0, row, 0.0) for at, row in enumerate(np.eye(len(front)))]
    return side, max(found, key=lambda place: better(quality) * float(place.weights @ values[:, 0]))


class _Way(NamedTuple):
    """From one temperature to the next: shares of the way [S], and the weights of all settings there [S, settings]."""

    around: tuple[int, int]
    shares: NDArray[Any]
    weights: NDArray[Any]


def _ways(front: Sequence[Measured]) -> Iterator[_Way]:
    """Straight and along the spline; the settings themselves are ways of one place."""
    places, each = np.log([one.temperature for one in front]), np.eye(len(front))
    for at in range(len(front)):
        yield _Way((at, at), np.zeros(1), each[at : at + 1])
    for first, second in itertools.pairwise(range(len(front))):
        yield _Way((first, second), np.array([0.0, 1.0]), each[first : second + 1])
        if len(front) > 2:
            shares = np.linspace(0.0, 1.0, STEPS + 1)
            at_shares = (1 - shares) * places[first] + shares * places[second]
            yield _Way((first, second), shares, CubicSpline(places, each)(at_shares))


def _reached(way: _Way, above: NDArray[Any], values: NDArray[Any]) -> Iterator[_Place]:
    """Places of a way that are diverse enough: those looked at, and where it crosses the diversity that is wanted.

    Args:
        way: a way.
        above: by how much each setting is more diverse than is wanted.
        values: quality and diversity of each setting.
    """
    around, shares, weights = way
    along = weights @ above
    for at in np.flatnonzero(along >= 0):
        yield _Place(around, float(shares[at]), weights[at], 0.0)
    for at in np.flatnonzero(along[:-1] * along[1:] < 0):
        part = along[at] / (along[at] - along[at + 1])
        start, end = weights[at : at + 2] @ values
        yield _Place(
            around,
            float((1 - part) * shares[at] + part * shares[at + 1]),
            (1 - part) * weights[at] + part * weights[at + 1],
            float((end[0] - start[0]) / (end[1] - start[1])),
        )


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
    values_N = value + len(ids) * added_N
    # An interval says no more than the measure with the fewest prompts.
    fewest = min(counts)
    found = bootstrap_mean(values_N, seed=seed, carried_by=fewest)
    return dataclasses.replace(with_zero(found, differing=min(fewest, int((values_N != 0).sum()))), n=fewest)


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
