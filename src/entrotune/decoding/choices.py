"""Responses limited to given texts: at each step only tokens that go on with one of them."""

from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor
from transformers import LogitsProcessor
from transformers.generation import PrefixConstrainedLogitsProcessor

from entrotune.errors import UserError


class Choices:
    """Texts of which a response is one, each as the tokenizer writes it on its own, with an end mark after it.

    What is left of the model's distribution at each step is divided by its sum, as always. So a choice's probability is
    not its share of the probability of all choices, but a product over its tokens.

    Args:
        texts: at least two, none empty or twice; a space at the beginning counts.
        tokenizer: the model's.
        ends: ids that end a response.

    Raises:
        UserError: too few, empty or equal texts, or a model without an end mark.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Any, ends: Collection[int]) -> None:
        check_choices(texts)
        if not ends:
            raise UserError("choices need a model with an end mark, so that a shorter one can end; it has none")
        self._ends = sorted(ends)
        self._next: dict[tuple[int, ...], list[int]] = {}
        found = [tuple(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
        for ids in found:
            for at, token in enumerate(ids):
                self._add(ids[:at], [token])
            self._add(ids, self._ends)
        self.longest: int | None = 1 + max(map(len, found))

    def processor(self, prompt_tokens: int, beams: int = 1) -> LogitsProcessor:
        """What leaves the allowed tokens, for prompts of `prompt_tokens` tokens with their padding."""

        def allowed(_row: int, ids: Tensor) -> list[int]:
            # After its end a row is padded, whatever is allowed there.
            return self._next.get(tuple(ids[prompt_tokens:].tolist()), self._ends)

        return PrefixConstrainedLogitsProcessor(allowed, num_beams=beams)

    def _add(self, before: tuple[int, ...], tokens: Sequence[int]) -> None:
        known = self._next.setdefault(before, [])
        known += [token for token in tokens if token not in known]


def check_choices(texts: Sequence[str]) -> None:
    """Raise a `UserError` where texts to choose from are too few, empty or equal."""
    if len(texts) < 2:
        raise UserError(f"choices needs at least two texts to choose from, got {list(texts)}")
    for text in texts:
        if not text:
            raise UserError("choices has an empty text; leave it out")
        if texts.count(text) > 1:
            raise UserError(f"choices has {text!r} twice; give each text once")
