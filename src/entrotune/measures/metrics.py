"""What each metric of an evaluation is called, measured in, and good for; reports read this table."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MetricInfo:
    """How to present a metric.

    Attributes:
        label: its name for readers.
        unit: its unit; empty for pure numbers.
        better: which direction is better; more diverse, for diversity. None where neither is.
        kind: `quality`, `diversity`, or `description` for what is neither.
        explain: one sentence for readers who have not met it.
    """

    label: str
    unit: str
    better: Literal["higher", "lower"] | None
    kind: Literal["quality", "diversity", "description"]
    explain: str


def _distinct(n: int, what: str) -> MetricInfo:
    explain = f"Share of different {what} among all {what} of a prompt's samples."
    return MetricInfo(f"Distinct-{n}", "", "higher", "diversity", explain)


def _rouge(kind: str, what: str) -> MetricInfo:
    explain = f"Agreement of a sample with its best reference in {what}, F-measure."
    return MetricInfo(f"ROUGE-{kind}", "", "higher", "quality", explain)


METRICS: dict[str, MetricInfo] = {
    "nll": MetricInfo(
        "Validation NLL",
        "nats/token",
        "lower",
        "quality",
        "Mean negative log-likelihood of the held-out answers' tokens: how unexpected they are to the model.",
    ),
    "perplexity": MetricInfo(
        "Perplexity",
        "",
        "lower",
        "quality",
        "exp(NLL): the number of equally likely tokens that would be as hard to tell.",
    ),
    "accuracy": MetricInfo(
        "Token accuracy", "", "higher", "quality", "Share of held-out tokens that are the model's most likely token."
    ),
    "correct": MetricInfo(
        "Correct samples", "", "higher", "quality", "Share of samples that the prompt's checker finds correct."
    ),
    "pass@k": MetricInfo(
        "pass@k",
        "",
        "higher",
        "quality",
        "Unbiased probability that k samples of a prompt hold a correct one.",
    ),
    "best_of_n": MetricInfo(
        "Oracle best of n",
        "",
        "higher",
        "quality",
        "Expected best score among n samples of a prompt, picked by one who knows the scores.",
    ),
    "majority": MetricInfo(
        "Majority vote",
        "",
        "higher",
        "quality",
        "Expected correctness of the commonest parsed answer of a prompt's samples; ties are shared.",
    ),
    "bleu": MetricInfo(
        "BLEU", "0–100", "higher", "quality", "Agreement of a prompt's samples with its references in runs of words."
    ),
    "chrf": MetricInfo(
        "chrF",
        "0–100",
        "higher",
        "quality",
        "Agreement of a prompt's samples with its references in runs of characters.",
    ),
    "rouge_1": _rouge("1", "words"),
    "rouge_2": _rouge("2", "word pairs"),
    "rouge_l": _rouge("L", "the longest common sequence of words"),
    "f1": MetricInfo(
        "F1", "", "higher", "quality", "Words a sample shares with its best reference, after SQuAD's normalisation."
    ),
    "exact_match": MetricInfo(
        "Exact match", "", "higher", "quality", "Share of samples that equal a reference, after SQuAD's normalisation."
    ),
    "slots": MetricInfo(
        "Slots realised",
        "",
        "higher",
        "quality",
        "Share of the slots of a meaning representation that a sample puts into words.",
    ),
    "all_slots": MetricInfo(
        "All slots realised",
        "",
        "higher",
        "quality",
        "Share of samples that put every slot of their meaning representation into words.",
    ),
    "entropy": MetricInfo(
        "Token entropy",
        "nats/token",
        "higher",
        "diversity",
        "Mean entropy of the model's own predictions: how open its choice of the next token is.",
    ),
    "distinct_1": _distinct(1, "words"),
    "distinct_2": _distinct(2, "word pairs"),
    "distinct_3": _distinct(3, "word triples"),
    "distinct_4": _distinct(4, "runs of four words"),
    "ead": MetricInfo(
        "Expectation-adjusted distinct",
        "",
        "higher",
        "diversity",
        "Different words over the number expected of equally many random words: distinct-1 corrected for length.",
    ),
    "self_bleu": MetricInfo(
        "Self-BLEU",
        "0–100",
        "lower",
        "diversity",
        "Mean BLEU of each sample against all other samples of its prompt; lower means more diverse.",
    ),
    "compression_ratio": MetricInfo(
        "Compression ratio",
        "",
        "lower",
        "diversity",
        "Bytes of a prompt's samples over their compressed bytes; lower means less repetition.",
    ),
    "vendi": MetricInfo(
        "Vendi score",
        "samples",
        "higher",
        "diversity",
        "Effective number of different samples of a prompt, from 1 to the number sampled.",
    ),
    "distinct_outputs": MetricInfo(
        "Distinct outputs", "samples", "higher", "diversity", "Number of different samples of a prompt."
    ),
    "ngram_coverage": MetricInfo(
        "N-gram coverage",
        "",
        "higher",
        "diversity",
        "Share of the different runs of 1 to 4 words of people's answers to a prompt that its samples have.",
    ),
    "reference_coverage": MetricInfo(
        "Answers covered",
        "",
        "higher",
        "diversity",
        "Share of people's different answers to a prompt that some sample of it shares half of the words with.",
    ),
    "base_nll": MetricInfo(
        "NLL under the base model",
        "nats/token",
        None,
        "description",
        "Mean negative log-likelihood of the samples under the untouched base model: how far they drifted from it.",
    ),
    "length": MetricInfo("Length", "tokens", None, "description", "Mean number of tokens of a sample."),
}
