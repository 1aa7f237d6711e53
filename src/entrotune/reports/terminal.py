"""Tables for a terminal: one row a variant and temperature, a few chosen measures with their intervals."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from entrotune.errors import UserError
from entrotune.reports.numbers import Shown
from entrotune.reports.records import check_record
from entrotune.reports.samples import visible
from entrotune.reports.views import Metric, Variant, best_cells, front_axes, read_metrics, read_variants
from entrotune.reports.wording import findings, untrained_sentences

_USUAL_COLUMNS, _FEWEST_COLUMNS = 5, 2
_UNBOUNDED = 10_000
# Of a task's own measures, those that stand before perplexity and next-token accuracy.
_OF_TASKS = ("slots", "correct", "majority", "f1", "rouge_l", "chrf", "bleu")
_HEADING_WIDTH, _LABEL_WIDTH = 11, 16


def comparison_table(
    comparison: Mapping[str, Any], *, metrics: Sequence[str] | None = None, width: int | None = None
) -> Table:
    """A comparison as a table of value over interval; bold where best and clear of every other variant's interval.

    Args:
        comparison: the content of `comparison.json`.
        metrics: names of the measures to show, in order; those of the front and a few more when None.
        width: of the terminal; of the few more, those that do not fit are left out.

    Raises:
        UserError: the record is malformed, or a name that it has no numbers for.
    """
    return _fitting(comparison, metrics, width, first_column="variant")


def evaluation_table(
    evaluation: Mapping[str, Any], *, metrics: Sequence[str] | None = None, width: int | None = None
) -> Table:
    """The evaluation of one model as a table, one row a temperature; arguments as of `comparison_table`."""
    return _fitting(evaluation, metrics, width, first_column="model")


def unshown(record: Mapping[str, Any], table: Table) -> list[str]:
    """Names of the measures that a table of the record leaves out."""
    headings = {str(column.header) for column in table.columns}
    return [one.name for one in read_metrics(record, read_variants(record)) if str(_heading(one)) not in headings]


def comparison_findings(comparison: Mapping[str, Any]) -> Table:
    """What a comparison found, in a few lines: variants that are missing, differences shown, and those that are not."""
    lines = Table.grid()
    headings = (
        "Not trained",
        "Differences shown [95% interval]",
        "No difference shown (zero is within an interval)",
    )
    for heading, sentences in zip(headings, (untrained_sentences(comparison), *findings(comparison)), strict=True):
        if not sentences:
            continue
        block = Table.grid(padding=(0, 1))
        for sentence in sentences:
            block.add_row("•", Text(visible(sentence)))
        lines.add_row(Text(heading, style="bold"))
        lines.add_row(block)
    return lines


def _fitting(record: Mapping[str, Any], names: Sequence[str] | None, width: int | None, *, first_column: str) -> Table:
    """The table with as many of the usual measures as the terminal has room for, two of them at least."""
    check_record(record, "The record")
    variants = read_variants(record)
    measured = read_metrics(record, variants)
    for most in range(_USUAL_COLUMNS, _FEWEST_COLUMNS, -1):
        table = _table(record, variants, _chosen(record, measured, names, most), first_column)
        if names is not None or width is None or _width(table) <= width:
            return table
    return _table(record, variants, _chosen(record, measured, names, _FEWEST_COLUMNS), first_column)


def _width(table: Table) -> int:
    """Columns of text that a table takes where there is no end of room, but for its title and caption."""
    console = Console(width=_UNBOUNDED, file=io.StringIO())
    return console.measure(table).maximum


def _table(record: Mapping[str, Any], variants: Sequence[Variant], shown: Sequence[Metric], first_column: str) -> Table:
    best = best_cells(variants, shown)
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, title_justify="left", caption_justify="left")
    table.title = Text(visible(record["title"])) if record.get("title") else None
    table.caption = _caption(variants, best)
    table.add_column(first_column, no_wrap=True)
    table.add_column("T", justify="right", no_wrap=True)
    for metric in shown:
        table.add_column(_heading(metric), justify="right", no_wrap=True)
    for position, variant in enumerate(variants):
        for place, setting in enumerate(variant.settings):
            cells = [
                _cell(setting.numbers.get(metric.name), is_best=(position, place, metric.name) in best)
                for metric in shown
            ]
            label = _wrapped(variant.label, _LABEL_WIDTH) if place == 0 else Text()
            table.add_row(label, setting.temperature_text, *cells, end_section=place == len(variant.settings) - 1)
    return table


def _chosen(
    record: Mapping[str, Any], measured: Sequence[Metric], names: Sequence[str] | None, most: int
) -> list[Metric]:
    known = {metric.name: metric for metric in measured}
    if names is not None:
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UserError(f"No numbers for {', '.join(unknown)} in this record; it has {', '.join(known) or 'none'}.")
        return [known[name] for name in names]
    quality, diversity = front_axes(record, measured)
    entropy = [known["entropy"]] if "entropy" in known else []
    tasks = [known[name] for name in _OF_TASKS if name in known and known[name] not in quality[:1]]
    quality = [*quality[:1], *tasks, *(metric for metric in quality[1:] if metric not in tasks)]
    front = [*quality[:1], *diversity[:1]]
    usual = [*front, *quality[1:2], *diversity[1:2], *entropy, *quality[2:], *diversity[2:], *measured]
    chosen = list({metric.name: metric for metric in usual}.values())[:most]
    return [metric for metric in measured if metric in chosen]


def _heading(metric: Metric) -> Text:
    arrow = {"higher": " ↑", "lower": " ↓"}.get(metric.better or "", "")
    return _wrapped(metric.label + arrow, _HEADING_WIDTH)


def _wrapped(text: str, width: int) -> Text:
    """Text broken here, for columns marked `no_wrap`: rich narrows those that may wrap to nothing."""
    return Text("\n".join(textwrap.wrap(visible(text), width)))


def _cell(shown: Shown | None, *, is_best: bool) -> Text:
    if shown is None:
        return Text("–", style="dim")
    text = Text(shown.text, style="bold" if is_best else "")
    if shown.has_interval:
        text.append(f"\n{shown.interval_text.replace(' to ', '–')}", style="not bold dim")
    return text


def _caption(variants: Sequence[Variant], best: set[tuple[int, int, str]]) -> Text:
    parts = ["T: sampling temperature. Below each value: its 95% interval. ↑ higher is better, ↓ lower is better."]
    if best:
        parts.append("Bold: best, and clear of the intervals of all other variants.")
    elif len(variants) > 1:
        parts.append("No value is clear of the intervals of all other variants.")
    return Text(" ".join(parts))
