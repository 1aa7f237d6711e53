"""Numbers about samples and distributions: pure functions of strings, counts and arrays."""

from entrotune.measures.checkers import Checker, CheckResult, check, parse_checker
from entrotune.measures.correctness import best_of_n, pass_at_k
from entrotune.measures.coverage import coverage_of, ngram_coverage, reference_coverage, similarity
from entrotune.measures.distinct import DistinctOutputs, distinct_n, distinct_outputs, ead
from entrotune.measures.diversity import diversity_of
from entrotune.measures.entropy import count_entropy, evenness, expected_coverage
from entrotune.measures.fronts import hypervolume, knee, pareto
from entrotune.measures.holm import holm
from entrotune.measures.metrics import METRICS, MetricInfo
from entrotune.measures.numbers import Number, last_number
from entrotune.measures.rarefaction import distinct_ratio, expected_distinct
from entrotune.measures.reference_metrics import corpus_scores, reference_metrics, reference_signatures
from entrotune.measures.repetition import compression_ratio, self_bleu
from entrotune.measures.slots import parse_meaning, slots_of, slots_realised
from entrotune.measures.uncertainty import (
    Estimate,
    bootstrap_mean,
    bootstrap_ratio,
    bootstrap_slope,
    paired_difference,
    paired_ratio_difference,
    verdict,
    with_zero,
)
from entrotune.measures.vendi import ngram_similarity, vendi
from entrotune.measures.votes import majority_correct, majority_vote
from entrotune.measures.words import words
