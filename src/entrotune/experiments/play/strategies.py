"""The strategies that the page offers by name, each turned by one number, its creativity, into a strategy's text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Offer:
    """A strategy by name.

    Attributes:
        told: what it does, in a line.
        at: creativity, above 0, → the strategy's text.
    """

    told: str
    at: Callable[[str], str]


OFFERS: Mapping[str, Offer] = {
    "Temperature and top-p": Offer(
        "the usual choice: flatten or sharpen, then the likeliest tokens that make up 95 %",
        lambda c: f"temperature({c}) + top_p(0.95)",
    ),
    "Temperature": Offer("flatten or sharpen the whole distribution", lambda c: f"temperature({c})"),
    "Top-k": Offer("the 50 likeliest tokens", lambda c: f"temperature({c}) + top_k(50)"),
    "Top-k, then top-p": Offer(
        "the 50 likeliest tokens, of them those that make up 90 %",
        lambda c: f"temperature({c}) + top_k(50) + top_p(0.9)",
    ),
    "Min-p": Offer(
        "tokens of at least 5 % of the likeliest one's probability", lambda c: f"temperature({c}) + min_p(0.05)"
    ),
    "Typical": Offer("tokens about as surprising as expected", lambda c: f"temperature({c}) + typical(0.95)"),
    "η-sampling": Offer("a threshold that falls with entropy", lambda c: f"temperature({c}) + eta(0.0009)"),
    "Top-nσ": Offer(
        "logits within one standard deviation of the highest", lambda c: f"temperature({c}) + top_n_sigma(1)"
    ),
    "Target entropy": Offer(
        "at each step the temperature at which entropy is this many nats", lambda c: f"target_entropy({c})"
    ),
    "Temperature by entropy": Offer(
        "cold where the model is sure, up to this temperature elsewhere",
        lambda c: f"entropy_temperature(base={c}, theta=0.5)",
    ),
    "Entropy switch": Offer(
        "likeliest where entropy and varentropy are low, hotter where both are high",
        lambda c: f"entropy_switch(temperature={c}, hot={_times(c, 1.5)})",
    ),
    "Annealed": Offer(
        "starts hotter, ends colder over 32 tokens",
        lambda c: f"annealed(start={_times(c, 1.5)}, end={_times(c, 0.75)}, tokens=32)",
    ),
    "With a repetition penalty": Offer(
        "discourages tokens that came before", lambda c: f"repetition_penalty(1.1) + temperature({c}) + top_p(0.95)"
    ),
    "Without repeated triples": Offer(
        "forbids three tokens that came before in this order",
        lambda c: f"no_repeat_ngram(3) + temperature({c}) + top_p(0.95)",
    ),
    "The model's own distribution": Offer("nothing is changed; creativity has no effect", lambda c: "sample"),
    "Greedy": Offer("the likeliest token, always; creativity has no effect", lambda c: "greedy"),
    "Contrastive search": Offer(
        "likely tokens that differ from what came before; creativity has no effect",
        lambda c: "contrastive_search(k=4, alpha=0.6)",
    ),
    "Beam search": Offer(
        "the likeliest sequence that four beams find; no chance, no streaming", lambda c: "beam(beams=4)"
    ),
    "Diverse beams": Offer(
        "beams in groups that avoid each other; no chance, no streaming",
        lambda c: "diverse_beam(beams=4, groups=4, diversity=0.5)",
    ),
}


def strategy_at(name: str, creativity: float) -> str:
    """The text of an offered strategy; without any creativity, the likeliest token.

    Args:
        name: of `OFFERS`.
        creativity: 0 or more; a temperature, for target entropy nats.
    """
    text = OFFERS[name].at(f"{creativity:g}")
    return "greedy" if creativity <= 0 and takes_creativity(name) else text


def takes_creativity(name: str) -> bool:
    """Whether the number changes anything."""
    return OFFERS[name].at("1") != OFFERS[name].at("2")


def _times(creativity: str, factor: float) -> str:
    return f"{float(creativity) * factor:g}"
