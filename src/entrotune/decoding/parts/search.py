"""How the next token is taken from its distribution: drawn, the likeliest, or by a look at what would follow."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import LogitsProcessor

from entrotune.decoding.contrastive import ContrastiveLoop
from entrotune.decoding.diverse_beams import DiverseBeamsLoop
from entrotune.decoding.part import SEARCH, Part, as_number, as_whole, require
from entrotune.decoding.processors import LikeliestOnly

Loop = Callable[..., Tensor]
"""A way of decoding for `generate(custom_generate=...)`; returns token ids [rows, T], the prompt's included."""


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


class Lookahead(ABC):
    """A search that looks at more than the next token's distribution, so that it is no processor of scores."""

    answers = 1
    """Different responses to a prompt that one search finds."""
    whole = True
    """Whether a response is known only when all of it is: there is nothing to stream or to watch."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What `generate` is told."""

    def loop(self, streamer: Any) -> Loop | None:
        """A loop of our own; None where transformers has it."""
        return None


@dataclass(frozen=True)
class Beam(Lookahead, Part):
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


@dataclass(frozen=True)
class DiverseBeam(Lookahead, Part):
    """Beams in groups, each kept off the tokens that groups before it take at the same step (arXiv 1610.02424).

    Response i of a prompt is the (i div groups)-th best of group i mod groups; after `beams` responses they repeat.
    """

    beams: int = 4
    groups: int = 4
    diversity: float = 0.5
    length_penalty: float = 1.0

    name = "diverse_beam"
    place = SEARCH

    def __post_init__(self) -> None:
        as_whole(self, "beams", "groups", least=2)
        as_number(self, "diversity", "length_penalty")
        require(self, "groups", self.beams % self.groups == 0, f"a divisor of beams, {self.beams}")
        require(self, "diversity", self.diversity >= 0, "0 or more")

    @property
    def answers(self) -> int:  # type: ignore[override]
        """One a beam."""
        return self.beams

    def processor(self) -> None:
        """Beams are kept by a loop of our own; see `loop`."""

    def settings(self) -> dict[str, Any]:
        """What `generate` is told: how often to repeat each prompt."""
        return {"num_beams": self.beams}

    def loop(self, streamer: Any) -> Loop:
        """`DiverseBeamsLoop`."""
        return DiverseBeamsLoop(
            beams=self.beams, groups=self.groups, diversity=self.diversity, length_penalty=self.length_penalty
        )


@dataclass(frozen=True)
class ContrastiveSearch(Lookahead, Part):
    """Of the `k` likeliest tokens that of highest (1−alpha)·p − alpha·likeness to what came before (arXiv 2202.06417).

    Likeness is the greatest cosine similarity of the hidden state at the token to those at all tokens before it.
    """

    k: int = 4
    alpha: float = 0.6

    name = "contrastive_search"
    place = SEARCH
    whole = False

    def __post_init__(self) -> None:
        as_whole(self, "k", least=2)
        as_number(self, "alpha")
        require(self, "alpha", 0 <= self.alpha <= 1, "from 0 to 1")

    def processor(self) -> None:
        """Hidden states are needed; see `loop`."""

    def settings(self) -> dict[str, Any]:
        """What `generate` is told."""
        return {}

    def loop(self, streamer: Any) -> Loop:
        """`ContrastiveLoop`."""
        return ContrastiveLoop(self.k, self.alpha, streamer=streamer)
