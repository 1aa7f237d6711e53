"""What is done with the perplexities of rows: an order, a filter, rows that stand out, drift over dates."""

import datetime
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrotune.data.rejects import RowError
from entrotune.errors import UserError
from entrotune.measures import bootstrap_slope, verdict
from entrotune.scoring.perplexity.measured import Floats, Sums

BY = ("perplexity", "bits_per_byte")
RANKS = ("low", "high")
PERIODS = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}
# A median absolute deviation times this is the standard deviation of a normal distribution.
_NORMAL = 1.4826
_YEAR = 365.2425


@dataclass(frozen=True, kw_only=True)
class Uses:
    """What to do with the measures of rows; see `entrotune.perplexity`."""

    by: str = "perplexity"
    rank: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    anomalies: float | None = None
    drift: str | None = None
    period: str = "month"

    @property
    def filters(self) -> bool:
        """Whether rows are divided into kept and dropped ones."""
        return self.at_least is not None or self.at_most is not None

    @property
    def any(self) -> bool:
        """Whether there is something to do with rows."""
        return self.filters or any(one is not None for one in (self.rank, self.anomalies, self.drift))

    def check(self, *, out: bool) -> None:
        """Raise `UserError` for a value that is none of those there are, or rows that have nowhere to go."""
        for name, given, known in (("by", self.by, BY), ("rank", self.rank, RANKS), ("period", self.period, PERIODS)):
            if given is not None and given not in known:
                raise UserError(f"{name} is {given!r}; expected one of {', '.join(known)}")
        for name, value in (("at_least", self.at_least), ("at_most", self.at_most), ("anomalies", self.anomalies)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UserError(f"{name} is {value}; expected a number above 0")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise UserError(f"at_least is {self.at_least:g}, more than at_most, {self.at_most:g}: no row could be kept")
        if (self.rank or self.filters) and not out:
            raise UserError("rank, at_least and at_most write files of rows; give a folder for them with out")


def ranked(values: Floats, rank: str) -> list[int]:
    """Numbers of rows by value, lowest or highest first; equal ones as they were read."""
    signed = values if rank == "low" else -values
    return [int(at) for at in np.argsort(signed, kind="stable")]


def kept(values: Floats, uses: Uses) -> NDArray[np.bool_]:
    """Which rows a filter keeps."""
    low = -math.inf if uses.at_least is None else uses.at_least
    high = math.inf if uses.at_most is None else uses.at_most
    found: NDArray[np.bool_] = (values >= low) & (values <= high)
    return found


def robust_z(values: Floats) -> tuple[Floats, float, float]:
    """How far each value lies from the median, in median absolute deviations scaled to a normal's standard deviation.

    Returns:
        The scores (0 for all where half of the values are equal, so that there is no spread to measure by), the
        median and the deviation.
    """
    median = float(np.median(values))
    deviation = float(np.median(np.abs(values - median)))
    if deviation == 0:
        return np.zeros_like(values), median, deviation
    return (values - median) / (_NORMAL * deviation), median, deviation


def scale_of(sums: Sums, by: str) -> Floats:
    """What rows are compared on: log-perplexity (nats a token), whose shape is less skewed, or bits per byte."""
    return sums.values("nll" if by == "perplexity" else by)


def anomalies_of(ids: Sequence[str], sums: Sums, uses: Uses) -> tuple[dict[str, Any], Floats]:
    """The rows whose robust z is beyond the threshold, most extreme first, and the z of all."""
    assert uses.anomalies is not None
    values = scale_of(sums, uses.by)
    z, median, deviation = robust_z(values)
    flagged = [at for at in ranked(np.abs(z), "high") if abs(z[at]) > uses.anomalies]
    measured = sums.values(uses.by)
    record = {
        "threshold": uses.anomalies,
        "scale": "nll" if uses.by == "perplexity" else uses.by,
        "median": median,
        "mad": deviation,
        "rows": len(ids),
        "high": int((z > uses.anomalies).sum()),
        "low": int((z < -uses.anomalies).sum()),
        "flagged": [{"id": ids[at], "z": float(z[at]), uses.by: finite(measured[at])} for at in flagged],
    }
    return record, z


def parse_date(value: Any) -> datetime.datetime:
    """A date from a column: ISO 8601, `2024`, `2024-05` or `2024-05-17`, with or without a time.

    Raises:
        RowError: it is none.
    """
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if found := re.fullmatch(r"(\d{4})(?:-(\d{2}))?", text):
        text = f"{found[1]}-{found[2] or '01'}-01"
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise RowError(f"no date: {value!r:.40}; expected such as 2024-05-17, 2024-05 or 2024") from None


def drift_of(dates: Sequence[datetime.datetime], sums: Sums, uses: Uses, *, seed: int) -> dict[str, Any]:
    """A line for each period that has rows, and the trend over rows.

    The trend is the slope of the least-squares line through the rows' log-perplexities (or bits per byte) against
    their dates, a year, with a bootstrap interval over rows.
    """
    names = [date.strftime(PERIODS[uses.period]) for date in dates]
    lines = []
    for name in sorted(set(names)):
        own = sums.take(np.array([at for at, other in enumerate(names) if other == name]))
        lines.append(
            {
                "period": name,
                "rows": len(own.nll),
                "tokens": int(own.tokens.sum()),
                uses.by: own.estimate(uses.by, seed=seed).to_dict(),
            }
        )
    if len(set(dates)) < 2:
        return {"column": uses.drift, "period": uses.period, "periods": lines, "trend": None}
    first = min(dates)
    years = np.array([(date - first).total_seconds() / 86400 / _YEAR for date in dates])
    slope = bootstrap_slope(years, scale_of(sums, uses.by), seed=seed)
    unit = "nats per token and year" if uses.by == "perplexity" else "bits per byte and year"
    trend = {"slope": slope.to_dict(), "unit": unit, "verdict": verdict(slope)}
    return {"column": uses.drift, "period": uses.period, "periods": lines, "trend": trend}


def finite(value: float) -> float | None:
    """The number for JSON, which has no infinity."""
    return float(value) if math.isfinite(value) else None
