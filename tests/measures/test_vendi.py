import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrotune.measures import ngram_similarity, vendi

ORDERS = [0, 0.5, 1, 1 + 1e-9, 2, 10, 3000, math.inf]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("number", [1, 2, 7])
def test_identical_samples_count_as_one_and_orthogonal_ones_in_full(order: float, number: int) -> None:
    assert vendi(np.ones((number, number)), order=order) == pytest.approx(1)
    assert vendi(np.eye(number), order=order) == pytest.approx(number)


# Two equal samples and one unlike both: K/3 has eigenvalues 2/3, 1/3 and 0.
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (0, 2),
        (1, math.exp(-(2 / 3) * math.log(2 / 3) - (1 / 3) * math.log(1 / 3))),
        (2, 1 / ((2 / 3) ** 2 + (1 / 3) ** 2)),
        (3, ((2 / 3) ** 3 + (1 / 3) ** 3) ** (-1 / 2)),
        (math.inf, 3 / 2),
    ],
)
def test_every_order_by_hand(order: float, expected: float) -> None:
    assert vendi([[1, 1, 0], [1, 1, 0], [0, 0, 1]], order=order) == pytest.approx(expected)
    assert vendi(embeddings=[[2, 0], [5, 0], [0, 1]], order=order) == pytest.approx(expected)


@given(hnp.arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(0.1, 1)))
def test_score_falls_with_the_order_and_stays_within_its_range(embeddings_SD: np.ndarray) -> None:
    scores = [vendi(embeddings=embeddings_SD, order=order) for order in (0, 0.5, 1, 2, 5, math.inf)]
    assert all(earlier >= later - 1e-6 for earlier, later in itertools.pairwise(scores))
    assert scores[-1] >= 1 - 1e-9
    assert scores[0] <= len(embeddings_SD) + 1e-9


def test_order_is_continuous_at_one() -> None:
    similarity = np.array([[1, 0.3, 0.1], [0.3, 1, 0.5], [0.1, 0.5, 1]])
    assert vendi(similarity, order=1 + 1e-5) == pytest.approx(vendi(similarity), rel=1e-4)


def test_ngram_similarity_by_hand() -> None:
    # Pairs: a-b twice and b-a | a-b: cosine 2/(√5·1).
    similarity = ngram_similarity(["a b a b", "A b!", "x y"], 2)
    np.testing.assert_allclose(similarity, [[1, 2 / 5**0.5, 0], [2 / 5**0.5, 1, 0], [0, 0, 1]], atol=1e-12)


def test_texts_shorter_than_n_are_alike_only_when_equal() -> None:
    similarity = ngram_similarity(["yes", "no", "Yes!", "", "?"], 2)
    np.testing.assert_allclose(similarity[0], [1, 0, 1, 0, 0])
    np.testing.assert_allclose(similarity[3], [0, 0, 0, 1, 1])
    assert vendi(similarity) == pytest.approx(math.exp(-2 * 0.4 * math.log(0.4) - 0.2 * math.log(0.2)))


def test_no_samples_and_one_sample() -> None:
    assert math.isnan(vendi(ngram_similarity([], 2)))
    assert math.isnan(vendi(embeddings=np.zeros((0, 3))))
    assert vendi(ngram_similarity(["a"], 2)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either a similarity matrix or embeddings"),
        ({"similarity": np.eye(2), "embeddings": np.eye(2)}, "not both"),
        ({"similarity": np.ones((2, 3))}, "must be square"),
        ({"similarity": 2 * np.eye(2)}, "ones on its diagonal"),
        ({"similarity": [[1, 0.5], [0, 1]]}, "symmetric"),
        ({"similarity": [[1, 3], [3, 1]]}, "not positive semi-definite"),
        ({"similarity": [[1, math.nan], [math.nan, 1]]}, "finite"),
        ({"embeddings": [[1.0, 0], [0, 0]]}, "embedding 1 is zero"),
        ({"similarity": np.eye(2), "order": -1}, "0 or more, got -1"),
        ({"similarity": np.eye(2), "order": math.nan}, "0 or more, got nan"),
    ],
)
def test_bad_input_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vendi(**arguments)
