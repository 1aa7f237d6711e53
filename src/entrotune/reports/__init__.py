"""Records in, pages out: one-file HTML reports, model cards and terminal tables. Knows nothing of models."""

from entrotune.reports.analysis_page import write_analysis_report
from entrotune.reports.analysis_terminal import analysis_findings, analysis_table
from entrotune.reports.cards import model_card
from entrotune.reports.curriculum_page import curriculum_sentences, curriculum_table, write_curriculum_report
from entrotune.reports.diffuse_groups import group_tables
from entrotune.reports.diffuse_page import diffuse_sentences, diffuse_table, write_diffuse_report
from entrotune.reports.evidence import evidence_page, trimmed
from entrotune.reports.evidence_forest import forest_picture
from entrotune.reports.evidence_pictures import evidence_picture
from entrotune.reports.generation_page import generation_table, write_generation_report
from entrotune.reports.generation_terminal import generation_view
from entrotune.reports.merge_card import merge_card
from entrotune.reports.pages import write_comparison_report, write_evaluation_report, write_report, write_run_report
from entrotune.reports.perplexity_terminal import perplexity_view
from entrotune.reports.records import read_record, read_run
from entrotune.reports.retention import retention_sentence, retention_table
from entrotune.reports.scores import score_table
from entrotune.reports.standard_tasks import mauve_sentences, task_table
from entrotune.reports.sweep_page import sweep_findings, sweep_table, write_sweep_report
from entrotune.reports.sweep_wording import recommendation_sentence
from entrotune.reports.terminal import comparison_findings, comparison_table, evaluation_table, unshown
from entrotune.reports.wording import comparison_sentence

__all__ = [
    "analysis_findings",
    "analysis_table",
    "comparison_findings",
    "comparison_sentence",
    "comparison_table",
    "curriculum_sentences",
    "curriculum_table",
    "diffuse_sentences",
    "diffuse_table",
    "evaluation_table",
    "evidence_page",
    "evidence_picture",
    "forest_picture",
    "generation_table",
    "generation_view",
    "group_tables",
    "mauve_sentences",
    "merge_card",
    "model_card",
    "perplexity_view",
    "read_record",
    "read_run",
    "recommendation_sentence",
    "retention_sentence",
    "retention_table",
    "score_table",
    "sweep_findings",
    "sweep_table",
    "task_table",
    "trimmed",
    "unshown",
    "write_analysis_report",
    "write_comparison_report",
    "write_curriculum_report",
    "write_diffuse_report",
    "write_evaluation_report",
    "write_generation_report",
    "write_report",
    "write_run_report",
    "write_sweep_report",
]
