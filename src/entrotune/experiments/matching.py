"""Where plain `ce` is as diverse as a variant: between two of its temperatures."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from entrotune.evaluation import Column, SettingRecord

NEAR = 0.003
"""Up to here two temperatures are close enough to the one between them: see `Matched.is_near`."""


@dataclass(frozen=True)
class Matched:
    """The settings of `ce` that together are as diverse as a variant.

    Attributes:
        lower: the setting of lower diversity, or the only one.
        upper: that of higher diversity; the same where one setting is as diverse, or is the nearest.
        share: of `upper`, 0 to 1.
        wanted: the variant's setting.
        diversity: the measure in which they match.
        exact: whether they are as diverse; else they are only the nearest.
    """

    lower: SettingRecord
    upper: SettingRecord
    share: float
    wanted: SettingRecord
    diversity: str
    exact: bool

    @property
    def temperatures(self) -> tuple[float, ...]:
        """One, or the two between which `ce` is as diverse."""
        return tuple(dict.fromkeys((self.lower.temperature, self.upper.temperature)))

    @property
    def temperature(self) -> float:
        """About the one at which `ce` is as diverse: on the line between the two."""
        return round((1 - self.share) * self.lower.temperature + self.share * self.upper.temperature, 3)

    @property
    def is_near(self) -> bool:
        """Whether `ce` was measured so near to that temperature that a bend of its curves makes no difference.

        At t between a and b a line is off by (t − a)(b − t)/2 times the second derivative, which for the NLL was 4 to 7
        nats (docs/evidence): by 0.01 nats at most.
        """
        below, above = (abs(self.temperature - one.temperature) for one in (self.lower, self.upper))
        return below * above <= NEAR * self.temperature**2

    @property
    def metrics(self) -> list[str]:
        """Measures that both settings have; between two temperatures without the diversity.

        The NLL of a temperature between lies below the mean of the two, so a mean would be unfair to the baseline; it
        is there where one of the two is next to the temperature that is wanted.
        """
        both = [name for name in self.lower.columns if name in self.upper.columns]
        if len(self.temperatures) == 1:
            return both
        return [name for name in both if name != self.diversity and (name != "nll" or self.is_near)]

    def to_dict(self) -> dict[str, Any]:
        """The setting as it stands in a comparison."""
        if len(self.temperatures) == 1:
            return {"temperature": self.lower.temperature}
        between = {"temperature": None, "between": list(self.temperatures), "share": round(self.share, 6)}
        return between | ({"about": self.temperature} if self.is_near else {})

    def setting(self, metric: str) -> SettingRecord:
        """The setting with one measure, interpolated where there are two temperatures."""
        column = self.lower.columns[metric] if len(self.temperatures) == 1 else self._between(metric)
        return replace(self.lower, columns={metric: column})

    def of_seed(self, metric: str, lower: SettingRecord, upper: SettingRecord, wanted: SettingRecord) -> float:
        """The measure that `ce` has there with one seed, given that seed's records.

        The share is that of all seeds; how far the seed is from equal diversity moves it along the line, so that the
        mean over seeds is that of `setting` (of a mean over tokens to first order).
        """
        low, high = lower.columns[metric], upper.columns[metric]
        if len(self.temperatures) == 1:
            return low.mean()
        first, second, own = (one.columns[self.diversity].mean() for one in (lower, upper, wanted))
        away = own - (1 - self.share) * first - self.share * second
        return self._mixed(low, high).mean() + self._slope(metric) * away

    def _mixed(self, lower: Column, upper: Column) -> Column:
        """(1 − share) · lower + share · upper: what is expected where that share of the answers is drawn at `upper`."""
        values = (1 - self.share) * lower.values + self.share * upper.values
        if lower.weights is None or upper.weights is None:
            return Column(lower.ids, values)
        return Column(lower.ids, values, (1 - self.share) * lower.weights + self.share * upper.weights)

    def _slope(self, metric: str) -> float:
        """How a measure changes with the diversity on the line between the two settings, at the share."""
        lower, upper = self.lower.columns[metric], self.upper.columns[metric]
        rise = upper.mean() - lower.mean()
        if lower.weights is not None and upper.weights is not None:  # a ratio of sums: its derivative by the share
            mixed = self._mixed(lower, upper)
            assert mixed.weights is not None
            sums = np.nansum(upper.values - lower.values) - mixed.mean() * np.nansum(upper.weights - lower.weights)
            rise = float(sums / np.nansum(mixed.weights))
        return rise / (self.upper.columns[self.diversity].mean() - self.lower.columns[self.diversity].mean())

    def _between(self, metric: str) -> Column:
        """The two settings mixed, with the error that the share has.

        The share itself is estimated, from diversities over the same prompts. To first order its error is that of the
        line between the two settings, so each prompt gets the value on it at its own diversity: the mean stays as it
        is, and the interval is that of the whole procedure (delta method; of a mean over tokens the prompt's sum is
        moved by as much as moves the ratio). Rows that are no prompts are only mixed.
        """
        mixed = self._mixed(self.lower.columns[metric], self.upper.columns[metric])
        low, high, own = (one.columns[self.diversity] for one in (self.lower, self.upper, self.wanted))
        if low.ids != mixed.ids:
            return mixed
        away = own.values - (1 - self.share) * low.values - self.share * high.values
        weights = np.ones(len(away)) if mixed.weights is None else mixed.weights
        away[~(weights > 0)] = np.nan  # nothing to move
        away -= np.nanmean(away)  # already 0 where diversity is defined for all prompts
        moved = self._slope(metric) * float(np.nanmean(weights)) * np.nan_to_num(away)
        return replace(mixed, values=mixed.values + moved)


def as_diverse(
    baseline: Sequence[SettingRecord], settings: Sequence[SettingRecord], diversity: str, *, near: float
) -> Matched | None:
    """Where the baseline is as diverse as a variant; None where diversity is undefined.

    Args:
        baseline: at several temperatures.
        settings: the variant's. That nearest to the reference temperature is matched; where the baseline comes
            nowhere so far, the nearest that it does reach.
        diversity: the measure.
        near: the reference temperature.
    """
    places = [
        place
        for wanted in sorted(settings, key=lambda one: abs(one.temperature - near))
        if (place := _place(baseline, wanted, diversity, near)) is not None
    ]
    return next((place for place in places if place.exact), places[0] if places else None)


def _place(baseline: Sequence[SettingRecord], wanted: SettingRecord, diversity: str, near: float) -> Matched | None:
    """Of several places, that nearest to a temperature; the nearest setting where the baseline does not come so far."""
    target = _mean(wanted, diversity)
    known = [(found, one) for one in baseline if (found := _mean(one, diversity)) is not None]
    if target is None or not known:
        return None
    away = [(abs(found - target), abs(one.temperature - near)) for found, one in known]
    nearest = known[min(range(len(known)), key=away.__getitem__)][1]
    if min(away)[0] == 0:
        return Matched(nearest, nearest, 0.0, wanted, diversity, exact=True)
    in_order = itertools.pairwise(sorted(known, key=lambda one: one[1].temperature))
    by_diversity = [sorted(pair, key=lambda one: one[0]) for pair in in_order]
    places = [
        Matched(first, second, (target - low) / (high - low), wanted, diversity, exact=True)
        for (low, first), (high, second) in by_diversity
        if low < target < high
    ]
    if not places:
        return Matched(nearest, nearest, 0.0, wanted, diversity, exact=False)
    return min(places, key=lambda place: abs(np.mean(place.temperatures) - near))


def _mean(setting: SettingRecord, metric: str) -> float | None:
    """The mean over prompts; None without samples, and where none has the measure, as pairs of words in one word."""
    column = setting.columns.get(metric)
    value = math.nan if column is None else column.mean()
    return None if math.isnan(value) else value
