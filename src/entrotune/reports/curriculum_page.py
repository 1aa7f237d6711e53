"""The report of a study of curricula: validation curves a schedule, and final differences to the random order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from entrotune.errors import UserError
from entrotune.reports.figures import Figure, plain
from entrotune.reports.numbers import Shown, format_count, read_estimate
from entrotune.reports.palette import SeriesStyle, series_style
from entrotune.reports.provenance import read_provenance
from entrotune.reports.records import check_record
from entrotune.reports.rendering import write_page


@dataclass(frozen=True)
class Schedule:
    """One order of the study as the page shows it; the control has no difference."""

    label: str
    style: SeriesStyle
    is_control: bool
    curve: Sequence[Mapping[str, Any]]
    tokens: str
    nll: Shown | None
    over_seeds: Shown | None
    over_rows: Shown | None
    by_seed: str
    verdict: str


def write_curriculum_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write a study as one HTML file that opens offline.

    Args:
        record: the content of `curriculum.json`, schema version 1.
        path: the HTML file; replaced whole.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check(record)
    schedules = read_schedules(record)
    figures = {
        "nll": _figure(schedules, "nll", "validation NLL (nats/token)"),
        "difference": _figure(schedules, "difference", f"NLL minus that of {record.get('control')} (nats/token)"),
    }
    write_page(
        path,
        "curriculum.html.j2",
        made=read_provenance(record, "Orders of training compared"),
        variants=schedules,
        figures={key: figure for key, figure in figures.items() if figure["data"]},
        seeds=len(record.get("seeds") or []),
        steps=record.get("steps"),
        control=record.get("control"),
        sentences=curriculum_sentences(record),
    )


def curriculum_sentences(record: Mapping[str, Any]) -> list[str]:
    """What a study shows, a sentence a schedule."""
    control = record.get("control")
    told = []
    for schedule in read_schedules(record):
        if schedule.is_control or schedule.over_seeds is None:
            continue
        shown = schedule.over_seeds
        interval = f" [{shown.interval_text} over {shown.n} seeds]" if shown.has_interval else ""
        words = {"better": f"better than {control}", "worse": f"worse than {control}"}
        told.append(
            f"{schedule.label}: {words.get(schedule.verdict, f'no difference to {control} shown')}, "
            f"NLL {_signed(shown)}{interval}"
        )
    return told


def curriculum_table(record: Mapping[str, Any]) -> Table:
    """A study as a table for a terminal.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check(record)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("order", no_wrap=True)
    for name in ("NLL", f"minus {record.get('control')},\nover seeds", f"minus {record.get('control')},\nover rows"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for schedule in read_schedules(record):
        cells = [Text("–") if shown is None else _cell(shown) for shown in (schedule.over_seeds, schedule.over_rows)]
        nll = "–" if schedule.nll is None else schedule.nll.text
        table.add_row(Text(schedule.label), nll, *cells, schedule.verdict)
    return table


def read_schedules(record: Mapping[str, Any]) -> list[Schedule]:
    """The schedules of a record, the control first as it stands there."""
    control = record.get("control")
    found = []
    for place, variant in enumerate(record["variants"]):
        difference = variant.get("difference") or {}
        is_control = variant["name"] == control
        found.append(
            Schedule(
                label=variant["name"],
                style=series_style(0, tuned=False) if is_control else series_style(place - 1),
                is_control=is_control,
                curve=variant.get("curve") or [],
                tokens=format_count(variant.get("tokens")),
                nll=read_estimate(variant.get("nll")),
                over_seeds=read_estimate(difference.get("over_seeds")),
                over_rows=read_estimate(difference.get("over_rows")),
                by_seed=", ".join(_signed(Shown(value)) for value in (difference.get("by_seed") or {}).values()),
                verdict="" if is_control else str(difference.get("verdict") or ""),
            )
        )
    return found


def _check(record: Mapping[str, Any]) -> None:
    check_record(record, "The record")
    if record["kind"] != "curriculum":
        raise UserError(f'A record of kind "curriculum" is needed here, got one of kind "{record["kind"]}".')


def _figure(schedules: Sequence[Schedule], key: str, title: str) -> Figure:
    """One line a schedule over steps with its interval over seeds as a band."""
    data: list[dict[str, Any]] = []
    for position, schedule in enumerate(schedules):
        if key == "difference" and schedule.is_control:
            continue
        points = [(row["step"], read_estimate(row.get(key))) for row in schedule.curve]
        shown = [(step, value) for step, value in points if value is not None]
        meta = {"variant": position, "colour": schedule.style.colour}
        common = {"type": "scatter", "x": [step for step, _ in shown], "name": plain(schedule.label)}
        if shown and all(value.has_interval for _, value in shown):
            for end, fill in (("low", None), ("high", "tonexty")):
                edge = {"y": [getattr(value, end) for _, value in shown], "line": {"width": 0}, "hoverinfo": "skip"}
                data.append({**common, **edge, "mode": "lines", "meta": {**meta, "paint": "band"}})
                if fill:
                    data[-1]["fill"] = fill
        line = {
            "mode": "lines+markers",
            "y": [value.value for _, value in shown],
            "line": {"width": 1.9, "dash": schedule.style.dash},
            "marker": {"symbol": schedule.style.marker, "size": 6},
            "hovertemplate": "step %{x:,}: %{y:.4g}",
            "meta": {**meta, "paint": "line"},
        }
        data.append({**common, **line})
    axes = {"xaxis": {"title": {"text": "step"}, "rangemode": "tozero"}, "yaxis": {"title": {"text": plain(title)}}}
    return {"data": data, "layout": {**axes, "height": 400}}


def _signed(shown: Shown) -> str:
    return shown.text if shown.value < 0 else f"+{shown.text}"


def _cell(shown: Shown) -> Text:
    text = Text(_signed(shown))
    if shown.has_interval:
        text.append(f"\n{shown.interval_text.replace(' to ', '–')}", style="dim")
    return text
