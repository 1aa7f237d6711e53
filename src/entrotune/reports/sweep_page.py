"""The report of a sweep: what to use and why, the fronts, performance against what was varied, every trial."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from entrotune.errors import UserError
from entrotune.reports.numbers import MISSING, Shown, format_number, format_seconds, read_estimate, read_number
from entrotune.reports.palette import SeriesStyle
from entrotune.reports.provenance import read_provenance
from entrotune.reports.records import check_record
from entrotune.reports.rendering import write_page
from entrotune.reports.samples import visible
from entrotune.reports.sweep_figures import dimension_figures, sweep_front
from entrotune.reports.sweep_wording import counts_sentence
from entrotune.reports.views import (
    KINDS,
    Setting,
    Variant,
    best_cells,
    front_axes,
    read_metrics,
    read_variants,
    sample_sizes,
    temperature_text,
)

HEADING_WIDTH = 11


@dataclass(frozen=True)
class TrialRow:
    """One trial as page and terminal show it, at the reference temperature."""

    number: int
    label: str
    state: str
    note: str
    style: SeriesStyle | None
    quality: Shown | None
    diversity: Shown | None
    against: Shown | None
    verdict: str
    side: str
    on_front: str
    seconds: str


def write_sweep_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write a sweep as one HTML file that opens offline.

    Args:
        record: the content of `sweep.json`, schema version 1.
        path: the HTML file; replaced whole.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check(record)
    variants = read_variants(record)
    metrics = read_metrics(record, variants)
    quality, diversity = front_axes(record, metrics)
    named = {metric.name: metric for metric in metrics}
    charts = dimension_figures(record, variants, named)
    front = sweep_front(variants, quality, diversity, record)
    figures = {id: figure for id, _, figure in charts} | ({} if front is None else {"front": front})
    groups = [(kind, [metric for metric in metrics if metric.kind == kind]) for kind in KINDS]
    write_page(
        path,
        "sweep.html.j2",
        made=read_provenance(record, "Settings compared"),
        reason=(record.get("recommendation") or {}).get("reason"),
        counts=counts_sentence(record),
        pruning=record.get("pruning"),
        variants=variants,
        metrics=metrics,
        metric_groups=[(kind, members) for kind, members in groups if members],
        best=best_cells(variants, metrics),
        sizes={metric.name: sample_sizes(variants, metric) for metric in metrics},
        quality=quality,
        diversity=diversity,
        figures=figures,
        charts=[(id, caption) for id, caption, _ in charts],
        one_dimension=len(record.get("space") or []) == 1,
        reference=temperature_text(read_number(record["front"].get("reference_temperature"))),
        front_facts=front_facts(record, variants),
        trials=trial_rows(record, variants),
        quality_label=_label(record, "quality"),
        diversity_label=_label(record, "diversity"),
    )


def front_facts(record: Mapping[str, Any], variants: Sequence[Variant]) -> list[tuple[str, str]]:
    """The Pareto set, its knee and the hypervolumes in words."""
    labels = {variant.name: variant.label for variant in variants}

    def place(entry: Mapping[str, Any]) -> str:
        return (
            f"{labels.get(entry['variant'], entry['variant'])} at temperature {temperature_text(entry['temperature'])}"
        )

    facts = [("Pareto set", "; ".join(place(entry) for entry in record.get("pareto") or []) or "none")]
    knee = record.get("knee")
    facts.append(("Knee", place(knee) if knee else "none: the front does not bend outwards"))
    volume = record.get("hypervolume")
    if volume:
        worst = volume["reference"]
        quality, diversity = (f"{_label(record, a)} {format_number(worst[a])}" for a in ("quality", "diversity"))
        facts += [
            ("Hypervolume of tempered ce", format_number(volume["tempered_ce"])),
            ("Hypervolume of the settings", format_number(volume["settings"])),
            ("Measured from", f"{quality}, {diversity}: the worst of ce and the settings"),
        ]
    return facts


def sweep_table(record: Mapping[str, Any]) -> Table:
    """A sweep as a table for a terminal: plain `ce`, then the trials, at the reference temperature.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check(record)
    variants = read_variants(record)
    at = read_number(record["front"].get("reference_temperature"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, title_justify="left", caption_justify="left")
    table.add_column("setting", overflow="fold")
    for name in (_label(record, "quality"), _label(record, "diversity"), "minus ce, as diverse"):
        table.add_column("\n".join(textwrap.wrap(name, HEADING_WIDTH)), justify="right", no_wrap=True)
    table.add_column("Pareto\nat T", justify="right", no_wrap=True)
    for variant in variants[:2]:
        setting = _at(variant, at)
        numbers = [
            None if setting is None else setting.numbers.get(record["front"][axis]) for axis in ("quality", "diversity")
        ]
        table.add_row(Text(variant.label), *map(_cell, numbers), "", _on_front(record, variant.name))
    for row in trial_rows(record, variants):
        if row.quality is None:
            table.add_row(Text(visible(row.label)), Text(row.state, style="yellow"), "", "", "")
        else:
            table.add_row(
                Text(visible(row.label)), *map(_cell, (row.quality, row.diversity, row.against)), row.on_front
            )
    table.caption = Text(
        f"At temperature {temperature_text(at)}, with 95% intervals. Minus ce: {_label(record, 'quality')} less that "
        "of plain ce tempered to be at least as diverse."
    )
    return table


def sweep_findings(record: Mapping[str, Any]) -> list[str]:
    """Counts, the reasons of what did not finish, and the recommendation."""
    told = [counts_sentence(record)]
    for trial in record.get("trials") or []:
        if trial.get("state") in ("failed", "pruned"):
            told.append(f"{trial.get('label')}: {trial.get('reason')}")
    reason = (record.get("recommendation") or {}).get("reason")
    return [*told, *([reason] if reason else [])]


def trial_rows(record: Mapping[str, Any], variants: Sequence[Variant]) -> list[TrialRow]:
    """The trials in order, each at the reference temperature."""
    by_name = {variant.name: variant for variant in variants}
    at = read_number(record["front"].get("reference_temperature"))
    rows = []
    for trial in record["trials"]:
        variant = by_name.get(trial.get("variant") or trial.get("same_as"))
        setting = None if variant is None else _at(variant, at)
        found = [entry for entry in trial.get("against_tempered_ce") or [] if entry.get("temperature") == at]
        compared: Mapping[str, Any] = found[0] if found else {}
        numbers = {} if setting is None else setting.numbers
        rows.append(
            TrialRow(
                number=trial["number"],
                label=str(trial.get("label")),
                state=str(trial.get("state")),
                note=_note(trial, by_name),
                style=None if variant is None else variant.style,
                quality=numbers.get(record["front"]["quality"]),
                diversity=numbers.get(record["front"]["diversity"]),
                against=read_estimate(compared.get("difference")),
                verdict=str(compared.get("verdict") or ""),
                side=str(compared.get("side") or ""),
                on_front=_on_front(record, variant.name) if variant is not None else "",
                seconds=format_seconds(trial.get("seconds")) if trial.get("seconds") is not None else MISSING,
            )
        )
    return rows


def _note(trial: Mapping[str, Any], by_name: Mapping[str, Variant]) -> str:
    like = trial.get("same_as")
    if like:
        same = by_name.get(like)
        return f"the same run as {same.label if same is not None else like}"
    return str(trial.get("reason") or "")


def _at(variant: Variant, temperature: float | None) -> Setting | None:
    return next((setting for setting in variant.settings if setting.temperature == temperature), None)


def _on_front(record: Mapping[str, Any], name: str) -> str:
    """The temperatures at which a model is in the Pareto set."""
    places = [place["temperature"] for place in record.get("pareto") or [] if place["variant"] == name]
    return ", ".join(temperature_text(temperature) for temperature in places)


def _label(record: Mapping[str, Any], axis: str) -> str:
    metric = record["front"][axis]
    return str(((record.get("metrics") or {}).get(metric) or {}).get("label") or metric)


def _cell(shown: Shown | None) -> Text:
    if shown is None:
        return Text(MISSING, style="dim")
    text = Text(shown.text)
    if shown.has_interval:
        text.append(f"\n{shown.interval_text.replace(' to ', '–')}", style="dim")
    return text


def _check(record: Mapping[str, Any]) -> None:
    check_record(record, "The record")
    if record["kind"] != "sweep":
        raise UserError(f'A record of kind "sweep" is needed here, got one of kind "{record["kind"]}".')
