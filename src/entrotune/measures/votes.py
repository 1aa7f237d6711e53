"""Majority votes among parsed answers, exact for every number of voters."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Below this many samples every count of subsets is below 2^1000 and fits a float; above, Python's integers are used.
_FLOAT_SAMPLES = 1000


def majority_vote(parsed_answers: Sequence[str | None], k: int | None = None) -> dict[str, float]:
    """Probability of each answer to win the vote of `k` of the samples drawn at random, ties shared equally.

    Exact over all subsets of `k` samples; all samples vote where `k` is not given. None is an answer that could not
    be parsed: it takes a seat but never wins, so the probabilities sum to less than 1 where all of a subset
    may be None.

    Returns:
        Answer to probability, likeliest first.

    Raises:
        ValueError: unless 1 ≤ k ≤ number of samples.
    """
    n = len(parsed_answers)
    k = n if k is None else k
    if not 1 <= k <= n:
        raise ValueError(f"a vote of {k} needs at least {max(k, 1)} samples, got {n}")
    votes = Counter(answer for answer in parsed_answers if answer is not None)
    unparsed = n - votes.total()
    if k == n:
        most = max(votes.values(), default=0)
        winners = sum(count == most for count in votes.values())
        return {answer: float(count == most) / winners for answer, count in votes.most_common()}
    # Answers with equally many votes win equally often.
    chances = {count: _win_probability(count, list(votes.values()), unparsed, k) for count in set(votes.values())}
    return {answer: chances[count] for answer, count in votes.most_common()}


def majority_correct(
    parsed_answers: Sequence[str | None], correct: Sequence[bool | None], k: int | None = None
) -> float:
    """Expected correctness of the majority vote of `k` samples, 0 to 1; see `majority_vote`.

    Args:
        parsed_answers: the parsed answer of each sample, None where there is none.
        correct: whether each sample is correct; None where that could not be decided.
        k: voters; all samples where not given.

    NaN where a parsed answer is undecided.

    Raises:
        ValueError: for lists of different length, or if one answer is called both correct and wrong.
    """
    verdicts: dict[str, set[bool | None]] = {}
    for answer, verdict in zip(parsed_answers, correct, strict=True):
        if answer is not None:
            verdicts.setdefault(answer, set()).add(verdict)
    for answer, found in verdicts.items():
        if {True, False} <= found:
            raise ValueError(f"the answer {answer!r} is called both correct and wrong for one prompt")
    if any(None in found for found in verdicts.values()):
        return math.nan
    wins = majority_vote(parsed_answers, k)
    return math.fsum(chance for answer, chance in wins.items() if True in verdicts[answer])


def _win_probability(count: int, counts: list[int], unparsed: int, k: int) -> float:
    others = list(counts)
    others.remove(count)
    n = sum(counts) + unparsed
    probability = 0.0
    for votes in range(1, min(count, k) + 1):
        ways_T = _ways(others, unparsed, votes, k - votes, exact=n >= _FLOAT_SAMPLES)
        ways = math.comb(count, votes)
        probability += sum(ways * w / (math.comb(n, k) * (ties + 1)) for ties, w in enumerate(ways_T))
    return probability


def _ways(others: list[int], unparsed: int, votes: int, seats: int, *, exact: bool) -> list[int] | list[float]:
    """[T] ways to fill `seats` so that T other answers have exactly `votes` votes and none has more."""
    ways_ST: NDArray = np.zeros((seats + 1, seats // votes + 1), dtype=object if exact else np.float64)
    for blanks in range(min(unparsed, seats) + 1):
        ways_ST[blanks, 0] = math.comb(unparsed, blanks)
    for other in others:
        extended_ST = np.zeros_like(ways_ST)
        for taken in range(min(other, votes, seats) + 1):
            ways, filled = math.comb(other, taken), seats + 1 - taken
            if taken < votes:
                extended_ST[taken:] += ways * ways_ST[:filled]
            else:
                extended_ST[taken:, 1:] += ways * ways_ST[:filled, :-1]
        ways_ST = extended_ST
    return ways_ST[seats].tolist()
