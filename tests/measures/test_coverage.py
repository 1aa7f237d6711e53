"""Coverage of people's answers: by hand, at its limits, and in order."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrotune.measures import coverage_of, ngram_coverage, reference_coverage, similarity
from entrotune.measures.coverage import CLOSE

APART = ["the red fox ran off", "my aunt sells good bread", "it rained all of june"]
texts = st.lists(st.text(alphabet="ab c", max_size=12), min_size=1, max_size=5)


def test_by_hand() -> None:
    # 1-grams a b c d: a b of 4. 2-grams ab bc cd: ab of 3. 3-grams abc bcd: none of 2. 4-grams abcd: none.
    references = ["a b c d", "b c"]
    assert ngram_coverage(["a b", "x"], references) == pytest.approx((2 / 4 + 1 / 3 + 0 + 0) / 4)
    assert ngram_coverage(["a b", "x"], references, longest=1) == 0.5
    # a b against a b c d: shared a, b, ab of 3 and 7.
    assert similarity("a b", "A b, c d!") == pytest.approx(2 * 3 / 10)
    # b c against b c d: 2·3/(3 + 5); against a b c d 2·3/(3 + 7).
    assert reference_coverage(["b c"], ["b c d", "a b c d"], close=0.7) == 0.5
    assert reference_coverage(["b c"], ["b c d", "a b c d"], close=0.6) == 1.0


@pytest.mark.parametrize("covered", APART)
def test_copies_of_one_reference_cover_only_that_one(covered: str) -> None:
    assert reference_coverage([covered] * 4, APART) == pytest.approx(1 / 3)
    found = ngram_coverage([covered] * 4, APART)
    # Five words each, no n-gram shared by two of the three.
    assert found == pytest.approx(1 / 3)


def test_all_references_cover_all_and_strangers_nothing() -> None:
    assert coverage_of([*APART, "noise"], APART) == {"ngram_coverage": 1.0, "reference_coverage": 1.0}
    assert coverage_of(["zzz yyy xxx"], APART) == {"ngram_coverage": 0.0, "reference_coverage": 0.0}


def test_one_answer_shows_no_variety() -> None:
    for references in ([], ["a b"], ["A b!", "a b", ""]):
        assert all(math.isnan(value) for value in coverage_of(["a b"], references).values())
    assert all(math.isnan(value) for value in coverage_of([], APART).values())


@given(texts, texts, texts)
def test_more_samples_never_cover_less(samples: list[str], more: list[str], references: list[str]) -> None:
    few, many = coverage_of(samples, references), coverage_of([*samples, *more], references)
    assert coverage_of(samples[::-1] * 2, references[::-1] * 2) == pytest.approx(few, nan_ok=True)
    for name, value in few.items():
        assert math.isnan(value) == math.isnan(many[name])
        assert math.isnan(value) or 0 <= value <= many[name] + 1e-12 <= 1 + 2e-12


@given(st.text(alphabet="ab c", max_size=12), st.text(alphabet="ab c", max_size=12))
def test_similarity_is_symmetric_and_one_for_the_same_words(a: str, b: str) -> None:
    assert similarity(a, b) == similarity(b, a)
    assert 0 <= similarity(a, b) <= similarity(a, a) == 1.0


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="n-grams need n"):
        ngram_coverage(["a"], APART, longest=0)
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        reference_coverage(["a"], APART, close=0)
    with pytest.raises(ValueError, match="put it in a list"):
        ngram_coverage("a b", APART)
    assert 0 < CLOSE <= 1
