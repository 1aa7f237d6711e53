"""Quality and diversity of a model: likelihood of held-out rows, samples, and measures of them with intervals."""

from entrotune.evaluation.description import show_samples
from entrotune.evaluation.header import header
from entrotune.evaluation.held_out import HeldOut, hold_out
from entrotune.evaluation.measure import correctness, likelihood_columns, measure, sample_columns
from entrotune.evaluation.nll import RowScore, evaluate_nll, sample_nll
from entrotune.evaluation.records import (
    Column,
    SampleRecord,
    SettingRecord,
    describe_metrics,
    difference,
    summarise,
)
from entrotune.evaluation.sampling import sample

__all__ = [
    "Column",
    "HeldOut",
    "RowScore",
    "SampleRecord",
    "SettingRecord",
    "correctness",
    "describe_metrics",
    "difference",
    "evaluate_nll",
    "header",
    "hold_out",
    "likelihood_columns",
    "measure",
    "sample",
    "sample_columns",
    "sample_nll",
    "show_samples",
    "summarise",
]
