"""Generation as it goes: each new token with the numbers of the distribution it was chosen from. B: samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.generation.streamers import BaseStreamer

from entrotune.decoding import entropy_of
from entrotune.scoring.examine import Token
from entrotune.scoring.pieces import Pieces

# No character has more tokens than bytes.
_LONGEST_CHARACTER = 4


@dataclass(frozen=True)
class New:
    """One new token of one sample.

    Attributes:
        sample: its number.
        token: its numbers are of the model's own distribution; its index counts the prompt's tokens.
        shaped: entropy of what the strategy made of that distribution, nats; None where it made none.
    """

    sample: int
    token: Token
    shaped: float | None


class Watching(BaseStreamer):
    """Both ends of `draw`: its `watch` and its `streamer`; tells a list of `New` at every step.

    Args:
        prompt_length: tokens before the first new one.
        samples: how many are drawn.
        ends: tokens that end a sample; they are not told.
        tell: told at every step.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        prompt_length: int,
        samples: int,
        ends: frozenset[int],
        tell: Callable[[list[New]], None],
    ) -> None:
        self._pieces, self._ends, self._tell = Pieces(tokenizer), ends, tell
        self._prompt_length = prompt_length
        self._ids: list[list[int]] = [[] for _ in range(samples)]
        self._ended = [False] * samples
        self._prompt_seen = False
        self._scores: tuple[Tensor, Tensor] | None = None

    def watch(self, own: Tensor, made: Tensor) -> None:
        """[B, V] scores of the model and of the strategy, before the choice."""
        self._scores = own, made

    def put(self, value: Tensor) -> None:
        """Called by `generate`: first with the prompts, then with the token chosen for each row."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        assert self._scores is not None
        own, made = self._scores
        chosen_B1 = value.reshape(-1, 1).to(own.device)
        score_B1 = own.gather(-1, chosen_B1)
        nll = own.logsumexp(dim=-1) - score_B1.squeeze(-1)
        rank = (own > score_B1).sum(dim=-1)
        columns = (*entropy_of(own), nll, rank, entropy_of(made)[0])
        rows = zip(chosen_B1.squeeze(-1).tolist(), *(column.tolist() for column in columns), strict=True)
        self._tell([new for sample, row in enumerate(rows) if (new := self._new(sample, *row)) is not None])

    def end(self) -> None:
        """Called by `generate` when it is done."""

    def _new(self, sample: int, id: int, *numbers: Any) -> New | None:
        if self._ended[sample] or id in self._ends:
            self._ended[sample] = True
            return None
        ids = self._ids[sample]
        ids.append(id)
        text = self._pieces.of_text(ids[-_LONGEST_CHARACTER:])[-1]
        *own, shaped = numbers
        return New(sample, Token(self._prompt_length + len(ids) - 1, id, text, False, *own), shaped)
