"""The reports: a comparison of variants, the evaluation of one model, the course of one training run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entrotune.errors import UserError
from entrotune.reports.analysis_page import write_analysis_report
from entrotune.reports.curriculum_page import write_curriculum_report
from entrotune.reports.curves import curve_points, lowest_step
from entrotune.reports.diffuse_page import write_diffuse_report
from entrotune.reports.epochs import epoch_figure, epoch_table
from entrotune.reports.figures import (
    MOST_LABELS,
    Figure,
    front_figure,
    overview_figure,
    preferred_split,
    shared_bounds,
    variant_curves_figure,
)
from entrotune.reports.generation_page import write_generation_report
from entrotune.reports.numbers import format_count, read_number
from entrotune.reports.palette import series_style
from entrotune.reports.provenance import Facts, read_provenance
from entrotune.reports.records import check_record, read_record, read_run
from entrotune.reports.rendering import write_page
from entrotune.reports.retention import LABELS, UNITS, change_text, read_retained
from entrotune.reports.run_figures import run_figures
from entrotune.reports.samples import read_samples, temperatures_of
from entrotune.reports.standard_tasks import mauve_sentences, read_tasks
from entrotune.reports.sweep_page import write_sweep_report
from entrotune.reports.views import (
    KINDS,
    Metric,
    Variant,
    best_cells,
    front_axes,
    read_metrics,
    read_variants,
    sample_sizes,
)
from entrotune.reports.wording import compared_sentences, findings, untrained_sentences


def write_comparison_report(comparison: Mapping[str, Any], path: str | Path) -> None:
    """Write a comparison as one HTML file that opens offline.

    Args:
        comparison: the content of `comparison.json`, schema version 1. Only `kind`, `schema_version` and `variants`
            (each with a `name`) must be there; a part that is absent or null is left out or said to be missing.
        path: the HTML file; replaced whole.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check_kind(comparison, "comparison")
    made = read_provenance(comparison, "Comparison of fine-tuning objectives")
    context = _measured_context(comparison)
    variants: list[Variant] = context["variants"]
    figures, panels = _learning_figures(variants)
    by_epoch = epoch_table(variants, context["diversity"])
    if by_epoch is not None:
        figures["epochs"] = epoch_figure(variants, by_epoch)
    shown, not_shown = findings(comparison)
    write_page(
        path,
        "comparison.html.j2",
        made=made,
        **{**context, "figures": {**context["figures"], **figures}},
        panels=panels,
        by_epoch=by_epoch,
        curve_split=preferred_split(variants, "nll"),
        entropy_split=preferred_split(variants, "entropy"),
        several_seeds=any(
            len({row.get("seed") for row in variant.curve}) > 1
            or any((one.n or 1) > 1 for one in variant.stops.values())
            for variant in variants
        ),
        shown=shown,
        not_shown=not_shown,
        untrained=untrained_sentences(comparison),
        comparisons=len(comparison.get("comparisons") or []),
        retained=read_retained(comparison),
        retained_labels=LABELS,
        retained_units=UNITS,
        change_text=change_text,
    )


def write_evaluation_report(evaluation: Mapping[str, Any], path: str | Path) -> None:
    """Write the evaluation of one model as one HTML file that opens offline.

    Args:
        evaluation: the content of `evaluation.json`, schema version 1; only `kind`, `schema_version` and `settings`
            must be there.
        path: the HTML file; replaced whole.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check_kind(evaluation, "evaluation")
    model = (evaluation.get("model") or {}).get("name") or "a model"
    made = read_provenance(evaluation, f"Evaluation of {model}")
    write_page(
        path,
        "evaluation.html.j2",
        made=made,
        tasks=read_tasks(evaluation),
        mauve=mauve_sentences(evaluation),
        **_measured_context(evaluation),
    )


def write_run_report(run: Mapping[str, Any], path: str | Path) -> None:
    """Write the course of one training run as one HTML file that opens offline.

    Args:
        run: what `read_run` gives: `metrics` (the lines of `metrics.jsonl`) and, where there are any, `name`, `recipe`
            (the resolved configuration), `run` (the content of `run.json`) and `evaluation`.
        path: the HTML file; replaced whole.

    Raises:
        UserError: `metrics` is not a list of objects.
    """
    rows = run.get("metrics")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not all(isinstance(row, Mapping) for row in rows):
        raise UserError('A run\'s report needs "metrics", the list of the lines of its metrics.jsonl.')
    details, recipe = dict(run.get("run") or {}), run.get("recipe") or {}
    name = str(run.get("name") or "run")
    variant = _run_variant(name, rows, details)
    drawn = run_figures(variant)
    evaluation = run.get("evaluation")
    if evaluation:
        _check_kind(evaluation, "evaluation")
    measured = _measured_context(evaluation or {"kind": "evaluation"})
    header = {"model": recipe.get("model"), "conventions": (evaluation or {}).get("conventions"), **details}
    if not isinstance(header["model"], Mapping):
        header["model"] = {"name": header["model"]}
    write_page(
        path,
        "run.html.j2",
        made=read_provenance({**header, "recipe": recipe}, f"Training run {name}"),
        **{**measured, "figures": measured["figures"] | {key: figure for key, (_, figure) in drawn.items()}},
        captions={key: caption for key, (caption, _) in drawn.items()},
        points=curve_points(rows, variant.best_step),
        course=_course(rows, details, recipe),
    )


def write_report(source: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run folder, a comparison, an evaluation or an analysis; returns where it was written.

    Args:
        source: a record, or a folder: of a comparison (`comparison.json`), a training run (`metrics.jsonl`), an
            evaluation (`evaluation.json`) or an analysis (`analysis.json`); a run comes after a comparison, an analysis
            last.
        out: the HTML file; `report.html` beside the record, or in the folder, when None.

    Raises:
        UserError: nothing in `source` that a report can be made of, or a record that cannot be read.
    """
    source = Path(source)
    if not source.exists():
        raise UserError(f"{source} does not exist; give the folder of a run, a comparison or a sweep, or its record.")
    folder = source if source.is_dir() else source.parent
    target = Path(out) if out is not None else folder / "report.html"
    is_run = source.is_dir() and not (source / "comparison.json").exists() and (source / "metrics.jsonl").exists()
    if is_run and not _is_diffuse(source / "evaluation.json"):
        write_run_report(read_run(source), target)
        return target
    record = read_record(_record_in(source) if source.is_dir() else source)
    writers = {
        "comparison": write_comparison_report,
        "evaluation": write_evaluation_report,
        "analysis": write_analysis_report,
        "curriculum": write_curriculum_report,
        "diffuse": write_diffuse_report,
        "generation": write_generation_report,
        "sweep": write_sweep_report,
    }
    writers[record["kind"]](record, target)
    return target


