"""What each model of a comparison kept of its other abilities, as a report and a terminal show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from entrotune.reports.numbers import MISSING, Shown, format_count, format_number, read_estimate
from entrotune.reports.samples import visible
from entrotune.reports.wording import over_seeds

LABELS = {
    "nll": "NLL of other texts",
    "choice_accuracy": "Multiple-choice accuracy",
    "kl_to_base": "KL to the untouched model",
    "top1_agreement": "Same most likely token",
    "entropy": "Token entropy there",
}
UNITS = {"nll": "nats/token", "kl_to_base": "nats/token", "entropy": "nats/token"}
_UNTOUCHED = "base"


@dataclass(frozen=True)
class RetainedRow:
    """A variant: its numbers by measure, and their differences to the untouched model."""

    name: str
    label: str
    numbers: Mapping[str, Shown]
    change: Mapping[str, Shown]


@dataclass(frozen=True)
class RetainedTable:
    """Everything about retention that is shown.

    `measures` are those that some variant has, in order; `sentences` tell of the differences that were shown.
    """

    measures: tuple[str, ...]
    rows: tuple[RetainedRow, ...]
    sentences: tuple[str, ...]
    described: str


def read_retained(comparison: Mapping[str, Any]) -> RetainedTable | None:
    """The retention of a comparison's variants; None where it was not measured."""
    about = comparison.get("retention")
    if not isinstance(about, Mapping):
        return None
    changes: dict[str, dict[str, Shown]] = {}
    for entry in about.get("comparisons") or []:
        shown = read_estimate(entry.get("difference"))
        if entry["b"]["variant"] == _UNTOUCHED and shown is not None:
            changes.setdefault(entry["a"]["variant"], {})[entry["metric"]] = shown
    rows = []
    for variant in comparison.get("variants") or []:
        found = {name: read_estimate(value) for name, value in (variant.get("retention") or {}).items()}
        numbers = {name: shown for name, shown in found.items() if shown is not None}
        label = str(variant.get("label") or variant["name"])
        rows.append(RetainedRow(variant["name"], label, numbers, changes.get(variant["name"], {})))
    measures = tuple(name for name in LABELS if any(name in row.numbers for row in rows))
    sentences = tuple(
        entry["sentence"]
        for entry in about.get("comparisons") or []
        if entry.get("sentence") and entry.get("verdict") in ("higher", "lower")
    )
    return RetainedTable(measures, tuple(rows), sentences, _described(about.get("rows") or {}))


def retention_sentence(entry: Mapping[str, Any]) -> str:
    """What one comparison of retention found."""
    label = LABELS[entry["metric"]]
    first, second = (str(entry[side]["variant"]) for side in ("a", "b"))
    second = "the untouched model" if second == _UNTOUCHED else second
    shown = read_estimate(entry["difference"])
    seeds = over_seeds(entry)
    over = f", {seeds}" if seeds else ""
    told = "" if shown is None else f" (difference {format_number(shown.value)}, {shown.interval_text}{over})"
    if entry["verdict"] not in ("higher", "lower"):
        return f"no difference shown in {label} between {first} and {second}{told}."
    return f"{first} has a {entry['verdict']} {label} than {second}{told}."


def retention_table(comparison: Mapping[str, Any]) -> Table | None:
    """What was kept, as a table for a terminal; None where it was not measured."""
    found = read_retained(comparison)
    if found is None:
        return None
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, title_justify="left", caption_justify="left")
    table.title = Text("Kept of other abilities")
    table.caption = Text(
        f"{found.described} Below each value: its 95% interval; in brackets the paired change by tuning."
    )
    table.add_column("variant", no_wrap=True)
    for name in found.measures[:3]:
        table.add_column(LABELS[name], justify="right")
    for row in found.rows:
        table.add_row(visible(row.label), *(_cell(row, name) for name in found.measures[:3]))
    return table


def _cell(row: RetainedRow, name: str) -> Text:
    shown, change = row.numbers.get(name), row.change.get(name)
    if shown is None:
        return Text(MISSING, style="dim")
    text = Text(shown.text + (f" ({change_text(change)})" if change is not None else ""))
    if shown.has_interval:
        text.append(f"\n{shown.interval_text.replace(' to ', '–')}", style="dim")
    return text


def change_text(change: Shown) -> str:
    """A change with its sign: `+0.120`."""
    return ("+" if change.value > 0 else "") + change.text


def _described(rows: Mapping[str, Any]) -> str:
    parts = []
    for name, what in (("chats", "texts"), ("choices", "multiple-choice tasks")):
        about = rows.get(name)
        if about:
            parts.append(f"{format_count(about.get('rows'))} {what} of {visible(str(about.get('source')))}")
    return f"Measured on {' and '.join(parts)}." if parts else ""
