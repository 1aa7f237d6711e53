"""All diversity measures of one prompt's samples at once."""

import math
from collections.abc import Sequence

from numpy.typing import ArrayLike

from entrotune.measures.distinct import distinct_n, distinct_outputs, ead
from entrotune.measures.repetition import compression_ratio, self_bleu
from entrotune.measures.vendi import ngram_similarity, vendi

_VENDI_NGRAM = 2


def diversity_of(
    texts: Sequence[str],
    *,
    vocabulary_size: int | None = None,
    embeddings: ArrayLike | None = None,
    order: float = 1.0,
) -> dict[str, float]:
    """Every diversity measure of the samples of one prompt, keyed by its name in `METRICS`.

    Give responses only: prompt or template text that all samples share would hide the differences. Measures that
    are undefined for these texts are NaN, so that an `Estimate` skips and counts the prompt.

    Args:
        texts: the samples of one prompt.
        vocabulary_size: for `ead` (over words, n = 1), the same for everything compared; NaN without it.
        embeddings: [samples, dimensions] for `vendi`; else it is over counts of pairs of words.
        order: the order of `vendi`.
    """
    similarity = ngram_similarity(texts, _VENDI_NGRAM) if embeddings is None else None
    return {
        **{f"distinct_{n}": distinct_n(texts, n) for n in (1, 2, 3, 4)},
        "ead": ead(texts, 1, vocabulary_size) if vocabulary_size is not None else math.nan,
        "self_bleu": self_bleu(texts),
        "compression_ratio": compression_ratio(texts),
        "vendi": vendi(similarity, embeddings=embeddings, order=order),
        "distinct_outputs": float(distinct_outputs(texts).number) if texts else math.nan,
    }
