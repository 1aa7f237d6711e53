"""Parts against repetition; transformers' processors do the work."""

from dataclasses import dataclass

from transformers import LogitsProcessor
from transformers.generation import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

from entrotune.decoding.part import NO_REPEAT, REPETITION, Part, as_number, as_whole, require


@dataclass(frozen=True)
class RepetitionPenalty(Part):
    """Divide positive logits of tokens that came before, prompt included, and multiply negative ones (1909.05858)."""

    value: float = 1.1

    name = "repetition_penalty"
    place = REPETITION

    def __post_init__(self) -> None:
        as_number(self, "value")
        require(self, "value", self.value > 0, "above 0 (1 changes nothing, more discourages)")

    def processor(self) -> LogitsProcessor:
        """The processor of transformers."""
        return RepetitionPenaltyLogitsProcessor(self.value)


@dataclass(frozen=True)
class NoRepeatNgram(Part):
    """Forbid tokens that would complete a run of `size` tokens that came before, prompt included."""

    size: int = 3

    name = "no_repeat_ngram"
    place = NO_REPEAT

    def __post_init__(self) -> None:
        as_whole(self, "size")

    def processor(self) -> LogitsProcessor:
        """The processor of transformers."""
        return NoRepeatNGramLogitsProcessor(self.size)
