"""Records in, pages out: one-file HTML reports, model cards and terminal tables. Knows nothing of models."""

from entrotune.reports.cards import model_card
from entrotune.reports.pages import write_comparison_report, write_evaluation_report, write_report, write_run_report
from entrotune.reports.records import read_record, read_run
from entrotune.reports.terminal import comparison_findings, comparison_table, evaluation_table
from entrotune.reports.wording import comparison_sentence

__all__ = [
    "comparison_findings",
    "comparison_sentence",
    "comparison_table",
    "evaluation_table",
    "model_card",
    "read_record",
    "read_run",
    "write_comparison_report",
    "write_evaluation_report",
    "write_report",
    "write_run_report",
]
