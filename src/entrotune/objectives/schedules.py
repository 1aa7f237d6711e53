"""Coefficients that change as a run goes on, by its steps or its epochs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from entrotune.errors import UserError

Unit = Literal["step", "epoch"]
Shape = Literal["linear", "cosine", "step"]
SHAPES: tuple[Shape, ...] = ("linear", "cosine", "step")


@dataclass(frozen=True)
class Moment:
    """Where a run is.

    Attributes:
        step: optimiser steps that are done.
        steps: of the whole run.
        epoch: epochs that are done.
        epochs: of the whole run, the last of which may be a part.
    """

    step: int = 0
    steps: int = 1
    epoch: int = 0
    epochs: int = 1

    def counted(self, unit: Unit) -> tuple[int, int]:
        """What is done and how much there is, in steps or epochs."""
        return (self.step, self.steps) if unit == "step" else (self.epoch, self.epochs)


class Course(Protocol):
    """The value of a coefficient over a run."""

    def at(self, moment: Moment) -> float:
        """Its value for the next step."""

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value it can take."""


@dataclass(frozen=True)
class Constant:
    """One value."""

    value: float

    def at(self, moment: Moment) -> float:
        return self.value

    def bounds(self) -> tuple[float, float]:
        return self.value, self.value


@dataclass(frozen=True)
class Schedule:
    """A value that follows the steps of a run, or its epochs.

    During warm-up it rises from 0 by equal steps to what the schedule begins with. A ramp takes the rest of the run:
    its first step or epoch after warm-up has the first value, the last one the second.

    Attributes:
        shape: linear and cosine go from the first level to the second; step holds each level from its start on.
        levels: starts and values; those of a ramp start at 0 and 1, its two ends.
        per: what is counted.
        warmup: so many of them, or the share of all where it is below 1.
    """

    shape: Shape
    levels: tuple[tuple[int, float], ...]
    per: Unit = "step"
    warmup: float = 0

    def at(self, moment: Moment) -> float:
        done, count = moment.counted(self.per)
        rising = math.ceil(self.warmup * count) if self.warmup < 1 else int(self.warmup)
        if self.shape == "step":
            value = next(value for start, value in reversed(self.levels) if start <= done)
        else:
            value = self._ramp((done - rising) / max(1, count - 1 - rising))
        return value * done / rising if done < rising else value

    def _ramp(self, share: float) -> float:
        (_, first), (_, last) = self.levels
        share = min(max(share, 0.0), 1.0)
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return first * (1 - share) + last * share

    def bounds(self) -> tuple[float, float]:
        values = [value for _, value in self.levels] + ([0.0] if self.warmup else [])
        return min(values), max(values)


def read_schedule(name: str, given: Mapping[str, Any]) -> Schedule:
    """The schedule of `{"linear": [0, 0.2], "per": "epoch", "warmup": 2}`.

    Raises:
        UserError: an unknown key, or a value that does not fit.
    """
    shape = next(key for key in SHAPES if key in given)
    refuse_unknown(name, given, (shape, "per", "warmup"))
    per, warmup = given.get("per", "step"), given.get("warmup", 0)
    if per not in ("step", "epoch"):
        raise UserError(f"coefficients.{name}: per is {per!r}; expected step or epoch")
    if not is_number(warmup) or warmup < 0 or (warmup >= 1 and warmup != int(warmup)):
        raise UserError(
            f"coefficients.{name}: warmup is {warmup!r}; expected a whole number of {per}s, or a share below 1 of them"
        )
    levels = _levels(name, given["step"]) if shape == "step" else _ends(name, shape, given[shape])
    return Schedule(shape, levels, per, warmup)


def _ends(name: str, shape: str, given: Any) -> tuple[tuple[int, float], ...]:
    if not (isinstance(given, Sequence) and len(given) == 2 and all(map(is_number, given))):
        raise UserError(f"coefficients.{name}: {shape} is {given!r}; expected two numbers, such as [0, 0.2]")
    return (0, float(given[0])), (1, float(given[1]))


def _levels(name: str, given: Any) -> tuple[tuple[int, float], ...]:
    expected = "expected values by where they start, from 0 on, such as {0: 0.1, 100: 0.02}"
    if not isinstance(given, Mapping) or not all(str(start).isdecimal() for start in given):
        raise UserError(f"coefficients.{name}: step is {given!r}; {expected}")
    levels = tuple(sorted((int(start), value) for start, value in given.items()))
    starts = [start for start, _ in levels]
    if starts[:1] != [0] or len(set(starts)) < len(starts) or not all(is_number(value) for _, value in levels):
        raise UserError(f"coefficients.{name}: step is {given!r}; {expected}")
    return tuple((start, float(value)) for start, value in levels)


def refuse_unknown(name: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise a `UserError` where a coefficient is given something that is not `known`."""
    if unknown := [str(key) for key in given if key not in known]:
        raise UserError(f"coefficients.{name} has {', '.join(unknown)}; expected {', '.join(known)}")


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
