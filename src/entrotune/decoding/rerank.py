"""Choosing among several responses to one prompt. Each function gives places in the list, best first."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from entrotune.measures import majority_vote, ngram_similarity

Similarity = Callable[[Sequence[str]], ArrayLike]
"""Texts to their [N, N] similarities, 1 for equal ones."""


def by_score(scores: Sequence[float]) -> list[int]:
    """Highest score first, earlier ones first among equals: mean log-likelihood, or what a reward model gives."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def by_checker(correct: Sequence[bool | None]) -> list[int]:
    """Correct ones first, then undecided, then wrong ones. This needs the right answer: it is an oracle."""
    return by_score([{True: 2.0, None: 1.0, False: 0.0}[one] for one in correct])


def by_majority(parsed: Sequence[str | None]) -> list[int]:
    """Answers by their number of votes (self-consistency, arXiv 2203.11171); None, where nothing was parsed, last.

    Among answers with equally many votes that which came first is first.
    """
    if not parsed:
        return []
    order = list(majority_vote(parsed))
    votes = {answer: sum(one == answer for one in parsed) for answer in order}
    first = {answer: parsed.index(answer) for answer in order}
    return sorted(
        range(len(parsed)),
        key=lambda place: (
            (0, -votes[parsed[place]], first[parsed[place]], place) if parsed[place] is not None else (1, 0, 0, place)  # type: ignore[index]
        ),
    )


def word_pairs(texts: Sequence[str]) -> ArrayLike:
    """Cosine similarities of counts of word pairs."""
    return ngram_similarity(texts, 2)


def diverse(
    texts: Sequence[str],
    scores: Sequence[float],
    keep: int,
    *,
    weight: float = 0.5,
    similarity: Similarity = word_pairs,
) -> list[int]:
    """A good and varied subset by maximal marginal relevance (Carbonell and Goldstein 1998).

    Picks one after the other the response of highest (1 − weight) · relevance − weight · greatest similarity to one
    already picked. Relevance is the score, brought to 0 to 1 over these responses; equal ones are 1.

    Args:
        keep: how many to pick; all where there are not more.
        weight: of diversity: 0 is `by_score`, 1 looks at similarity only (after the best).

    Raises:
        ValueError: a weight outside of 0 to 1.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be from 0 to 1, got {weight}")
    if not texts:
        return []
    alike = np.asarray(similarity(texts), dtype=float)
    given = np.asarray(scores, dtype=float)
    span = given.max() - given.min()
    relevance = (given - given.min()) / span if span > 0 else np.ones(len(texts))
    picked = [int(relevance.argmax())]
    while len(picked) < min(keep, len(texts)):
        value = (1 - weight) * relevance - weight * alike[:, picked].max(axis=1)
        value[picked] = -np.inf
        picked.append(int(value.argmax()))
    return picked
