"""How the next token is taken from its distribution: drawn, the likeliest, or along with others in beams."""

from dataclasses import dataclass
from typing import Any

from transformers import LogitsProcessor

from entrotune.decoding.part import SEARCH, Part, as_number, as_whole
from entrotune.decoding.processors import LikeliestOnly


@dataclass(frozen=True)
class Sample(Part):
    """Draw from the model's own distribution, changed by the other parts only; what is done without naming it."""

    name = "sample"
    place = SEARCH

    def processor(self) -> None:
        """Nothing is changed."""


@dataclass(frozen=True)
class Greedy(Part):
    """Take the likeliest token; of several, that with the lowest id."""

    name = "greedy"
    place = SEARCH

    def processor(self) -> LogitsProcessor:
        """All other tokens get −inf."""
        return LikeliestOnly()


@dataclass(frozen=True)
class Beam(Part):
    """Beam search of transformers: the sequence of highest log-likelihood / length^length_penalty that it finds."""

    beams: int = 4
    length_penalty: float = 1.0

    name = "beam"
    place = SEARCH

    def __post_init__(self) -> None:
        as_whole(self, "beams", least=2)
        as_number(self, "length_penalty")

    def processor(self) -> None:
        """Beams are kept by `generate` itself; see `settings`."""

    def settings(self) -> dict[str, Any]:
        """What `generate` is told."""
        return {"num_beams": self.beams, "length_penalty": self.length_penalty, "early_stopping": False}
