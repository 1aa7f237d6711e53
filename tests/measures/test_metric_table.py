import pytest

from entrotune.measures import METRICS, MetricInfo

NAMES = [
    "nll",
    "perplexity",
    "accuracy",
    "correct",
    "pass@k",
    "best_of_n",
    "majority",
    "bleu",
    "chrf",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "f1",
    "exact_match",
    "slots",
    "all_slots",
    "entropy",
    "distinct_1",
    "distinct_2",
    "distinct_3",
    "distinct_4",
    "ead",
    "self_bleu",
    "compression_ratio",
    "vendi",
    "distinct_outputs",
    "ngram_coverage",
    "reference_coverage",
    "base_nll",
    "length",
]


def test_every_metric_of_an_evaluation_is_described() -> None:
    assert sorted(METRICS) == sorted(NAMES)


@pytest.mark.parametrize("info", METRICS.values(), ids=METRICS.keys())
def test_descriptions_can_be_shown(info: MetricInfo) -> None:
    assert info.label
    assert info.explain.endswith(".")
    assert (info.better is None) == (info.kind == "description")


def test_more_diverse_is_lower_where_repetition_is_measured() -> None:
    lower = {name for name, info in METRICS.items() if info.kind == "diversity" and info.better == "lower"}
    assert lower == {"self_bleu", "compression_ratio"}
