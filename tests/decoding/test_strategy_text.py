"""The text form of strategies, and what is said of a wrong one."""

import pytest
import torch

from entrotune.decoding import PARTS, Strategy
from entrotune.errors import UserError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("top_p(0.9)+temperature(0.7)", "temperature(0.7) + top_p(0.9)"),
        ("temperature(value=1)", "temperature(1)"),
        ("beam", "beam(beams=4, length_penalty=1)"),
        ("beam(8, 0.6) + no_repeat_ngram(3)", "beam(beams=8, length_penalty=0.6) + no_repeat_ngram(3)"),
        ("target_entropy(2) + min_p(.02) + top_k(50.0)", "top_k(50) + min_p(0.02) + target_entropy(2)"),
        ("annealed(end=0.5)", "annealed(start=1.2, end=0.5, tokens=32)"),
    ],
)
def test_reads_back(text: str, shown: str) -> None:
    strategy = Strategy.of(text)
    assert str(strategy) == shown
    assert Strategy.of(shown) == strategy
    assert Strategy.of(strategy.parts) == strategy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a strategy is a sum of parts"),
        ("temperature(0.8) + ", "not a sum of parts"),
        ("temprature(0.8)", "did you mean 'temperature'?"),
        ("top_k", "top_k needs k; it is written top_k(k)"),
        ("top_k(2.5)", "k must be a whole number of at least 1"),
        ("top_p(1.5)", "p must be above 0 and at most 1"),
        ("temperature(-1)", "value must be 0 or more"),
        ("temperature(hot)", "an argument must be a number"),
        ("temperature(1, 2)", "takes 1 argument"),
        ("temperature(heat=1)", "has no argument 'heat'"),
        ("temperature(1, value=1)", "got value twice"),
        ("temperature(1e999)", "value must be a finite number"),
        ("top_k(5) - top_p(0.9)", "parts are joined by +"),
        ("greedy + top_k(3)", "top_k(3) would change nothing"),
        ("temperature(1) + annealed", "exclude each other"),
        ("top_k(3) + top_k(4)", "exclude each other"),
        ("contrastive_search(0.6)", "runs code from the hub"),
        ("entropy_switch(low=2, high=1)", "high must be at least low, 2"),
    ],
)
def test_a_wrong_one_is_told(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        Strategy.of(text)
    assert message in str(error.value)
    assert "target_entropy(entropy)" in str(error.value)  # the parts there are


def test_places_are_a_total_order_of_kinds() -> None:
    """Temperatures exclude each other, and so do ways of searching; all others have a place of their own."""
    together = [name for name, part in PARTS.items() if part.place not in (0, 20)]
    assert len({PARTS[name].place for name in together}) == len(together)


def test_beams_have_no_distribution() -> None:
    with pytest.raises(UserError, match="whole sequences"):
        Strategy.of("beam(3)").probabilities(torch.zeros(4))


def test_no_parts() -> None:
    with pytest.raises(UserError, match="at least one part"):
        Strategy(())
