"""What was measured with several seeds as one record."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit

from entrotune.evaluation import Column, SettingRecord


def over_seeds(records: Sequence[SettingRecord]) -> SettingRecord:
    """Records of several seeds as one: values and weights averaged for each prompt.

    The samples are the first's; measures of all samples as one corpus are of no single seed, and are left out.
    """
    first = records[0]
    if len(records) == 1:
        return first
    return dataclasses.replace(first, columns={name: _mean(name, records) for name in first.columns}, corpus={})


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