def _is_diffuse(evaluation: Path) -> bool:
    """Whether a run's evaluation is of target distributions, which has a report of its own."""
    return evaluation.exists() and read_record(evaluation)["kind"] == "diffuse"


def _record_in(folder: Path) -> Path:
    for name in ("comparison.json", "sweep.json", "curriculum.json", "evaluation.json", "analysis.json", "bench.json"):
        if (folder / name).exists():
            return folder / name
    if (folder / "recipe.yaml").exists():
        raise UserError(
            f"{folder} holds no record yet, for it is written at the end; start its command again with --resume."
        )
    raise UserError(
        f"{folder} holds nothing to report on: expected comparison.json, sweep.json, curriculum.json, "
        "metrics.jsonl, evaluation.json, analysis.json or bench.json in it."
    )


def _check_kind(record: Mapping[str, Any], kind: str) -> None:
    check_record(record, "The record")
    if record["kind"] != kind:
        raise UserError(f'A record of kind "{kind}" is needed here, got one of kind "{record["kind"]}".')


def _measured_context(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the table, the front, the samples and the glossary of any report with measurements are made of."""
    variants = read_variants(record)
    metrics = read_metrics(record, variants)
    quality, diversity = front_axes(record, metrics)
    front = front_figure(variants, quality, diversity)
    samples = read_samples(record, variants)
    figures: dict[str, Figure] = {} if front is None else {"front": front}
    return {
        "variants": variants,
        "metrics": metrics,
        "metric_groups": _grouped(metrics),
        "sizes": {metric.name: sample_sizes(variants, metric) for metric in metrics},
        "best": best_cells(variants, metrics),
        "quality": quality,
        "diversity": diversity,
        "figures": figures,
        "label_all": sum(len(variant.settings) for variant in variants) <= MOST_LABELS,
        "samples": samples,
        "temperatures": temperatures_of(samples),
        "compared": compared_sentences(record, variants),
    }


def _learning_figures(variants: list[Variant]) -> tuple[dict[str, Figure], list[tuple[str, Variant]]]:
    """Overviews and small panels by id, and the panels' ids with their variants."""
    figures: dict[str, Figure | None] = {
        "nll-overview": overview_figure(variants, "nll", "NLL (nats/token)"),
        "entropy-overview": overview_figure(variants, "entropy", "Entropy (nats/token)"),
    }
    bounds, panels = shared_bounds(variants), []
    for position, variant in enumerate(variants):
        panel = variant_curves_figure(position, variant, bounds)
        if panel is not None:
            figures[f"curves-{position}"] = panel
            panels.append((f"curves-{position}", variant))
    return {key: figure for key, figure in figures.items() if figure is not None}, panels


def _grouped(metrics: Sequence[Metric]) -> list[tuple[str, list[Metric]]]:
    groups = [(kind, [metric for metric in metrics if metric.kind == kind]) for kind in KINDS]
    return [(kind, members) for kind, members in groups if members]


def _run_variant(name: str, rows: Sequence[Mapping[str, Any]], details: Mapping[str, Any]) -> Variant:
    given = read_number(details.get("best_step"))
    return Variant(
        name=name,
        label=name,
        objective=None,
        tuned=True,
        style=series_style(0),
        settings=(),
        curve=tuple(rows),
        best_step=lowest_step(rows) if given is None else int(given),
        last_step=None,
        best_nll=None,
        last_nll=None,
    )


def _course(rows: Sequence[Mapping[str, Any]], details: Mapping[str, Any], recipe: Mapping[str, Any]) -> Facts:
    last = rows[-1] if rows else {}
    epoch = read_number(last.get("epoch"))
    facts = {
        "Objective": recipe.get("objective"),
        "Method": recipe.get("method"),
        "Status": details.get("status"),
        "Last step": format_count(last["step"]) if read_number(last.get("step")) is not None else None,
        "Epochs": None if epoch is None else f"{epoch:g}",
        "Tokens": format_count(last["tokens"]) if read_number(last.get("tokens")) is not None else None,
    }
    return [(term, str(value)) for term, value in facts.items() if value]
