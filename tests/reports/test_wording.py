"""Sentences of a comparison."""

import pytest

from entrotune.reports import comparison_sentence
from entrotune.reports.views import read_variants
from entrotune.reports.wording import compared_sentences, findings
from reports import records


def test_one_line_a_pair_parted_by_verdict() -> None:
    shown, not_shown = findings(records.comparison())
    assert shown == [
        "gem(beta=0.7) against ce, both at temperature 1: higher distinct-2 +0.054 [0.024 to 0.084], "
        "higher Vendi score +0.450 [0.250 to 0.650]."
    ]
    assert not_shown == [
        "ce - 0.1*entropy against ce, both at temperature 1: base-model NLL of samples −0.040 [−0.130 to 0.050]."
    ]


def test_same_temperature_then_equal_diversity_then_the_untouched_model() -> None:
    ce, base = ({"variant": name, "temperature": 1.0} for name in ("ce", "base"))
    gem, warm = {"variant": "gem(beta=0.7)", "temperature": 1.0}, {"variant": "ce", "temperature": 1.3}
    lower = {"metric": "nll", "difference": records.estimate(-0.5, 0.1), "verdict": "lower"}
    entries = [
        lower | {"a": ce, "b": base},
        lower | {"a": gem, "b": warm, "matched_on": "distinct_2"},
        lower | {"a": gem, "b": ce},
    ]
    shown, _ = findings(records.comparison(comparisons=entries))
    interval = "lower validation NLL −0.500 [−0.600 to −0.400]."
    assert shown == [
        f"gem(beta=0.7) against ce, both at temperature 1: {interval}",
        f"gem(beta=0.7) at temperature 1 against ce where that is about as diverse (temperature 1.3): {interval}",
        f"ce against the base (untouched), both at temperature 1: {interval}",
    ]


def test_a_line_has_the_interval_over_seeds() -> None:
    entry = {"metric": "nll", "difference": records.estimate(-0.5, 0.1), "verdict": "lower"}
    entry |= {"a": {"variant": "gem(beta=0.7)"}, "b": {"variant": "ce"}, "seeds": records.estimate(-0.5, 0.2, 3)}
    shown, _ = findings(records.comparison(comparisons=[entry]))
    assert shown == [
        "gem(beta=0.7) against ce: lower validation NLL −0.500 [−0.600 to −0.400; over seeds −0.700 to −0.300]."
    ]


def test_nothing_compared_finds_nothing() -> None:
    assert findings({}) == ([], [])
    assert findings({"comparisons": None}) == ([], [])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "At temperature 1, gem(beta=0.7) has a higher Vendi score than ce "
            "(difference +0.450, 95% interval 0.250 to 0.650).",
        ),
        (
            {"matched_on": "distinct_2", "b": {"variant": "ce", "temperature": 1.3}},
            "Where ce is about as diverse (temperature 1.3), gem(beta=0.7) at temperature 1 has a higher Vendi score "
            "than it (difference +0.450, 95% interval 0.250 to 0.650).",
        ),
        (
            {
                "matched_on": "distinct_2",
                "b": {"variant": "ce", "temperature": None, "between": [1.0, 1.12], "share": 0.99, "about": 1.119},
            },
            "Where ce is as diverse (temperature 1.119), gem(beta=0.7) at temperature 1 has a higher Vendi score than "
            "it (difference +0.450, 95% interval 0.250 to 0.650).",
        ),
        (
            {"matched_on": "distinct_2", "b": {"variant": "ce", "temperature": None, "between": [1.3, 1.0]}},
            "Where ce is as diverse (between temperatures 1 and 1.3), gem(beta=0.7) at temperature 1 has a higher "
            "Vendi score than it (difference +0.450, 95% interval 0.250 to 0.650).",
        ),
        (
            {"verdict": "no difference shown", "difference": records.estimate(0.1, 0.2)},
            "At temperature 1, no difference shown in Vendi score between gem(beta=0.7) and ce "
            "(difference +0.100, 95% interval −0.100 to 0.300).",
        ),
        (
            {"verdict": "no difference shown", "seeds": records.estimate(0.45, 0.5, 3)},
            "At temperature 1, no difference shown in Vendi score between gem(beta=0.7) and ce "
            "(difference +0.450, 95% interval 0.250 to 0.650, over seeds −0.050 to 0.950).",
        ),
        (
            {"b": {"variant": "ce", "temperature": 0.7}},
            "gem(beta=0.7) at temperature 1 has a higher Vendi score than ce at temperature 0.7 "
            "(difference +0.450, 95% interval 0.250 to 0.650).",
        ),
    ],
)
def test_a_comparison_in_a_sentence(changes: dict, sentence: str) -> None:
    record = records.comparison()
    assert comparison_sentence(record["comparisons"][0] | changes, record) == sentence


def test_a_bare_comparison_still_reads() -> None:
    entry = {"metric": "x", "verdict": "lower", "difference": records.estimate(-1.0)}
    assert comparison_sentence(entry, {}) == "one variant has a lower x than one variant (difference −1.000)."


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
