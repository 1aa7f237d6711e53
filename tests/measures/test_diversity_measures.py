"""Values derived by hand, and properties that hold for all samples of a prompt."""

import math
import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from entrotune.measures import (
    METRICS,
    compression_ratio,
    distinct_n,
    distinct_outputs,
    diversity_of,
    ead,
    self_bleu,
)

WORD = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"])
SENTENCE = st.lists(WORD, max_size=12).map(" ".join)
SAMPLES = st.lists(SENTENCE, min_size=1, max_size=8)


def test_distinct_n_by_hand() -> None:
    # Words: the cat sat | the dog sat. Different: the cat sat dog = 4 of 6; pairs: the-cat cat-sat the-dog dog-sat.
    texts = ["The cat sat.", "the dog sat"]
    assert distinct_n(texts, 1) == 4 / 6
    assert distinct_n(texts, 2) == 1.0
    # Pairs do not run across two samples: else there would be a fifth pair, sat-the.
    assert distinct_n([*texts, "the cat"], 2) == 4 / 5


def test_distinct_n_where_texts_are_short() -> None:
    assert distinct_n(["yes", "yes sir"], 2) == 1.0
    assert math.isnan(distinct_n(["yes", "no"], 2))
    assert math.isnan(distinct_n(["", "?!"], 1))
    assert math.isnan(distinct_n([], 1))
    assert distinct_n(["no no no no"], 1) == 1 / 4
    with pytest.raises(ValueError, match="n of at least 1, got 0"):
        distinct_n(["a"], 0)


def test_ead_by_hand() -> None:
    # V = 2, C = 2 words: expected different ones 2·(1 − (1/2)²) = 1.5.
    assert ead(["a a"], 1, 2) == pytest.approx(1 / 1.5)
    assert ead(["a b"], 1, 2) == pytest.approx(2 / 1.5)
    # Pairs: 2² possible, C = 2, expected 4·(1 − (3/4)²) = 1.75; a-b and b-a are seen.
    assert ead(["a b a"], 2, 2) == pytest.approx(2 / 1.75)
    assert ead(["a a a"], 1, 1) == 1.0
    assert math.isnan(ead(["a"], 2, 10))


def test_ead_of_random_words_does_not_fall_with_length_where_distinct_does() -> None:
    generator = random.Random(5)
    short, long = (" ".join(str(generator.randrange(500)) for _ in range(length)) for length in (100, 2000))
    assert distinct_n([long], 1) < 0.5 * distinct_n([short], 1)
    assert ead([long], 1, 500) == pytest.approx(ead([short], 1, 500), rel=0.1)


def test_ead_refuses_a_vocabulary_smaller_than_the_texts() -> None:
    with pytest.raises(ValueError, match="vocabulary of 2 words has 2 1-grams, but the texts have 3"):
        ead(["a b c"], 1, 2)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        ead(["a"], 1, 0)


def test_self_bleu_takes_all_other_samples_as_references() -> None:
    # The first sample is half of each of the others: clipped by both together it is found whole.
    texts = ["a b c d e f g h", "a b c d", "e f g h"]
    bleu = BLEU(effective_order=True, tokenize="none", force=True)
    one_reference = [bleu.sentence_score(text, [texts[(i + 1) % 3]]).score for i, text in enumerate(texts)]
    all_references = [
        bleu.sentence_score(text, [other for j, other in enumerate(texts) if j != i]).score
        for i, text in enumerate(texts)
    ]
    assert all_references[0] > 2 * one_reference[0]
    assert self_bleu(texts) == pytest.approx(sum(all_references) / 3)


