"""The report of decoding strategies compared: table, front of quality and diversity, and what each wrote."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from entrotune.errors import UserError
from entrotune.reports.figures import Figure, front_figure
from entrotune.reports.provenance import read_provenance
from entrotune.reports.records import check_record
from entrotune.reports.rendering import write_page
from entrotune.reports.samples import read_samples, temperatures_of, visible
from entrotune.reports.views import KINDS, best_cells, front_axes, read_metrics, read_variants, sample_sizes

_COLUMNS = ("own_perplexity", "repetition", "correct", "distinct_2", "tokens_per_second")
# An axis is logarithmic where its greatest value is so many times its least.
_LOG_FROM = 20
# So that all columns fit 80 characters; rich narrows columns that may wrap to nothing.
_LABEL_WIDTH, _HEADING_WIDTH = 23, 10


def write_generation_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write a comparison of strategies as one HTML file that opens offline.

    Args:
        record: the content of `bench.json`, schema version 1.
        path: the HTML file; replaced whole.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check(record)
    variants = read_variants(record)
    metrics = read_metrics(record, variants)
    quality, diversity = front_axes(record, metrics)
    front = front_figure(variants, quality, diversity)
    figures: dict[str, Figure] = {}
    if front is not None:
        figures["front"] = _of_points(front)
    groups = [(kind, [metric for metric in metrics if metric.kind == kind]) for kind in KINDS]
    samples = read_samples(record, variants)
    write_page(
        path,
        "generation.html.j2",
        made=read_provenance(record, "Decoding strategies compared"),
        variants=variants,
        metrics=metrics,
        metric_groups=[(kind, members) for kind, members in groups if members],
        sizes={metric.name: sample_sizes(variants, metric) for metric in metrics},
        best=best_cells(variants, metrics),
        quality=quality,
        diversity=diversity,
        figures=figures,
        samples=samples,
        temperatures=temperatures_of(samples),
        prompts=(record.get("data") or {}).get("prompts"),
    )


def generation_table(record: Mapping[str, Any]) -> Table:
    """A comparison of strategies as a table for a terminal.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check(record)
    variants = read_variants(record)
    metrics = {metric.name: metric for metric in read_metrics(record, variants)}
    shown = [metrics[name] for name in _COLUMNS if name in metrics]
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("strategy", no_wrap=True)
    for metric in shown:
        table.add_column(_wrapped(metric.title, _HEADING_WIDTH), justify="right", no_wrap=True)
    for variant in variants:
        numbers = [setting.numbers for setting in variant.settings]
        cells = [number.text if (number := one.get(metric.name)) else "–" for one in numbers for metric in shown]
        table.add_row(_wrapped(variant.label, _LABEL_WIDTH), *cells)
    return table


def _of_points(front: Figure) -> Figure:
    """The figure for strategies, which are points and no lines: the page's script names those that no other beats."""
    for trace in front["data"]:
        del trace["text"], trace["textposition"]
        trace["mode"] = "markers"
        numbers = "%{xaxis.title.text}: %{x:.4g}<br>%{yaxis.title.text}: %{y:.4g}"
        trace["hovertemplate"] = f"<b>{trace['name']}</b><br>{numbers}<extra></extra>"
    for name, axis in front["axes"].items():
        values = [value for column in front["columns"] for value in column[name]["value"] if value is not None]
        axis["log"] = bool(values) and min(values) > 0 and max(values) > _LOG_FROM * min(values)
    return {**front, "names_best": True}


def _wrapped(text: str, width: int) -> Text:
    return Text("\n".join(textwrap.wrap(visible(text), width)))


def _check(record: Mapping[str, Any]) -> None:
    check_record(record, "The record")
    if record["kind"] != "generation":
        raise UserError(f'A record of kind "generation" is needed here, got one of kind "{record["kind"]}".')
