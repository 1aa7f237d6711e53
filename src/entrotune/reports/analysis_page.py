"""The report of an analysis of scores: models compared, or correctness predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrotune.errors import UserError
from entrotune.reports.analysis_figures import correctness_figures, covariate_style, model_figures
from entrotune.reports.analysis_wording import analysis_sentences, capital, effect_size, format_p
from entrotune.reports.numbers import Shown, format_count, format_number, read_estimate
from entrotune.reports.palette import SeriesStyle, series_style
from entrotune.reports.provenance import Facts, read_provenance
from entrotune.reports.records import check_record
from entrotune.reports.rendering import write_page

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """A model, or a set of covariates, as figures and tables show it."""

    label: str
    style: SeriesStyle


def write_analysis_report(analysis: Record, path: str | Path) -> None:
    """Write an analysis as one HTML file that opens offline.

    Args:
        analysis: the content of `analysis.json`, schema version 1.
        path: the HTML file; replaced whole.

    Raises:
        UserError: the record is of another kind or version, or lacks a part.
    """
    check_record(analysis, "The record")
    if analysis["kind"] != "analysis":
        raise UserError(f'A record of kind "analysis" is needed here, got one of kind "{analysis["kind"]}".')
    models = analysis["analysis"] == "models"
    try:
        context = _models_context(analysis) if models else _correctness_context(analysis)
        sentences = analysis_sentences(analysis)
    except (KeyError, IndexError, TypeError, StopIteration) as error:
        raise UserError(
            f"The record is no complete analysis ({type(error).__name__}: {error}); analyse anew."
        ) from error
    write_page(
        path,
        "analysis_models.html.j2" if models else "analysis_correctness.html.j2",
        made=read_provenance(_dated(analysis), "Models compared" if models else "Correctness"),
        sentences=sentences,
        number=format_number,
        estimate=read_estimate,
        told_p=format_p,
        capital=capital,
        **context,
    )


def _dated(analysis: Record) -> dict[str, Any]:
    """The record with what provenance reads: the model, where there is one, and counts of rows as its data."""
    models = analysis["models"]
    names = ", ".join(str(model.get("label")) for model in models)
    return {**analysis, "model": models[0] if len(models) == 1 else {"name": names}}


def _models_context(record: Record) -> dict[str, Any]:
    labels = [str(model["label"]) for model in record["models"]]
    metrics = record.get("metrics") or {}
    figures = {
        key: figure for name, found in metrics.items() for key, figure in model_figures(name, found, labels).items()
    }
    return {
        "series": [Series(label, series_style(at)) for at, label in enumerate(labels)],
        "facts": [_model_facts(model) for model in record["models"]],
        "metrics": metrics,
        "figures": figures,
        "comparable": record.get("comparable") or {},
    }


def _model_facts(model: Record) -> Facts:
    options, counts = model.get("options") or {}, model.get("counts") or {}
    facts = {
        "Scores": model.get("folder"),
        "Parameters": format_count(model["parameters"]) if model.get("parameters") else None,
        "Precision": options.get("precision"),
        "Mode": options.get("mode"),
        "Rows scored": format_count(counts["scored"]) if "scored" in counts else None,
        "Rows rejected": format_count(counts["rejected"]) if counts.get("rejected") else None,
        "Tokens cut": format_count(counts["tokens_cut"]) if counts.get("tokens_cut") else None,
        "Tokens unknown": format_count(counts["tokens_unknown"]) if counts.get("tokens_unknown") else None,
        "Weights": str(model["fingerprint"])[:16] if model.get("fingerprint") else None,
        "Tokenizer": str(model["tokenizer_fingerprint"])[:16] if model.get("tokenizer_fingerprint") else None,
    }
    return [(term, str(value)) for term, value in facts.items() if value is not None]


def _correctness_context(record: Record) -> dict[str, Any]:
    predictors = record.get("predictors") or {}
    limits = record.get("thresholds") or {}
    adjusted = (record.get("confounds") or {}).get("adjusted") or []
    sets = list(dict.fromkeys(entry["covariates"] for entry in adjusted))
    return {
        "predictors": predictors,
        "label_of": lambda names: " + ".join(predictors[name]["label"] for name in names),
        "label_list": lambda names: [predictors[name]["label"] for name in names],
        "size_of": lambda found: effect_size(found, limits),
        "regimes": record.get("regimes") or [],
        "nested": record.get("nested") or [],
        "correlations": record.get("correlations"),
        "confounds": record.get("confounds") or {},
        "covariates": [Series(name, covariate_style(name)) for name in sets],
        "adjusted": {(entry["predictor"], entry["covariates"]): entry for entry in adjusted},
        "answers": record.get("answers"),
        "answer_facts": _answer_facts(record.get("answers")),
        "facts": [_model_facts(model) for model in record["models"]],
        "counts": _counts(record.get("data") or {}),
        "limits": limits,
        "figures": correctness_figures(record) if predictors else {},
    }


def _answer_facts(answers: Record | None) -> Facts:
    if not answers:
        return []
    shown: dict[str, Shown | None] = {by: read_estimate(answers["accuracy"][by]) for by in ("bytes", "tokens")}
    told = {by: f"{one.text} ({one.interval_text})" if one else None for by, one in shown.items()}
    facts = {
        "Model": answers["model"]["name"],
        "Share right, by bytes": told["bytes"],
        "Share right, by tokens": told["tokens"],
        "By chance": format_number(answers["chance"]),
        "Same choice both ways": format_number(answers["same_choice"]),
        "Rows read": format_count(answers["read"]),
        "Rows that were not scored": format_count(answers["not_scored"]) if answers["not_scored"] else None,
        "Rows rejected": format_count(answers["rejected"]) if answers["rejected"] else None,
        "Convention": answers["convention"],
    }
    return [(term, str(value)) for term, value in facts.items() if value is not None]


def _counts(data: Record) -> Facts:
    terms: Sequence[tuple[str, str]] = (
        ("scored", "Rows scored"),
        ("rows", "With a label"),
        ("without_label", "Without a label, left out"),
        ("labels_without_scores", "Labels of rows not scored, unused"),
        ("right", "Right"),
        ("wrong", "Wrong"),
    )
    return [(term, format_count(data[key])) for key, term in terms if key in data]
