"""A strategy: parts in their order, as text, as processors and as exact probabilities."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from entrotune.decoding.entropy import wide
from entrotune.decoding.parse import StrategyError, parse
from entrotune.decoding.part import SEARCH, TEMPERATURE, Part
from entrotune.decoding.parts.search import DiverseBeam, Greedy, Lookahead
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
        if isinstance(search, Greedy) and idle:
            raise UserError(f"{search} takes no chances, so {idle[0]} would change nothing; leave one of them out")
        if isinstance(search, Lookahead) and idle:
            raise UserError(
                f"{search} ranks by the model's own probabilities, so {idle[0]} has no place; leave one of them out"
            )

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
    def brief(self) -> str:
        """As short as it can be written: `diverse_beam(6, 3)`, without names and what is as by default."""
        return " + ".join(part.brief for part in self.parts)

    @property
    def lookahead(self) -> Lookahead | None:
        """The search that looks further than the next token, where there is one."""
        search = self.parts[0]
        return search if isinstance(search, Lookahead) else None

    @property
    def takes_chances(self) -> bool:
        """Whether tokens are drawn."""
        cold = any(isinstance(part, Temperature) and part.value == 0 for part in self.parts)
        return not cold and not isinstance(self.parts[0], Greedy | Lookahead)

    @property
    def answers_differ(self) -> bool:
        """Whether two samples of one prompt may differ, by chance or as those of several groups of beams."""
        return self.takes_chances or isinstance(self.parts[0], DiverseBeam)

    def processors(self) -> LogitsProcessorList:
        """New processors in order, for `model.generate(logits_processor=...)`.

        With `do_sample=True, top_k=0` the outcome is a draw from this strategy; with `do_sample=False` it is the
        likeliest token of what the parts leave.
        """
        # A search written first acts last: greedy takes the likeliest of what the other parts leave.
        acting = sorted(self.parts, key=lambda part: part.place == SEARCH)
        made: list[LogitsProcessor | None] = [part.processor() for part in acting]
        return LogitsProcessorList([processor for processor in made if processor is not None])

    def probabilities(self, logits: Tensor, input_ids: Tensor | None = None) -> Tensor:
        """Exact distribution of the next token, float32 or float64: of [V] or [B, V] logits, in their shape.

        Args:
            logits: as the model gives them; −inf is allowed, a row must have a finite one.
            input_ids: [B, T] tokens so far, for parts that look at them; without it there are none.

        Raises:
            UserError: beams or contrastive search, which have no such distribution.
        """
        if self.lookahead:
            raise UserError(f"{self.lookahead} looks at what would follow: it has no distribution of the next token")
        scores = wide(logits).reshape(-1, logits.shape[-1])
        if input_ids is None:
            input_ids = torch.zeros((len(scores), 0), dtype=torch.long, device=logits.device)
        chosen = self.processors()(input_ids, scores)  # type: ignore[arg-type]
        return torch.softmax(chosen, dim=-1).reshape(logits.shape)
