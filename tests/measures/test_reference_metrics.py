"""Reference-based metrics by hand, and equal to the packages they stand on."""

import importlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu, corpus_chrf

from entrotune.measures import corpus_scores, reference_metrics, reference_signatures
from entrotune.measures.reference_metrics import REFERENCE_METRICS, exact_match, squad_normalised, token_f1

subject = importlib.import_module("entrotune.measures.reference_metrics")  # the package has a function of this name
CAT = "the cat sat on the mat"
REFERENCES = ["the cat sat on the mat", "a cat was sitting on the mat today"]


def test_squad_normalisation() -> None:
    assert squad_normalised("  The U.S.A.,  an Example: theory!\n") == "usa example theory"
    assert exact_match("Eiffel Tower.", ["the Eiffel tower", "x"]) == 1.0
    assert exact_match("Eiffel", ["the Eiffel tower"]) == 0.0


def test_f1_by_hand() -> None:
    # "cat sat mat" against "cat on mat": 2 shared of 3 and 3.
    assert token_f1("the cat sat, mat", ["a cat on the mat"]) == pytest.approx(2 / 3)
    # A word counts as often as both have it: 1 of 3, and 1 of 1.
    assert token_f1("cat cat cat", ["cat"]) == pytest.approx(2 * (1 / 3) * 1 / (1 / 3 + 1))
    assert token_f1("cat cat cat", ["dog", "cat cat"]) == pytest.approx(0.8)
    assert token_f1("the", ["a"]) == 1.0
    assert token_f1("the", ["cat"]) == 0.0


def test_equal_to_the_packages() -> None:
    texts = ["the cat is on the mat", "a dog, perhaps", CAT]
    found = reference_metrics(texts, REFERENCES)
    streams = [[one] * 3 for one in REFERENCES]
    assert found["bleu"] == pytest.approx(corpus_bleu(texts, streams).score)
    assert found["chrf"] == pytest.approx(corpus_chrf(texts, streams).score)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    for name, kind in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        best = [max(scorer.score(one, text)[kind].fmeasure for one in REFERENCES) for text in texts]
        assert found[name] == pytest.approx(sum(best) / 3)
    assert found["exact_match"] == pytest.approx(1 / 3)


def test_prompts_with_different_numbers_of_references_are_one_corpus() -> None:
    prompts = [([CAT, "a mat"], REFERENCES), (["hello there all"], ["hello there you all"]), (["no reference"], [])]
    texts = [CAT, "a mat", "hello there all"]
    first = [REFERENCES[0], REFERENCES[0], "hello there you all"]
    second = [REFERENCES[1], REFERENCES[1], None]
    found = corpus_scores(prompts)
    assert found["bleu"] == pytest.approx(corpus_bleu(texts, [first, second]).score)
    assert found["chrf"] == pytest.approx(corpus_chrf(texts, [first, second]).score)
    assert all(math.isnan(value) for value in corpus_scores([(["x"], [])]).values())


def test_a_perfect_sample_has_full_marks_and_an_unrelated_one_next_to_none() -> None:
    perfect = reference_metrics([CAT], REFERENCES)
    assert perfect == pytest.approx(
        {"bleu": 100, "chrf": 100, "rouge_1": 1, "rouge_2": 1, "rouge_l": 1, "f1": 1, "exact_match": 1}
    )
    wrong = reference_metrics(["quick brown foxes jump"], REFERENCES)
    assert [wrong[name] for name in ("rouge_1", "rouge_2", "rouge_l", "f1", "exact_match")] == [0.0] * 5
    assert wrong["bleu"] < 10
    assert wrong["chrf"] < 15


texts = st.lists(st.text(alphabet="ab cd.", max_size=12), min_size=1, max_size=4)


@given(texts, texts)
def test_bounds_and_order(samples: list[str], references: list[str]) -> None:
    found = reference_metrics(samples, references)
    assert tuple(found) == REFERENCE_METRICS
    for name, value in found.items():
        assert math.isnan(value) == (name.startswith("rouge") and not set("".join(references)) & set("abcd"))
        assert math.isnan(value) or -1e-9 <= value <= (100 if name in ("bleu", "chrf") else 1) + 1e-9
    # Neither the order nor the repetition of references matters.
    again = reference_metrics(samples[::-1], [*references[::-1], references[0]])
    assert again == pytest.approx(found, nan_ok=True)


@given(texts, texts, texts)
def test_another_reference_never_hurts_where_the_best_counts(
    samples: list[str], references: list[str], more: list[str]
) -> None:
    before, after = reference_metrics(samples, references), reference_metrics(samples, references + more)
    for name in ("rouge_1", "rouge_2", "rouge_l", "f1", "exact_match"):
        assert math.isnan(before[name]) or after[name] >= before[name] - 1e-12


def test_undefined() -> None:
    assert all(math.isnan(value) for value in reference_metrics([], ["x"]).values())
    assert all(math.isnan(value) for value in reference_metrics(["x"], []).values())
    chinese = reference_metrics(["你好"], ["你好吗"])
    assert math.isnan(chinese["rouge_1"])
    assert chinese["chrf"] > 0
    with pytest.raises(ValueError, match="put it in a list"):
        reference_metrics("text", ["x"])


def test_signatures_name_version_and_options() -> None:
    # Also before anything was scored.
    subject._bleu.cache_clear()
    subject._chrf.cache_clear()
    told = reference_signatures()
    assert told["bleu"].startswith("nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert told["chrf"].startswith("nrefs:var|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    assert "stemmer:no" in told["rouge_l"]
    assert reference_signatures("2")["bleu"].startswith("nrefs:2|")
