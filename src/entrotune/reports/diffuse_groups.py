"""A study of target distributions as a table: what was left out of each group's runs, over sets and seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from entrotune.reports.numbers import MISSING, format_number, read_estimate, read_number
from entrotune.reports.samples import visible

_CHANGED = (("valid_mass", "Valid mass"), ("evenness", "Evenness"), ("kl", "KL(w‖P)"))
_KEPT = (
    ("nll_difference", "Chats: NLL change"),
    ("kl_to_base", "KL from the base"),
    ("top1_agreement", "Same likeliest token"),
    ("choice_accuracy_difference", "Choices: accuracy change"),
)


@dataclass(frozen=True)
class Groups:
    """The table: what the intervals are over, the columns behind a group's name, and a row a group.

    Attributes:
        told: what the numbers are.
        kind: what the groups were in their runs.
        columns: heads of all columns but the first.
        rows: a group's name and its cells; a cell is one or two lines.
    """

    told: str
    kind: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]


def read_groups(record: Mapping[str, Any]) -> Groups | None:
    """The groups of a study; None for a run, and for a study from before they were summed up."""
    groups = record.get("groups") or []
    if not groups:
        return None
    kept = [(name, head) for name, head in _KEPT if any(name in (one.get("retention") or {}) for one in groups)]
    seeds = len(record.get("seeds") or [])
    kind, left = "trained on", "that were not trained on"
    if record.get("study") == "leave-one-out":
        kind = left = "left out"
    over = f"95% intervals over {seeds} seeds" if seeds > 1 else "one seed; 95% intervals over chats"
    return Groups(
        f"Means over the sets {left}, before → after; {over}.",
        kind,
        ("Sets", *(head for _, head in (*_CHANGED, *kept))),
        tuple((str(one.get("group")), _cells(one, [name for name, _ in kept])) for one in groups),
    )


def group_tables(record: Mapping[str, Any]) -> list[Table]:
    """The groups of a study for a terminal: what spread, and what it did to ordinary chats; none for a run."""
    groups = read_groups(record)
    if groups is None:
        return []
    changed = 1 + len(_CHANGED)  # the number of sets comes first
    tables = [_table(groups, slice(0, changed), groups.told)]
    if len(groups.columns) > changed:
        tables.append(_table(groups, slice(changed, None), "The same runs on ordinary rows; intervals as above."))
    return tables


def _table(groups: Groups, shown: slice, caption: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, caption_justify="left")
    table.caption = caption
    table.add_column(groups.kind, overflow="fold")
    for column in groups.columns[shown]:
        table.add_column(column, justify="right", no_wrap=True)
    for name, cells in groups.rows:
        table.add_row(Text(visible(name)), *("\n".join(lines) for lines in cells[shown]))
    return table


def _cells(one: Mapping[str, Any], kept: list[str]) -> tuple[tuple[str, ...], ...]:
    before, after, retention = (one.get(key) or {} for key in ("before", "after", "retention"))
    changed = [_change(before.get(name), after.get(name)) for name, _ in _CHANGED]
    return ((str(one.get("sets")),), *changed, *(_estimate(retention.get(name)) for name in kept))


def _change(before: Any, after: Any) -> tuple[str, ...]:
    was = read_number(before)
    value, *interval = _estimate(after)
    return (f"{MISSING if was is None else format_number(was)} → {value}", *interval)


def _estimate(entry: Any) -> tuple[str, ...]:
    shown = read_estimate(entry)
    if shown is None:
        return (MISSING,)
    return (shown.text, shown.interval_text) if shown.has_interval else (shown.text,)
