"""What temperature, top-k, top-p and min-p make of one distribution, each by itself and all in their order."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entrotune.decoding import entropy_of
from entrotune.decoding.kept import kept_by

# Of the curve of entropy over temperature.
_COLDEST, _HOTTEST, _POINTS = 0.05, 3.0, 60


@dataclass(frozen=True, kw_only=True)
class Shaping:
    """The settings of the sliders; a temperature or top-p of 1 and a top-k or min-p of 0 change nothing."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """What changes something, by name, as arguments of `kept_by`."""
        named: dict[str, dict[str, Any]] = {}
        if self.temperature != 1:
            named[f"temperature {self.temperature:g}"] = {"temperature": self.temperature}
        if self.top_k:
            named[f"top-k {self.top_k}"] = {"top_k": self.top_k}
        if self.top_p < 1:
            named[f"top-p {self.top_p:g}"] = {"top_p": self.top_p}
        if self.min_p:
            named[f"min-p {self.min_p:g}"] = {"min_p": self.min_p}
        return named


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a setting leaves of a distribution.

    Attributes:
        name: of the setting.
        tokens: how many keep a chance.
        mass: what these had before.
        entropy: of what is left, nats.
    """

    name: str
    tokens: int
    mass: float
    entropy: float


def left_by(log_p: Tensor, shaping: Shaping) -> tuple[list[Left], dict[int, float]]:
    """What each setting leaves by itself and all of them together; and the probabilities that are left, by token.

    Args:
        log_p: [V] log-probabilities.

    Raises:
        UserError: a setting is out of its range.
    """
    named: dict[str, dict[str, Any]] = {"the model's own": {}, **shaping.settings}
    if len(shaping.settings) > 1:
        named["all, in this order"] = {name: value for one in shaping.settings.values() for name, value in one.items()}
    kept = {name: kept_by(log_p, **settings) for name, settings in named.items()}
    last = list(kept.values())[-1]
    left = [Left(name=name, tokens=len(one.ids), mass=one.mass, entropy=one.entropy) for name, one in kept.items()]
    return left, dict(zip(last.ids, last.probabilities, strict=True))


def entropy_curve(log_p: Tensor) -> list[tuple[float, float]]:
    """Entropy (nats) of [V] log-probabilities at temperatures from cold to hot."""
    temperatures = torch.linspace(_COLDEST, _HOTTEST, _POINTS, dtype=torch.float64)
    return [(t, entropy_at(log_p, t)) for t in temperatures.tolist()]


def entropy_at(log_p: Tensor, temperature: float) -> float:
    """Entropy (nats) of [V] log-probabilities at one temperature; at 0, of the likeliest token alone."""
    return float(entropy_of(log_p / temperature)[0]) if temperature else 0.0
