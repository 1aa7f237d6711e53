"""Parts that divide logits by a temperature: one for all, by position, or by how sure the model is."""

from dataclasses import dataclass

from transformers import LogitsProcessor
from transformers.generation import TemperatureLogitsWarper

from entrotune.decoding.part import TARGET, TEMPERATURE, Part, as_number, as_whole, require
from entrotune.decoding.processors import (
    AnnealedTemperature,
    EntropySwitch,
    EntropyTemperature,
    LikeliestOnly,
    TargetEntropy,
)
from entrotune.temperatures import COLDEST, HOTTEST


def _require_temperature(part: Part, *arguments: str) -> None:
    for argument in arguments:
        require(part, argument, getattr(part, argument) > 0, "above 0")
        possible = COLDEST <= getattr(part, argument) <= HOTTEST
        require(part, argument, possible, f"from {COLDEST:g} to {HOTTEST:g}")


@dataclass(frozen=True)
class Temperature(Part):
    """Divide logits by `value`: 0 takes the likeliest token, 1 changes nothing, more flattens."""

    value: float

    name = "temperature"
    place = TEMPERATURE

    def __post_init__(self) -> None:
        as_number(self, "value")
        require(self, "value", self.value >= 0, "0 or more")
        if self.value:
            _require_temperature(self, "value")

    def processor(self) -> LogitsProcessor:
        """The processor of transformers; for 0, where it has none, ours."""
        return TemperatureLogitsWarper(self.value) if self.value else LikeliestOnly()


@dataclass(frozen=True)
class Annealed(Part):
    """Temperature from `start` to `end` over the first `tokens` new tokens, geometrically; `end` afterwards."""

    start: float = 1.2
    end: float = 0.6
    tokens: int = 32

    name = "annealed"
    place = TEMPERATURE

    def __post_init__(self) -> None:
        as_number(self, "start", "end")
        as_whole(self, "tokens")
        _require_temperature(self, "start", "end")

    def processor(self) -> LogitsProcessor:
        """`AnnealedTemperature`."""
        return AnnealedTemperature(self.start, self.end, self.tokens)


@dataclass(frozen=True)
class ByEntropy(Part):
    """Temperature base · 0.8^(theta / entropy): cold where the model is sure (arXiv 2403.14541)."""

    base: float = 1.0
    theta: float = 0.5

    name = "entropy_temperature"
    place = TEMPERATURE

    def __post_init__(self) -> None:
        as_number(self, "base", "theta")
        _require_temperature(self, "base")
        require(self, "theta", self.theta >= 0, "0 or more")

    def processor(self) -> LogitsProcessor:
        """`EntropyTemperature`."""
        return EntropyTemperature(self.base, self.theta)


@dataclass(frozen=True)
class Switch(Part):
    """By entropy (nats) and varentropy (nats²): both low, the likeliest; both high, hotter; else `temperature`."""

    low: float = 0.3
    high: float = 2.5
    low_var: float = 0.5
    high_var: float = 2.5
    temperature: float = 0.8
    hot: float = 1.2

    name = "entropy_switch"
    place = TEMPERATURE

    def __post_init__(self) -> None:
        as_number(self, "low", "high", "low_var", "high_var", "temperature", "hot")
        require(self, "high", self.high >= self.low, f"at least low, {self.low}")
        require(self, "high_var", self.high_var >= self.low_var, f"at least low_var, {self.low_var}")
        _require_temperature(self, "temperature", "hot")

    def processor(self) -> LogitsProcessor:
        """`EntropySwitch`."""
        return EntropySwitch(
            low=self.low,
            high=self.high,
            low_var=self.low_var,
            high_var=self.high_var,
            temperature=self.temperature,
            hot=self.hot,
        )


@dataclass(frozen=True)
class Target(Part):
    """At each step the temperature at which what is left by the other parts has this entropy (nats), or is nearest."""

    entropy: float

    name = "target_entropy"
    place = TARGET

    def __post_init__(self) -> None:
        as_number(self, "entropy")
        require(self, "entropy", self.entropy >= 0, "0 or more")

    def processor(self) -> LogitsProcessor:
        """`TargetEntropy`."""
        return TargetEntropy(self.entropy)
