"""The Vendi score: the effective number of different samples.

S: samples, D: embedding dimensions, F: different n-grams.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from entrotune.measures.words import ngrams, require_order, require_texts, words

# How far a similarity matrix may be from symmetric, from a unit diagonal and from positive semi-definite:
# about half precision, for matrices that a model computed.
_MATRIX_TOLERANCE = 1e-3
# Eigenvalues (of a matrix of trace 1) below this are rounding errors; order 0 counts those above it.
_ZERO_EIGENVALUE = 1e-10
# So near to order 1 the general formula loses more digits than the limit differs from it.
_NEAR_ONE = 1e-7


def vendi(similarity: ArrayLike | None = None, *, embeddings: ArrayLike | None = None, order: float = 1.0) -> float:
    """Vendi score of order q: from 1 (all samples the same) to S (all unlike), the effective number of samples.

    The exponential of the Rényi entropy of order q of the eigenvalues of K/S (Friedman and Dieng, arXiv 2210.11416;
    Pasarkar and Dieng, arXiv 2310.12952, for q). q = 0 counts, q = 1 is Shannon's, q = inf is 1 over the largest.
    Higher orders look at common samples, lower ones at rare ones.

    Args:
        similarity: [S, S] symmetric, positive semi-definite, ones on the diagonal, such as `ngram_similarity`.
        embeddings: [S, D] in its place; the cosine of rows is the similarity.
        order: q, zero or positive, `math.inf` allowed.

    NaN without samples; 1 for one sample.

    Raises:
        ValueError: for both or neither matrix, for a matrix that is not as described, for a negative or NaN order.
    """
    if (similarity is None) == (embeddings is None):
        raise ValueError("vendi needs either a similarity matrix or embeddings, and not both")
    if math.isnan(order) or order < 0:
        raise ValueError(f"the order of a Vendi score must be 0 or more, got {order}")
    K_SS = _checked(similarity) if similarity is not None else _cosine(_matrix(embeddings, "embeddings"))
    if not len(K_SS):
        return math.nan
    eigenvalues = np.linalg.eigvalsh(K_SS / len(K_SS))
    if eigenvalues[0] < -_MATRIX_TOLERANCE:
        raise ValueError(f"the similarity matrix is not positive semi-definite: eigenvalue {eigenvalues[0]:.3g}")
    shares = eigenvalues[eigenvalues > _ZERO_EIGENVALUE]
    return _effective_number(shares / shares.sum(), order)


def ngram_similarity(texts: Sequence[str], n: int) -> NDArray[np.float64]:
    """[S, S] cosine similarities of the texts' n-gram counts, between 0 and 1.

    A text with fewer than `n` words counts as one shorter n-gram, all its words: short texts are alike only
    when they are equal, and texts without words are alike.
    """
    require_texts(texts)
    require_order(n)
    counts = [Counter(ngrams(tokens, n)) or Counter([tuple(tokens)]) for tokens in map(words, texts)]
    columns: dict[tuple[str, ...], int] = {}
    for count in counts:
        for ngram in count:
            columns.setdefault(ngram, len(columns))
    counts_SF = np.zeros((len(texts), len(columns)))
    for row, count in enumerate(counts):
        for ngram, times in count.items():
            counts_SF[row, columns[ngram]] = times
    return _cosine(counts_SF)


def _effective_number(shares: NDArray[np.float64], order: float) -> float:
    if math.isinf(order):
        return float(1 / shares.max())
    if abs(order - 1) < _NEAR_ONE:
        return float(np.exp(-np.sum(shares * np.log(shares))))
    # About the largest share, so that a high order does not underflow.
    largest = shares.max()
    log_sum = order * np.log(largest) + np.log(np.sum((shares / largest) ** order))
    return float(np.exp(log_sum / (1 - order)))


def _matrix(values: ArrayLike | None, name: str) -> NDArray[np.float64]:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.size == 0:
        return np.zeros((0, 0))
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a matrix of finite numbers, got shape {matrix.shape}")
    return matrix


def _cosine(rows_SD: NDArray[np.float64]) -> NDArray[np.float64]:
    norms_S = np.linalg.norm(rows_SD, axis=1)
    if not norms_S.all():
        raise ValueError(f"embedding {int(np.argmin(norms_S))} is zero: its cosine with others is undefined")
    unit_SD = rows_SD / norms_S[:, None]
    return unit_SD @ unit_SD.T


def _checked(similarity: ArrayLike) -> NDArray[np.float64]:
    K_SS = _matrix(similarity, "similarity")
    if K_SS.shape[0] != K_SS.shape[1]:
        raise ValueError(f"a similarity matrix must be square, got shape {K_SS.shape}; pass embeddings=... for rows")
    if not np.allclose(np.diag(K_SS), 1, rtol=0, atol=_MATRIX_TOLERANCE):
        raise ValueError("a similarity matrix must have ones on its diagonal")
    if not np.allclose(K_SS, K_SS.T, rtol=0, atol=_MATRIX_TOLERANCE):
        raise ValueError("a similarity matrix must be symmetric")
    return (K_SS + K_SS.T) / 2
