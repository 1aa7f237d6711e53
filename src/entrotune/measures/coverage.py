"""How much of the variety of people's answers a prompt's samples cover, in words.

Recall of a generative model is the share of real things that lie where its samples lie (Kynkäänniemi et al. 2019,
arXiv 1904.06991; for language models Le Bronnec et al. 2024, arXiv 2402.10693), coverage the share that have a sample
close by (Naeem et al. 2020, arXiv 2002.09797). Those take distances of embeddings over a data set. Here the real things
are the references of one prompt, and closeness is shared words: no model stands between the texts and the number.
"""

import math
from collections import Counter
from collections.abc import Sequence

from entrotune.measures.words import ngrams, require_order, require_texts, words

COVERAGE_METRICS = ("ngram_coverage", "reference_coverage")
CLOSE = 0.5
"""The similarity from which on a sample counts as close to a reference."""


def coverage_of(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Both measures of one prompt's samples, keyed by their names in `METRICS`."""
    return {
        "ngram_coverage": ngram_coverage(texts, references),
        "reference_coverage": reference_coverage(texts, references),
    }


def ngram_coverage(texts: Sequence[str], references: Sequence[str], *, longest: int = 4) -> float:
    """Share of the different n-grams of the references that some sample has, mean over n = 1 … `longest`.

    Copies of one reference cover the n-grams of that one alone; all references cover 1. It grows with the number of
    samples: compare equal numbers only. An n of which no reference has an n-gram does not count.

    Returns:
        From 0 to 1; NaN for fewer than two different references, which show no variety, or without samples.

    Raises:
        ValueError: `longest` below 1, or something that is no sequence of texts.
    """
    require_texts(texts)
    require_order(longest)
    wanted = _distinct(references)
    if len(wanted) < 2 or not texts:
        return math.nan
    sampled = [words(text) for text in set(texts)]
    shares = []
    for n in range(1, longest + 1):
        known = {ngram for tokens in wanted for ngram in ngrams(tokens, n)}
        if known:
            shares.append(len(known & {ngram for tokens in sampled for ngram in ngrams(tokens, n)}) / len(known))
    return math.fsum(shares) / len(shares)


def reference_coverage(texts: Sequence[str], references: Sequence[str], *, close: float = CLOSE) -> float:
    """Share of the different references to which at least one sample has a `similarity` of `close` or more.

    It grows with the number of samples: compare equal numbers only.

    Returns:
        From 0 to 1; NaN for fewer than two different references, or without samples.

    Raises:
        ValueError: `close` is not above 0 and at most 1, or something is no sequence of texts.
    """
    if not 0 < close <= 1:
        raise ValueError(f"close is a similarity above 0 and at most 1, got {close}")
    require_texts(texts)
    wanted = [_bag(tokens) for tokens in _distinct(references)]
    if len(wanted) < 2 or not texts:
        return math.nan
    sampled = [_bag(words(text)) for text in set(texts)]
    return sum(any(_shared(bag, one) >= close for one in sampled) for bag in wanted) / len(wanted)


def similarity(a: str, b: str) -> float:
    """F1 of the words and word pairs that two texts share, as often as both have them: 0 to 1, 1 for equal words."""
    return _shared(_bag(words(a)), _bag(words(b)))


def _distinct(references: Sequence[str]) -> list[tuple[str, ...]]:
    """The words of each reference; references of the same words are one, and one without words is none."""
    require_texts(references)
    return [tokens for tokens in dict.fromkeys(tuple(words(reference)) for reference in references) if tokens]


def _bag(tokens: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter([*ngrams(tokens, 1), *ngrams(tokens, 2)])


def _shared(a: Counter[tuple[str, ...]], b: Counter[tuple[str, ...]]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 1.0
