"""Verbalised probabilities parsed and checked; responses ranked, voted on and picked to differ."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.decoding.prompting import another_request, parse_verbalised, verbalised_request
from entrotune.decoding.rerank import by_checker, by_majority, by_score, diverse


def stated(*pairs: tuple[str, str]) -> str:
    return "\n".join(f"<response><text>{t}</text><probability>{p}</probability></response>" for t, p in pairs)


def test_requests_say_what_is_wanted() -> None:
    assert "Give 5 different responses" in verbalised_request("Name a fruit.", 5)
    assert another_request("Name a fruit.", []) == "Name a fruit."
    asked = another_request("Name a fruit.", ["apple", "a\npear"])
    assert "- apple\n- a pear\n" in asked
    assert asked.startswith("Name a fruit.\n")


def test_verbalised_by_hand() -> None:
    found = parse_verbalised(stated(("apple", "0.3"), ("pear", "10%"), ("fig", ".1")), 3)
    assert found.texts == ("apple", "pear", "fig")
    assert found.stated == pytest.approx((0.3, 0.1, 0.1))
    assert found.probabilities == pytest.approx([0.6, 0.2, 0.2])
    assert found.problems == ()


def test_verbalised_problems_are_told() -> None:
    text = stated(("apple", "0.7"), ("Apple ", "0.2"), ("pear", "1.5"), ("", "0.1"), ("fig", "0.4"))
    found = parse_verbalised(text + "<response><text>kiwi</text></response>", 6)
    assert found.texts == ("apple", "fig")
    assert found.stated == pytest.approx((0.9, 0.4))
    assert found.problems == (
        "response 2 repeats another",
        "response 3 states the probability 1.5",
        "response 4 has no text",
        "response 6 has no probability",
        "2 usable responses of 6",
        "the probabilities sum to 1.3",
    )
    assert parse_verbalised("I would rather not.", 3).texts == ()
    assert parse_verbalised(stated(("a", "0"), ("b", "0")), 2).probabilities == [0.5, 0.5]
    assert parse_verbalised("<response><text>cut off</text><probability>0.5", 1).texts == ("cut off",)


@pytest.mark.parametrize(
    ("stated_as", "probability"),
    [("1e-3", 0.001), ("2E-1", 0.2), ("1.", 1.0), ("5 %", 0.05), ("1/3", None), ("0,25", None), ("0.2 (20%)", None)],
)
def test_a_probability_is_read_as_a_whole_or_told(stated_as: str, probability: float | None) -> None:
    found = parse_verbalised(stated(("fig", stated_as)), 1)
    assert found.stated == (() if probability is None else pytest.approx((probability,)))
    assert bool(found.problems) == (probability is None)


def test_verbalised_draws_follow_the_probabilities() -> None:
    found = parse_verbalised(stated(("a", "0.6"), ("b", "0.2")), 2)
    counts = Counter(found.drawn(random.Random(seed)) for seed in range(2000))
    assert counts[0] / 2000 == pytest.approx(0.75, abs=0.04)  # four standard deviations


@given(st.text(max_size=200))
def test_any_text_is_parsed(text: str) -> None:
    found = parse_verbalised(text, 2)
    assert len(found.texts) == len(found.stated)


def test_orders() -> None:
    assert by_score([0.1, 0.5, 0.5, 0.2]) == [1, 2, 3, 0]
    assert by_checker([False, None, True, True]) == [2, 3, 1, 0]
    assert by_majority(["a", "b", None, "b", "c"]) == [1, 3, 0, 4, 2]
    assert by_majority([None, None]) == [0, 1]
    assert by_majority([]) == []
    assert by_majority(["x", "y"]) == [0, 1]


def test_maximal_marginal_relevance_by_hand() -> None:
    alike = np.array([[1, 0.9, 0.0], [0.9, 1, 0.1], [0.0, 0.1, 1]])
    texts, scores = ["a", "b", "c"], [2.0, 1.9, 1.0]  # relevance 1, 0.9, 0
    picked = {w: diverse(texts, scores, 2, weight=w, similarity=lambda _: alike) for w in (0, 0.4, 0.6, 1)}
    # b: .6 * .9 - .4 * .9 = .18 > c: 0; at .6 b: .36 - .54 = -.18 < c: 0.
    assert picked == {0: [0, 1], 0.4: [0, 1], 0.6: [0, 2], 1: [0, 2]}


def test_diverse_by_words() -> None:
    texts = ["the cat sat on the mat", "the cat sat on the rug", "dogs bark at night loudly"]
    assert diverse(texts, [1.0, 1.0, 1.0], 2) == [0, 2]
    assert sorted(diverse(texts, [1.0, 0.5, 0.2], 9)) == [0, 1, 2]
    assert diverse([], [], 3) == []
    with pytest.raises(ValueError, match="from 0 to 1"):
        diverse(texts, [1, 1, 1], 2, weight=2)
