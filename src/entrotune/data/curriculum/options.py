"""What an order is made by."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from entrotune.errors import UserError
from entrotune.seeds import check_seed

Schedule = Literal["increasing", "decreasing", "periodic", "hill", "interleaved", "random"]
Pacing = Literal["none", "linear", "root", "step"]
Regression = Literal["rank", "linear"]
Within = Literal["shuffled", "input"]


@dataclass(frozen=True, kw_only=True)
class OrderOptions:
    """How scores become an order; the fields of `entrotune order` by the same names.

    Raises:
        UserError: a value that is not one of those allowed, or two that contradict each other.
    """

    by: str = "entropy_mean"
    schedule: Schedule = "increasing"
    bins: int | Literal["sorted"] = 10
    within: Within = "shuffled"
    periods: int = 4
    pacing: Pacing = "none"
    start: float = 0.2
    full_at: float = 0.8
    stairs: int = 4
    epochs: int = 1
    keep: tuple[float, float] = (0.0, 1.0)
    drop_top: float = 0.0
    residual: str | None = None
    regression: Regression = "rank"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("schedule", Schedule), ("pacing", Pacing), ("within", Within), ("regression", Regression)):
            value, choices = getattr(self, name), get_args(kind)
            if value not in choices:
                raise UserError(f"{name} is {value!r}; expected {', '.join(choices[:-1])} or {choices[-1]}")
        for name in ("periods", "stairs", "epochs"):
            if not _is_count(getattr(self, name)):
                raise UserError(f"{name} must be a whole number of at least 1, not {getattr(self, name)!r}")
        if self.bins != "sorted" and not _is_count(self.bins):
            raise UserError(f"bins must be a whole number of at least 1 or 'sorted', not {self.bins!r}")
        check_seed("seed", self.seed)
        self._check_shares()
        self._check_together()

    def _check_shares(self) -> None:
        for name in ("start", "full_at"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 < value <= 1):
                raise UserError(f"{name} must be a share above 0 and up to 1, not {value!r}")
        if not (_is_number(self.drop_top) and 0 <= self.drop_top < 100):
            raise UserError(f"drop_top must be a percentage of at least 0 and below 100, not {self.drop_top!r}")
        kept = tuple(self.keep)
        if len(kept) != 2 or not all(map(_is_number, kept)) or not 0 <= kept[0] < kept[1] <= 1:
            raise UserError(f"keep must be two quantiles from 0 to 1, the lower first, such as [0.1, 0.9], not {kept}")
        object.__setattr__(self, "keep", kept)

    def _check_together(self) -> None:
        if self.schedule == "interleaved" and self.bins == "sorted":
            raise UserError("schedule interleaved takes a row of each bin in turn: give bins as a number")
        if self.pacing == "none":
            return
        if self.schedule not in ("increasing", "decreasing"):
            raise UserError(
                f"pacing {self.pacing} admits bins from one end; it goes with schedule increasing or decreasing, "
                f"not {self.schedule}"
            )
        if self.bins == "sorted":
            raise UserError(f"pacing {self.pacing} admits bins: give bins as a number")

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return dataclasses.asdict(self) | {"keep": list(self.keep)}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
