"""pass@k, best of n and majority votes against enumeration of every subset."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.measures import best_of_n, majority_correct, majority_vote, pass_at_k

SCORES = st.lists(st.floats(-10, 10), min_size=1, max_size=8)
ANSWERS = st.lists(st.sampled_from(["1", "2", "3", "4", None]), min_size=1, max_size=8)


def test_pass_at_k_equals_enumeration() -> None:
    for n in range(1, 8):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == sum(map(any, subsets)) / len(subsets)


def test_pass_at_k_is_vectorised_and_exact_for_many_samples() -> None:
    np.testing.assert_array_equal(pass_at_k([2, 4, 4], [1, 0, 2], 2), [1, 0, 1 - 1 / 6])
    assert pass_at_k(8, np.array([0, 8]), 1).tolist() == [0, 1]
    # One right of a million: exactly k in a million, which 1 − (a product near 1) would lose digits of.
    assert pass_at_k(10**6, 1, 100) == 1e-4
    # The biased 1 − (1 − c/n)^k would say 0.75.
    assert pass_at_k(2, 1, 2) == 1.0


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        (4, 1, 5, "pass@5 needs at least 5 samples a prompt, got 4"),
        ([8, 2], [1, 1], 3, "got 2"),
        (4, 5, 1, "between 0 and n"),
        (4, -1, 1, "between 0 and n"),
        (4, 1, 0, "k of at least 1"),
        (4, 1.5, 2, "whole numbers"),
        (4, math.nan, 2, "whole numbers"),
    ],
)
def test_pass_at_k_refuses_bad_input(n: object, c: object, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k(n, c, k)  # type: ignore[arg-type]


@given(SCORES, st.data())
def test_best_of_n_is_the_mean_over_subsets(scores: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(scores)))
    expected = np.mean([max(subset) for subset in itertools.combinations(scores, k)])
    assert best_of_n(scores, k) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_best_of_n_of_booleans_is_pass_at_k(correct: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(correct)))
    assert best_of_n(correct, k) == pytest.approx(pass_at_k(len(correct), sum(correct), k))


def test_best_of_n_shapes_and_undefined_scores() -> None:
    np.testing.assert_allclose(best_of_n([[1, 2, 6], [0, math.nan, 1]], 2), [(2 + 6 + 6) / 3, math.nan])
    assert best_of_n([1, 5, 2]) == 5
    assert best_of_n([-math.inf, 1, 2], 2) == pytest.approx(5 / 3)
    with pytest.raises(ValueError, match="best of 3 needs at least 3 samples a prompt, got 2"):
        best_of_n([1, 2], 3)
    with pytest.raises(ValueError, match="got 0"):
        best_of_n([])


def _enumerated_votes(answers: list[str | None], k: int) -> dict[str, float]:
    chances: Counter[str] = Counter({answer: 0 for answer in answers if answer is not None})
    subsets = list(itertools.combinations(answers, k))
    for subset in subsets:
        votes = Counter(answer for answer in subset if answer is not None)
        winners = [answer for answer in votes if votes[answer] == max(votes.values())]
        for winner in winners:
            chances[winner] += 1 / len(winners) / len(subsets)
    return dict(chances)


@given(ANSWERS, st.data())
def test_majority_vote_equals_enumeration(answers: list[str | None], data: st.DataObject) -> None:
    k = data.draw(st.none() | st.integers(1, len(answers)))
    assert majority_vote(answers, k) == pytest.approx(_enumerated_votes(answers, k or len(answers)))


def test_unparsed_answers_never_win() -> None:
    assert majority_vote([None, None, None, "7"]) == {"7": 1.0}
    assert majority_vote([None, None, None, "7"], 2) == {"7": 0.5}
    assert majority_vote([None]) == {}


def test_majority_correct_shares_ties() -> None:
    assert majority_correct(["1", "1", "2", "2", "3"], [True, True, False, False, False]) == 0.5
    assert majority_correct(["1", None, None], [True, False, False]) == 1
    assert majority_correct([None, None], [False, False]) == 0
    # Of two voters: both 1 (1 in 3 subsets), or a tie (2 in 3).
    assert majority_correct(["1", "1", "2"], [True, True, False], 2) == pytest.approx(1 / 3 + 2 / 3 / 2)


def test_majority_correct_where_answers_are_undecided_or_contradict() -> None:
    assert math.isnan(majority_correct(["1", "2"], [True, None]))
    assert math.isnan(majority_correct(["1", "1"], [True, None]))
    assert majority_correct(["1", None], [True, None]) == 1
    with pytest.raises(ValueError, match="'1' is called both correct and wrong"):
        majority_correct(["1", "1"], [True, False])
    with pytest.raises(ValueError, match="argument 2 is"):
        majority_correct(["1"], [])
    with pytest.raises(ValueError, match="vote of 3 needs at least 3 samples, got 1"):
        majority_vote(["1"], 3)


def test_votes_of_over_a_thousand_samples_do_not_overflow() -> None:
    blanks, k = 1100, 550
    subsets = math.comb(blanks + 3, k)
    # b wins alone where it is drawn and neither a is; it ties where one of the two a is drawn too.
    expected = (math.comb(blanks, k - 1) + 2 * math.comb(blanks, k - 2) // 2) / subsets
    assert majority_vote(["a", "a", "b"] + [None] * blanks, k)["b"] == pytest.approx(expected)