def test_self_bleu_by_hand() -> None:
    # Each "a b" has its words in "a b c d" (precisions 1 and 1, effective order 2) and a twin: 100.
    # "a b c d" against "a b": 2/4 words, 1/3 pairs, 0/2 triples smoothed to 1/(2·2), 0/1 to 1/(4·1); no penalty.
    long = 100 * (2 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25
    assert self_bleu(["a b", "a b", "a b c d"]) == pytest.approx((100 + 100 + long) / 3)
    # "a b" against "a b c d" alone: everything is found, the brevity penalty is exp(1 − 4/2).
    assert self_bleu(["a b", "a b c d"]) == pytest.approx((100 * math.exp(-1) + long) / 2)


def test_self_bleu_of_short_and_empty_samples() -> None:
    assert self_bleu(["yes", "Yes!"]) == 100
    assert self_bleu(["yes", "no"]) == 0
    assert self_bleu(["", ""]) == 100
    assert self_bleu(["", "yes"]) == 0
    assert math.isnan(self_bleu(["yes"]))
    assert math.isnan(self_bleu([]))


def test_self_bleu_of_a_hundred_prompts_takes_seconds() -> None:
    generator = random.Random(0)
    texts = [" ".join(f"w{generator.randrange(300)}" for _ in range(30)) for _ in range(16)]
    start = time.process_time()
    for _ in range(10):
        self_bleu(texts)
    assert time.process_time() - start < 2


def test_compression_ratio_corrects_for_the_frame() -> None:
    # One byte deflates to itself once the frame of 2 bytes is gone.
    assert compression_ratio(["a"]) == 1.0
    text = "a walk by the river before the rain came down"
    assert compression_ratio([text] * 16) > 5 * compression_ratio([text])
    for nothing in ([], [""], ["", " \n"]):
        assert math.isnan(compression_ratio(nothing))


def test_distinct_outputs() -> None:
    assert distinct_outputs(["Yes  sir", "yes sir\n", "no", ""]) == (3, 3 / 4)
    number, fraction = distinct_outputs([])
    assert number == 0
    assert math.isnan(fraction)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_ranges_and_independence_of_the_order_of_samples(texts: list[str], generator: random.Random) -> None:
    measured = diversity_of(texts, vocabulary_size=50)
    ranges = {
        **{f"distinct_{n}": (0, 1) for n in (1, 2, 3, 4)},
        "ead": (0, 3),
        "self_bleu": (0, 100 + 1e-9),
        "compression_ratio": (0, 1032),  # deflate's best
        "vendi": (1 - 1e-9, len(texts) + 1e-9),
        "distinct_outputs": (1, len(texts)),
    }
    assert measured.keys() == ranges.keys()
    for name, (low, high) in ranges.items():
        assert math.isnan(measured[name]) or low <= measured[name] <= high, name
    shuffled = generator.sample(texts, len(texts))
    again = diversity_of(shuffled, vocabulary_size=50)
    np.testing.assert_allclose(list(again.values()), list(measured.values()), rtol=1e-9)


@given(SENTENCE, st.integers(2, 8))
def test_equal_samples_are_the_least_diverse(text: str, number: int) -> None:
    measured = diversity_of([text] * number)
    assert measured["self_bleu"] == pytest.approx(100)
    assert measured["vendi"] == pytest.approx(1)
    assert measured["distinct_outputs"] == 1
    for n in (1, 2, 3, 4):
        alone = distinct_n([text], n)
        assert math.isnan(alone) or measured[f"distinct_{n}"] == pytest.approx(alone / number)


@given(st.lists(st.integers(1, 7), min_size=2, max_size=8))
def test_samples_without_a_common_word_are_the_most_diverse(lengths: list[int]) -> None:
    texts = [" ".join(f"w{sample}x{word}" for word in range(length)) for sample, length in enumerate(lengths)]
    measured = diversity_of(texts)
    assert measured["self_bleu"] == 0
    assert measured["vendi"] == pytest.approx(len(texts))
    assert measured["distinct_outputs"] == len(texts)
    assert measured["distinct_1"] == 1
    assert all(measured[f"distinct_{n}"] in (1, pytest.approx(math.nan, nan_ok=True)) for n in (2, 3, 4))


def test_a_shared_prompt_would_hide_diversity() -> None:
    # Why callers must pass responses only: the measures cannot know what was a prompt.
    responses = ["red", "a quiet sea", "seven"]
    prompted = [f"Tell me something that I have not heard before : {response}" for response in responses]
    assert self_bleu(responses) == 0
    assert self_bleu(prompted) > 70


def test_diversity_of_names_are_in_the_table_and_undefined_ones_are_nan() -> None:
    assert diversity_of(["a"]).keys() <= METRICS.keys()
    assert all(math.isnan(value) for value in diversity_of([]).values())
    assert math.isnan(diversity_of(["a b"])["ead"])
    assert diversity_of(["a b a"], vocabulary_size=2)["ead"] == ead(["a b a"], 1, 2)
    assert diversity_of(["a", "b", "c"], embeddings=np.eye(3)[[0, 0, 1]], order=math.inf)["vendi"] == pytest.approx(1.5)
