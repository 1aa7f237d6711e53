"""A coefficient that holds the entropy of predictions at a target."""

import math
from collections.abc import Mapping
from typing import Any

from entrotune.errors import UserError
from entrotune.objectives.schedules import Moment, is_number, refuse_unknown

DEFAULTS = {"min": 0.0, "max": 1.0, "start": None, "gain": 0.01, "damping": 0.05, "warmup": 0}
# The target is out of reach where, in two spans of so many steps, the coefficient stood at a bound for the one share of
# them, the mean entropy was further than the next from the target, and came no nearer to it by the last.
SPAN = 25
STUCK_SHARE = 0.7
OFF_SHARE = 0.05
NEARER_SHARE = 0.05
# What a controller goes on from.
_STATE = ("integral", "value", "steps", "at_bound", "errors", "before", "told")


class EntropyController:
    """Dual ascent on a coefficient: it grows while the mean token entropy is below the target, and shrinks above it.

    The coefficient is the multiplier of the constraint "mean entropy = target". After each optimiser step, with the
    error e = target − entropy, it becomes integral + gain·e + damping·e, within its bounds, and gain·e is added to the
    integral. Integration alone swings around the target, because a model follows its coefficient late; the
    proportional part damps that (Stooke et al. 2020, arXiv 2007.03964). Anti-windup: what would push the coefficient
    further over a bound is not added.

    Args:
        target: mean entropy of the predictions of supervised tokens, nats.
        low: least coefficient.
        high: greatest coefficient.
        start: the first coefficient, held through warm-up; by default 0, or the bound nearest to it.
        gain: change of the coefficient per nat and step.
        damping: change of the coefficient per nat.
        warmup: steps through which the coefficient does not move.
        raises: whether a greater coefficient raises the entropy, as alpha of `ce - alpha*entropy` does.
    """

    def __init__(
        self,
        target: float,
        *,
        low: float = 0.0,
        high: float = 1.0,
        start: float | None = None,
        gain: float = 0.01,
        damping: float = 0.05,
        warmup: int = 0,
        raises: bool = True,
    ) -> None:
        self.target, self.low, self.high = target, low, high
        self.gain, self.damping, self.warmup = gain, damping, warmup
        self.sign = 1.0 if raises else -1.0
        self.integral = self._within(0.0 if start is None else start)
        self.value = self.integral
        # Of this span the steps, those at a bound and the sum of errors; the mean error of a span before it that was
        # stuck, else None; and whether that was told.
        self.steps, self.at_bound, self.errors = 0, 0, 0.0
        self.before: float | None = None
        self.told = False

    def at(self, moment: Moment) -> float:
        """The coefficient of the next step."""
        return self.value

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest coefficient."""
        return self.low, self.high

    def observe(self, entropy: float, step: int) -> None:
        """Take the mean entropy that was measured in optimiser step `step`, counted from 1."""
        if step <= self.warmup:
            return
        error = self.sign * (self.target - entropy)
        wanted = self.integral + (self.gain + self.damping) * error
        self.value = self._within(wanted)
        over = wanted - self.value
        if over * error <= 0:  # inside of the bounds, or on the way back
            self.integral = self._within(self.integral + self.gain * error)
        self._watch(error, at_bound=over * error > 0)

    def _watch(self, error: float, *, at_bound: bool) -> None:
        """Look at means over a span, as a single step's entropy is that of its few tokens."""
        if self.steps == SPAN:
            stuck = self._is_stuck()
            self.before = self.errors / SPAN if stuck else None
            self.told = self.told and stuck
            self.steps, self.at_bound, self.errors = 0, 0, 0.0
        self.steps += 1
        self.at_bound += at_bound
        self.errors += error

    def _is_stuck(self) -> bool:
        return self.at_bound >= STUCK_SHARE * SPAN and abs(self.errors) > OFF_SHARE * self.target * SPAN

    def out_of_reach(self) -> tuple[float, float] | None:
        """The bound that keeps the target out of reach and the mean entropy of the last span; None where none does.

        It is said once, until the target comes into reach again.
        """
        if self.told or self.before is None or self.steps < SPAN or not self._is_stuck():
            return None
        mean = self.errors / SPAN
        if mean * self.before < 0 or abs(mean) < (1 - NEARER_SHARE) * abs(self.before):
            return None
        self.told = True
        return (self.high if mean > 0 else self.low), self.target - self.sign * mean

    def state(self) -> dict[str, float | None]:
        """What `restore` needs to go on exactly."""
        return {name: getattr(self, name) for name in _STATE}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; of an older checkpoint, which counted otherwise, what it has."""
        for name in _STATE:
            if name in state:
                setattr(self, name, state[name])

    def check_vocabulary(self, vocabulary: int, name: str) -> None:
        """Raise a `UserError` where no row of so many tokens can have the target's entropy."""
        if self.target >= math.log(vocabulary):
            raise UserError(
                f"coefficients.{name}: target_entropy is {self.target:g} nats, but predictions over {vocabulary:,} "
                f"tokens have less than ln {vocabulary:,} = {math.log(vocabulary):.4g}; choose a target below it"
            )

    def _within(self, value: float) -> float:
        return min(max(value, self.low), self.high)


def read_controller(name: str, given: Mapping[str, Any], *, raises: bool) -> EntropyController:
    """The controller of `{"target_entropy": 1.2, "max": 0.5}`.

    Raises:
        UserError: an unknown key, or a value that does not fit.
    """
    refuse_unknown(name, given, ("target_entropy", *DEFAULTS))
    values: dict[str, Any] = DEFAULTS | dict(given)
    for key, value in values.items():
        if not is_number(value) and not (key == "start" and value is None):
            raise UserError(f"coefficients.{name}: {key} is {value!r}; expected a number")
    if values["target_entropy"] <= 0:
        raise UserError(f"coefficients.{name}: target_entropy is {values['target_entropy']}; expected nats above 0")
    for key in ("gain", "damping", "warmup"):
        if values[key] < 0 or (key == "gain" and values[key] == 0) or (key == "warmup" and values[key] % 1):
            kinds = {"gain": "a number above 0", "damping": "0 or more", "warmup": "a whole number of steps"}
            raise UserError(f"coefficients.{name}: {key} is {values[key]}; expected {kinds[key]}")
    if values["min"] >= values["max"]:
        raise UserError(f"coefficients.{name}: min is {values['min']} and max {values['max']}; expected min below max")
    if values["start"] is not None and not values["min"] <= values["start"] <= values["max"]:
        raise UserError(f"coefficients.{name}: start is {values['start']}; expected a number between min and max")
    return EntropyController(
        values["target_entropy"],
        low=values["min"],
        high=values["max"],
        start=values["start"],
        gain=values["gain"],
        damping=values["damping"],
        warmup=int(values["warmup"]),
        raises=raises,
    )
