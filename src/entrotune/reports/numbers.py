"""Numbers as reports show them: estimates with intervals, their digits, and which one may be called best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "–"


@dataclass(frozen=True)
class Shown:
    """A number read from a record: a point value and, where the record has one, its interval. Values are finite."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @property
    def has_interval(self) -> bool:
        """Whether both ends of the interval are known."""
        return self.low is not None and self.high is not None

    @property
    def text(self) -> str:
        """The value with about three significant decimals."""
        return format_number(self.value)

    @property
    def interval_text(self) -> str:
        """`low to high`, or an empty string where the record has no interval."""
        if self.low is None or self.high is None:
            return ""
        return f"{format_number(self.low)} to {format_number(self.high)}"


def read_number(value: Any) -> float | None:
    """A finite float, or None for anything else: absent, null, NaN, infinite, or not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read_estimate(entry: Any) -> Shown | None:
    """A record's `{"value", "low", "high", "n"}` or plain number; None where there is no finite value."""
    if not isinstance(entry, Mapping):
        value = read_number(entry)
        return None if value is None else Shown(value)
    value = read_number(entry.get("value"))
    if value is None:
        return None
    n = read_number(entry.get("n"))
    return Shown(value, read_number(entry.get("low")), read_number(entry.get("high")), None if n is None else int(n))


def format_number(value: float) -> str:
    """Three decimals below 10, fewer above, thousands separated; powers of ten where three decimals show nothing."""
    size = abs(value)
    if size != 0 and (size < 0.0005 or size >= 1e9):
        text = f"{value:.2e}"
    elif size < 10:
        text = f"{value + 0.0:.3f}"  # adding zero turns -0.0 into 0.0
    else:
        text = f"{value:,.{2 if size < 100 else 1 if size < 1000 else 0}f}"
    return text.replace("-", "−")


def signed(value: float) -> str:
    """A number with its sign, as differences are written."""
    return ("+" if value > 0 else "") + format_number(value)


def format_count(value: Any) -> str:
    """A whole number with thousands separated, or a dash where there is none."""
    number = read_number(value)
    return MISSING if number is None else f"{number:,.0f}"


def format_seconds(value: Any) -> str:
    """Seconds as a person would say them: `4.2 s`, `3 min 05 s`, `2 h 10 min`."""
    seconds = read_number(value)
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"


def clearly_best(groups: Sequence[Sequence[Shown | None]], better: str | None) -> tuple[int, int] | None:
    """The place (group, position) of the best estimate, if its interval lies clear of every other group's.

    Groups are variants and positions their settings: a variant is not asked to differ from itself at another
    temperature. None where there is no better direction, no second variant, or where any interval that is needed
    is missing or touches.
    """
    if better not in ("higher", "lower"):
        return None
    sign = 1 if better == "higher" else -1
    places = [(g, i, shown) for g, group in enumerate(groups) for i, shown in enumerate(group) if shown is not None]
    if not places or len({g for g, _, _ in places}) < 2:
        return None
    best_group, best_position, best = max(places, key=lambda place: sign * place[2].value)
    for g, _, other in places:
        if g != best_group and not _is_clear(best, other, sign):
            return None
    return best_group, best_position


def _is_clear(best: Shown, other: Shown, sign: int) -> bool:
    if best.low is None or best.high is None or other.low is None or other.high is None:
        return False
    return best.low > other.high if sign > 0 else best.high < other.low
