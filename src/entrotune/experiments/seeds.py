"""What was measured with several seeds as one record."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from scipy.special import stdtrit

from entrotune.evaluation import Column, SettingRecord
from entrotune.measures import Estimate, verdict

T = TypeVar("T")


def over_seeds(records: Sequence[SettingRecord]) -> SettingRecord:
    """Records of several seeds as one: values and weights averaged for each prompt.

    The samples are the first's; measures of all samples as one corpus are of no single seed, and are left out.
    """
    first = records[0]
    if len(records) == 1:
        return first
    return dataclasses.replace(first, columns={name: _mean(name, records) for name in first.columns}, corpus={})


def each_over_seeds(by_seed: Sequence[Sequence[SettingRecord]]) -> list[SettingRecord]:
    """The settings of several seeds as one list: a record a temperature."""
    return [over_seeds(records) for records in zip(*by_seed, strict=True)]


def paired_seeds(a: Sequence[T], b: Sequence[T]) -> list[tuple[T, T]]:
    """What belongs to one seed on both sides; what was measured once, as the untouched model, stands beside each."""
    count = max(len(a), len(b))
    return list(zip(*(list(side) * count if len(side) == 1 else side for side in (a, b)), strict=True))


def differences_by_seed(a: Sequence[SettingRecord], b: Sequence[SettingRecord], metric: str) -> list[float]:
    """Of each seed, the mean of a measure in `a` minus that in `b`; NaN where it is undefined."""
    return [one.columns[metric].mean() - other.columns[metric].mean() for one, other in paired_seeds(a, b)]


def difference_entry(estimate: Estimate, by_seed: Sequence[float]) -> dict[str, Any]:
    """A difference with its verdict, in a record.

    With several seeds it also has Student's t interval over what each seed alone has, and a difference is shown only
    where both intervals lie on one side of 0: that over prompts knows nothing of another seed.

    Args:
        estimate: of the difference, over prompts.
        by_seed: the difference of each seed; one value where there is one seed.
    """
    found = verdict(estimate)
    entry = {"difference": estimate.to_dict(), "verdict": found}
    if len(by_seed) < 2:
        return entry
    known = [value for value in by_seed if math.isfinite(value)]
    if len(known) < 2:
        return entry | {"verdict": "no difference shown"}
    seeds = t_interval(known)
    agree = seeds["low"] > 0 if found == "higher" else seeds["high"] < 0
    return entry | {"verdict": found if agree else "no difference shown", "seeds": seeds | {"values": known}}


def _mean(name: str, records: Sequence[SettingRecord]) -> Column:
    """The mean of the values that are defined; of the weights, which differ where they count a seed's own tokens."""
    columns = [record.columns[name] for record in records]
    values = np.array([column.values for column in columns])
    defined = (~np.isnan(values)).sum(0)
    average = np.where(defined > 0, np.nansum(values, axis=0) / np.maximum(defined, 1), np.nan)
    weights = [column.weights for column in columns if column.weights is not None]
    return Column(columns[0].ids, average, np.mean(np.array(weights, dtype=np.float64), axis=0) if weights else None)


def t_interval(values: Sequence[float], *, level: float = 0.95) -> dict[str, Any]:
    """Mean with Student's t interval; no interval for one value."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return {"value": mean, "low": None, "high": None, "n": n}
    arm = float(stdtrit(n - 1, (1 + level) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return {"value": mean, "low": mean - arm, "high": mean + arm, "n": n}
