"""Sentences of a comparison."""

from entrotune.reports import comparison_sentences
from entrotune.reports.views import read_variants
from entrotune.reports.wording import compared_sentences, findings
from reports import records


def test_sentences_put_the_front_first_and_say_no_difference_in_words() -> None:
    assert comparison_sentences(records.comparison()) == [
        "At temperature 1, gem(beta=0.7) wrote more varied answers than ce (+0.054).",
        "Base-model NLL of samples: no difference shown between ce - 0.1*entropy at temperature 1 and ce at "
        "temperature 1 (difference −0.040, 95% interval −0.130 to 0.050).",
        "Vendi score is higher for gem(beta=0.7) at temperature 1 than for ce at temperature 1 "
        "(difference +0.450, 95% interval 0.250 to 0.650).",
    ]


def test_findings_are_parted_by_verdict() -> None:
    shown, not_shown = findings(records.comparison())
    assert (len(shown), len(not_shown)) == (2, 1)
    assert "no difference shown" in not_shown[0]


def test_nothing_compared_gives_no_sentences() -> None:
    assert comparison_sentences({}) == []
    assert comparison_sentences({"comparisons": None}) == []


def test_a_bare_comparison_still_reads() -> None:
    record = {"comparisons": [{"metric": "x", "verdict": "lower", "difference": records.estimate(-1.0)}]}
    assert comparison_sentences(record) == ["x is lower for one variant than for one variant (difference −1.000)."]


def _compared(record: dict) -> str:
    return " ".join(compared_sentences(record, read_variants(record)))


def test_one_tuned_model_beside_the_base() -> None:
    variants = [records.variant("base", 0, [1.0], tuned=False), records.variant("ce", 0, [1.0, 1.3])]
    told = _compared(records.comparison(variants=variants))
    assert told.startswith(
        "SmolLM2-135M-Instruct was fine-tuned on the objective ce and measured beside the untouched base model."
    )
    assert "at one or more of the temperatures 1 and 1.3" in told


def test_evaluation_speaks_of_one_model() -> None:
    assert _compared(records.evaluation()) == (
        "SmolLM2-135M-Instruct was measured for quality and diversity. It wrote 8 answers to each of 24 prompts at "
        "each of the temperatures 0.7 and 1. The random seed was 0."
    )
