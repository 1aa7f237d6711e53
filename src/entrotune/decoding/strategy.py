"""A strategy: parts in their order, as text, as processors and as exact probabilities."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from entrotune.decoding.entropy import wide
from entrotune.decoding.parse import StrategyError, parse
from entrotune.decoding.part import TEMPERATURE, Part
from entrotune.decoding.parts.search import Beam, Greedy
from entrotune.decoding.parts.temperatures import Temperature
from entrotune.errors import UserError


@dataclass(frozen=True)
class Strategy:
    """How the next token is chosen: parts, applied in one order whatever the order they are given in.

    `Strategy.of("top_p(0.9) + temperature(0.7)")` is `temperature(0.7) + top_p(0.9)`: repetition penalty, forbidden
    n-grams, temperature, top-k, top-p, min-p, typical, eta, top-nσ, target entropy; then a draw.

    Raises:
        UserError: two parts of one kind, or a part that a search without chance would not use.
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise UserError("a strategy needs at least one part; sample is the model's own distribution")
        ordered = tuple(sorted(self.parts, key=lambda part: part.place))
        object.__setattr__(self, "parts", ordered)
        for one, other in itertools.pairwise(ordered):
            if one.place == other.place:
                raise UserError(f"{one} and {other} exclude each other; give one of them")
        search = ordered[0]
        idle = [part for part in ordered[1:] if part.place >= TEMPERATURE]
        if isinstance(search, Greedy | Beam) and idle:
            raise UserError(f"{search} takes no chances, so {idle[0]} would change nothing; leave one of them out")

    @classmethod
    def of(cls, text: "str | Strategy | Sequence[Part]") -> "Strategy":
        """The strategy of a text such as `temperature(0.8) + top_k(50)`, or of parts.

        Raises:
            StrategyError: the text cannot be read; the message marks the place and lists the parts.
        """
        if isinstance(text, Strategy):
            return text
        if not isinstance(text, str):
            return cls(tuple(text))
        parts = tuple(parse(text))
        try:
            return cls(parts)
        except StrategyError:
            raise
        except UserError as error:
            raise StrategyError(str(error), " ".join(text.split())) from None

    def __str__(self) -> str:
        return " + ".join(map(str, self.parts))

    @property
    def beam(self) -> Beam | None:
        """The beam search, where there is one."""
        return next((part for part in self.parts if isinstance(part, Beam)), None)

    @property
    def takes_chances(self) -> bool:
        """Whether two samples of one prompt may differ."""
        cold = any(isinstance(part, Temperature) and part.value == 0 for part in self.parts)
        return not cold and not isinstance(self.parts[0], Greedy | Beam)

    def processors(self) -> LogitsProcessorList:
        """New processors in order, for `model.generate(logits_processor=...)`.

        With `do_sample=True, top_k=0` the outcome is a draw from this strategy; with `do_sample=False` it is the
        likeliest token of what the parts leave.
        """
        made: list[LogitsProcessor | None] = [part.processor() for part in self.parts]
        return LogitsProcessorList([processor for processor in made if processor is not None])

    def probabilities(self, logits: Tensor, input_ids: Tensor | None = None) -> Tensor:
        """Exact distribution of the next token, float32 or float64: of [V] or [B, V] logits, in their shape.

        Args:
            logits: as the model gives them; −inf is allowed, a row must have a finite one.
            input_ids: [B, T] tokens so far, for parts that look at them; without it there are none.

        Raises:
            UserError: beam search, which has no such distribution.
        """
        if self.beam:
            raise UserError(f"{self.beam} chooses among whole sequences: it has no distribution of the next token")
        scores = wide(logits).reshape(-1, logits.shape[-1])
        if input_ids is None:
            input_ids = torch.zeros((len(scores), 0), dtype=torch.long, device=logits.device)
        chosen = self.processors()(input_ids, scores)  # type: ignore[arg-type]
        return torch.softmax(chosen, dim=-1).reshape(logits.shape)
