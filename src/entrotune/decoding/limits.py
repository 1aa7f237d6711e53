"""What responses may be limited to, whoever knows it: given texts, a grammar."""

from typing import Protocol

from transformers import LogitsProcessor


class Limits(Protocol):
    """Knows at each step which tokens are left.

    Attributes:
        longest: new tokens that the longest response needs, its end mark included; None where that is not known.
    """

    longest: int | None

    def processor(self, prompt_tokens: int, beams: int = 1) -> LogitsProcessor:
        """What sets all other tokens to −inf, for prompts of `prompt_tokens` tokens with their padding."""
