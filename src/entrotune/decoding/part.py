"""What a decoding strategy is made of: parts with a name, arguments, and a place in the fixed order."""

import dataclasses
import inspect
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import LogitsProcessor

# Where a part acts. Parts of one place exclude each other.
SEARCH, REPETITION, NO_REPEAT, TEMPERATURE = 0, 10, 11, 20
TOP_K, TOP_P, MIN_P, TYPICAL, ETA, TOP_N_SIGMA, TARGET = 30, 31, 32, 33, 34, 35, 40

PARTS: dict[str, type["Part"]] = {}
"""Every part by its name; a part joins by being defined."""


@dataclass(frozen=True)
class Part(ABC):
    """One step from the model's logits to the next token's distribution.

    Attributes:
        name: how it is written in a strategy.
        place: its position in the order, in which all parts are applied whatever the order they are written in.
    """

    name: ClassVar[str]
    place: ClassVar[int]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        PARTS[cls.name] = cls

    @abstractmethod
    def processor(self) -> LogitsProcessor | None:
        """A new processor of scores [B, V] for `generate(logits_processor=[...])`; None where nothing is changed."""

    @property
    def brief(self) -> str:
        """Values without names, up to the last that is not as by default."""
        fields = dataclasses.fields(self)
        own = [field.name for field in fields if getattr(self, field.name) != field.default]
        shown = fields[: 1 + [field.name for field in fields].index(own[-1])] if own else ()
        values = [written(getattr(self, field.name)) for field in shown]
        return f"{self.name}({', '.join(values)})" if values else self.name

    def __str__(self) -> str:
        values = [written(getattr(self, field.name)) for field in dataclasses.fields(self)]
        if len(values) == 1:
            return f"{self.name}({values[0]})"
        names = [field.name for field in dataclasses.fields(self)]
        return f"{self.name}({', '.join(map('='.join, zip(names, values, strict=True)))})" if values else self.name


def require(part: Part, argument: str, condition: bool, expected: str) -> None:
    """Raise a `ValueError` that names the part, its argument, what was got and what was expected."""
    if not condition:
        raise ValueError(f"{part.name}({argument}={getattr(part, argument)}): {argument} must be {expected}")


def as_number(part: Part, *arguments: str) -> None:
    """Turn the named arguments into finite floats, or raise a `ValueError`."""
    for argument in arguments:
        value = getattr(part, argument)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        require(part, argument, is_number, "a finite number")
        object.__setattr__(part, argument, float(value))


def as_whole(part: Part, *arguments: str, least: int = 1) -> None:
    """Turn the named arguments into integers of at least `least`, or raise a `ValueError`."""
    for argument in arguments:
        value = getattr(part, argument)
        is_whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        require(part, argument, is_whole and value >= least, f"a whole number of at least {least}")
        object.__setattr__(part, argument, int(value))


def signature(part: type[Part]) -> str:
    """How to write the part, with its defaults: `temperature(value)`, `beam(beams=4, length_penalty=1)`."""
    shown = [
        name if parameter.default is inspect.Parameter.empty else f"{name}={written(parameter.default)}"
        for name, parameter in inspect.signature(part).parameters.items()
    ]
    return f"{part.name}({', '.join(shown)})" if shown else part.name


def written(value: float | int | str) -> str:
    """An argument as it is written in a strategy: the shortest text that reads back as the same value."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
