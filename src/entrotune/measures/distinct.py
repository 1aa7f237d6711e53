"""Distinct words and outputs: how much of what was sampled for one prompt is new."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from entrotune.measures.words import ngrams, normalised, require_order, require_texts, words


class DistinctOutputs(NamedTuple):
    """How many of a prompt's samples differ, as a number and as a share of the samples."""

    number: int
    fraction: float


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of different n-grams among all n-grams of one prompt's samples, in (0, 1] (Li et al. 2016).

    Texts with fewer than `n` words add nothing; NaN where no text has an n-gram. One sample is allowed: the measure
    then tells repetition within it. It falls with the length of the texts; `ead` corrects for that.
    """
    found, total = _ngram_counts(texts, n)
    return found / total if total else math.nan


def ead(texts: Sequence[str], n: int, vocabulary_size: int) -> float:
    """Expectation-adjusted distinct-n: different n-grams over the number expected of uniformly random words.

    N / (M·(1 − (1 − 1/M)^C)) with N different and C n-grams in all (Liu et al. 2022, arXiv 2202.13587). The paper
    defines it for words, M = `vocabulary_size`; for longer n-grams M = vocabulary_size^n, the number of possible ones.
    The value lies in (0, 1] up to chance: it exceeds 1 by a little where all n-grams differ. Compare only values
    computed with one vocabulary size. NaN where no text has an n-gram.

    Raises:
        ValueError: if the vocabulary has fewer n-grams than the texts.
    """
    if vocabulary_size < 1:
        raise ValueError(f"vocabulary_size must be at least 1, got {vocabulary_size}")
    found, total = _ngram_counts(texts, n)
    possible = vocabulary_size**n
    if found > possible:
        raise ValueError(
            f"a vocabulary of {vocabulary_size} words has {possible} {n}-grams, but the texts have {found} different"
            " ones: give the size of a vocabulary that covers all texts compared"
        )
    if not total:
        return math.nan
    if possible == 1:
        return 1.0
    expected = -possible * math.expm1(total * math.log1p(-1 / possible))
    return found / expected


def distinct_outputs(texts: Sequence[str]) -> DistinctOutputs:
    """Number of different samples, compared in lower case with white space collapsed, and its share of all samples.

    An empty text is an output like any other. Without samples the number is 0 and the fraction NaN.
    """
    require_texts(texts)
    number = len({normalised(text) for text in texts})
    return DistinctOutputs(number, number / len(texts) if texts else math.nan)


def _ngram_counts(texts: Sequence[str], n: int) -> tuple[int, int]:
    require_texts(texts)
    require_order(n)
    found = [ngram for text in texts for ngram in ngrams(words(text), n)]
    return len(set(found)), len(found)
