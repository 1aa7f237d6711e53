"""What of a distribution the usual settings keep."""

from dataclasses import dataclass

import torch
from torch import Tensor

from entrotune.decoding.entropy import entropy_of
from entrotune.decoding.part import Part
from entrotune.decoding.parts.search import Sample
from entrotune.decoding.parts.temperatures import Temperature
from entrotune.decoding.parts.truncation import MinP, TopK, TopP
from entrotune.decoding.strategy import Strategy


@dataclass(frozen=True)
class Kept:
    """The tokens that may still be chosen, likeliest first.

    Attributes:
        ids: their ids.
        probabilities: with which they are chosen; they sum to 1.
        mass: what they have together in the distribution before any setting.
        entropy: of the distribution they are chosen from, nats.
    """

    ids: tuple[int, ...]
    probabilities: tuple[float, ...]
    mass: float
    entropy: float


def kept_by(
    log_probabilities: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Kept:
    """Which tokens temperature, top-k, top-p and min-p keep, applied in this order, and with what probabilities.

    Args:
        log_probabilities: [V] of all tokens, or their logits.
        temperature: 0 keeps the likeliest token.
        top_k: None for no limit, as for the others.

    Raises:
        ValueError: a setting out of its range.
    """
    parts: list[Part] = [Temperature(temperature)] if temperature != 1 else [Sample()]
    parts += [] if top_k is None else [TopK(min(top_k, log_probabilities.shape[-1]))]
    parts += [] if top_p is None else [TopP(top_p)]
    parts += [] if min_p is None else [MinP(min_p)]
    probabilities = Strategy.of(parts).probabilities(log_probabilities)
    order = torch.argsort(probabilities, descending=True, stable=True)[: int((probabilities > 0).sum())]
    return Kept(
        ids=tuple(order.tolist()),
        probabilities=tuple(probabilities[order].tolist()),
        mass=float(torch.softmax(log_probabilities.double(), dim=-1)[order].sum()),
        entropy=abs(float(entropy_of(probabilities.log())[0])),
    )
