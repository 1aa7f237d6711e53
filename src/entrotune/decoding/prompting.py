"""Diversity asked for in the prompt: another answer than those given, and verbalised sampling."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import regex

from entrotune.measures.words import normalised

_RESPONSE = regex.compile(r"<response>(?P<inner>.*?)(?:</response>|(?=<response>)|\Z)", regex.DOTALL | regex.IGNORECASE)
_TEXT = regex.compile(r"<text>(?P<text>.*?)(?:</text>|(?=<probability>)|\Z)", regex.DOTALL | regex.IGNORECASE)
# The number must be all that is stated: of `1/3` and `0,25`, a beginning would be another number.
_PROBABILITY = regex.compile(
    r"<probability>\s*(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(?P<percent>%?)\s*(?=<|\Z)", regex.IGNORECASE
)


def another_request(request: str, given: Sequence[str]) -> str:
    """The request, asking for something else than the answers already given: regeneration within the context."""
    if not given:
        return request
    listed = "\n".join(f"- {' '.join(text.split())}" for text in given)
    return f"{request}\n\nThese answers were already given:\n{listed}\n\nGive another one, different from all of them."


def verbalised_request(request: str, count: int) -> str:
    """The request, asking for `count` responses with their probabilities (Zhang et al. 2025, arXiv 2510.01171)."""
    return (
        f"{request}\n\nGive {count} different responses to this, each with its probability, as if drawn from all that "
        "you might answer. Write each as\n<response><text>the response</text>"
        "<probability>a number from 0 to 1</probability></response>\nand nothing else."
    )


@dataclass(frozen=True)
class Verbalised:
    """Responses as a model stated them, and what is to be said of the statement.

    Attributes:
        texts: different responses, in the order stated.
        stated: their probabilities, as stated.
        problems: what does not hold: too few, no or impossible probabilities, repetitions, a sum above 1.
    """

    texts: tuple[str, ...]
    stated: tuple[float, ...]
    problems: tuple[str, ...]

    @property
    def probabilities(self) -> list[float]:
        """The stated probabilities over their sum; equal ones where all are 0."""
        total = math.fsum(self.stated)
        return [one / total for one in self.stated] if total else [1 / len(self.texts)] * len(self.texts)

    def drawn(self, stream: random.Random) -> int:
        """The place of one response, drawn by the normalised probabilities."""
        return stream.choices(range(len(self.texts)), weights=self.probabilities)[0]

    def to_dict(self) -> dict[str, Any]:
        """For a record."""
        return {
            "texts": list(self.texts),
            "stated": list(self.stated),
            "sum": math.fsum(self.stated),
            "problems": list(self.problems),
        }


def parse_verbalised(text: str, count: int) -> Verbalised:
    """What an answer to `verbalised_request` holds; without any usable response `texts` is empty.

    A response without a probability, or with one outside of 0 to 1, is left out and told; one that is stated again
    is added to the first.
    """
    found: dict[str, tuple[str, float]] = {}
    problems: list[str] = []
    for number, match in enumerate(_RESPONSE.finditer(text), start=1):
        body, stated = _TEXT.search(match["inner"]), _PROBABILITY.search(match["inner"])
        said = body["text"].strip() if body else ""
        if not said or stated is None:
            problems.append(f"response {number} has no {'text' if not said else 'probability'}")
            continue
        value = float(stated["number"]) / (100 if stated["percent"] else 1)
        if value > 1:
            problems.append(f"response {number} states the probability {value:g}")
            continue
        key = normalised(said)
        if key in found:
            problems.append(f"response {number} repeats another")
        first, before = found.get(key, (said, 0.0))
        found[key] = (first, before + value)
    if len(found) < count:
        problems.append(f"{len(found)} usable responses of {count}")
    total = math.fsum(value for _, value in found.values())
    if total > 1 + 1e-6:
        problems.append(f"the probabilities sum to {total:g}")
    return Verbalised(tuple(t for t, _ in found.values()), tuple(p for _, p in found.values()), tuple(problems))
