"""How a model spreads its probability over wanted outputs: exactly, by samples, and what else it kept."""

from entrotune.evaluation.distribution.exact import exact_measures, exact_parts, target_log_probs
from entrotune.evaluation.distribution.measure import measure_sets
from entrotune.evaluation.distribution.retention import Kept, RetentionRows, describe_kept, measure_kept, read_retention
from entrotune.evaluation.distribution.sampled import Drawn, draw_outputs, sampled_measures

__all__ = [
    "Drawn",
    "Kept",
    "RetentionRows",
    "describe_kept",
    "draw_outputs",
    "exact_measures",
    "exact_parts",
    "measure_kept",
    "measure_sets",
    "read_retention",
    "sampled_measures",
    "target_log_probs",
]
