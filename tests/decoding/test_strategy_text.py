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
        ("no_repeat_ngram(2) + contrastive_search(5)", "contrastive_search(k=5, alpha=0.6) + no_repeat_ngram(2)"),
        ("diverse_beam(6, 3)", "diverse_beam(beams=6, groups=3, diversity=0.5, length_penalty=1)"),
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
        ("temperature(1e-40)", "value must be from 1e-30 to 1e+30"),
        ("annealed(1e31, 1)", "start must be from 1e-30 to 1e+30"),
        ("temperature(hot)", "an argument must be a number"),
        ("temperature(1, 2)", "takes 1 argument"),
        ("temperature(heat=1)", "has no argument 'heat'"),
        ("temperature(1, value=1)", "got value twice"),
        ("temperature(1e999)", "value must be a finite number"),
        ("top_k(5) - top_p(0.9)", "parts are joined by +"),
        ("greedy + top_k(3)", "top_k(3) would change nothing"),
        ("temperature(1) + annealed", "exclude each other"),
        ("top_k(3) + top_k(4)", "exclude each other"),
        ("contrastive(0.6)", "is written contrastive_search(k=4, alpha=0.6)"),
        ("constrained_beam", "are given with --force_words"),
        ("contrastive_search(1)", "k must be a whole number of at least 2"),
        ("contrastive_search(4, 1.5)", "alpha must be from 0 to 1"),
        ("diverse_beam(6, 4)", "groups must be a divisor of beams, 6"),
        ("diverse_beam(4, 2, -1)", "diversity must be 0 or more"),
        ("contrastive_search + temperature(0.5)", "temperature(0.5) has no place"),
        ("entropy_switch(low=2, high=1)", "high must be at least low, 2"),
    ],
)
def test_a_wrong_one_is_told(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        Strategy.of(text)
    assert message in str(error.value)
    assert "target_entropy(entropy)" in str(error.value)  # the parts there are


@pytest.mark.parametrize(
    ("text", "brief"),
    [
        ("beam(beams=4)", "beam"),
        ("diverse_beam(6, 3)", "diverse_beam(6, 3)"),
        ("top_k(5) + annealed(end=0.5)", "annealed(1.2, 0.5) + top_k(5)"),
        ("greedy + repetition_penalty(1.1)", "greedy + repetition_penalty"),
    ],
)
def test_the_short_form_reads_back(text: str, brief: str) -> None:
    strategy = Strategy.of(text)
    assert strategy.brief == brief
    assert Strategy.of(brief) == strategy


def test_places_are_a_total_order_of_kinds() -> None:
    """Temperatures exclude each other, and so do ways of searching; all others have a place of their own."""
    together = [name for name, part in PARTS.items() if part.place not in (0, 20)]
    assert len({PARTS[name].place for name in together}) == len(together)


@pytest.mark.parametrize("text", ["beam(3)", "diverse_beam", "contrastive_search"])
def test_searches_that_look_ahead_have_no_distribution(text: str) -> None:
    with pytest.raises(UserError, match="looks at what would follow"):
        Strategy.of(text).probabilities(torch.zeros(4))


def test_no_parts() -> None:
    with pytest.raises(UserError, match="at least one part"):
        Strategy(())
