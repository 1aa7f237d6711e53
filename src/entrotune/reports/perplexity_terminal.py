"""Perplexities in a terminal: a column a model, then differences, rows that stand out, drift and warnings."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from entrotune.reports.numbers import MISSING, format_count, format_number, read_estimate
from entrotune.reports.samples import visible

Record = Mapping[str, Any]
_MEASURES = {
    "perplexity": "perplexity per token",
    "word_perplexity": "per word",
    "byte_perplexity": "per byte",
    "character_perplexity": "per character",
    "bits_per_byte": "bits per byte",
    "nll": "nats per token",
}
_COUNTS = {
    "tokens_scored": "tokens scored, each once",
    "tokens_unscored": "tokens not scored",
    "tokens_unknown": "tokens unknown",
    "words": "words",
    "characters": "characters",
    "bytes": "bytes",
}
_WHERE_ANY = ("tokens_unscored", "tokens_unknown")
_SHOWN = 10


def perplexity_view(record: Record) -> Group:
    """All that a perplexity record says, for a terminal.

    Args:
        record: the content of `perplexity.json`.
    """
    parts: list[Any] = []
    for table in (_models(record), _differences(record), _anomalies(record), _drift(record)):
        if table is not None:
            # Beside a table, where they are not folded to its width.
            title, caption = table.title, table.caption
            table.title = table.caption = None
            parts += [title, table, *([caption] if caption else []), Text()]
    data = record["data"]
    told = [
        f"Below each value: its 95% interval over {record['units']}.",
        f"{data['rows_read']:,} rows read, {data['rows_scored']:,} scored, {data['rows_rejected']:,} rejected"
        + (f": {record['rejects']}" if record["rejects"] else ""),
    ]
    if kept := record.get("filter"):
        told.append(f"filter: {kept['kept']:,} kept, {kept['dropped']:,} dropped")
    told += [f"! {warning}" for warning in record["warnings"]]
    return Group(*parts, *(Text(visible(line)) for line in told))


def _models(record: Record) -> Table:
    table = _table(record["title"])
    table.add_column("")
    for model in record["models"]:
        name = visible(model["name"])
        table.add_column(Text(f"{name}\n(pseudo)" if model["family"] == "masked" else name), justify="right")
    for name, label in _MEASURES.items():
        table.add_row(label, *(_estimate(model["measures"][name]) for model in record["models"]))
    for name, label in _COUNTS.items():
        if name not in _WHERE_ANY or any(model["counts"][name] for model in record["models"]):
            table.add_row(label, *(format_count(model["counts"][name]) for model in record["models"]))
    table.add_row("before the text", *(Text(visible(model["before"] or "nothing")) for model in record["models"]))
    table.add_row("window, stride", *(_window(model) for model in record["models"]))
    return table


def _window(model: Record) -> str:
    stride = MISSING if model["stride"] is None else f"{model['stride']:,}"
    return f"{model['max_length']:,}, {stride}"


def _differences(record: Record) -> Table | None:
    if not record["differences"]:
        return None
    table = _table("Differences a − b, paired")
    for heading in ("a", "b", "measure", "a − b", "a is"):
        table.add_column(heading, overflow="fold")
    for entry in record["differences"]:
        names = (Text(visible(entry[side])) for side in "ab")
        table.add_row(*names, _MEASURES[entry["measure"]], _estimate(entry["difference"]), entry["verdict"])
    return table


def _anomalies(record: Record) -> Table | None:
    found = record.get("anomalies")
    if found is None:
        return None
    flagged: Sequence[Record] = found["flagged"]
    counts = f"{len(flagged):,} of {found['rows']:,} rows flagged: {found['high']:,} high, {found['low']:,} low"
    table = _table(f"{counts} (|z| above {found['threshold']:g})")
    by = next((name for name in ("perplexity", "bits_per_byte") if flagged and name in flagged[0]), "perplexity")
    for heading in ("row", "z", _MEASURES[by]):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for one in flagged[:_SHOWN]:
        value = MISSING if one[by] is None else format_number(one[by])
        table.add_row(Text(visible(one["id"])), format_number(one["z"]), value)
    told = f"median {format_number(found['median'])}, deviation {format_number(found['mad'])} ({found['scale']})"
    if found["mad"] == 0:
        told += "; half of the rows have the same value, so nothing can stand out"
    table.caption = Text(told + (f"; the first {_SHOWN} are shown" if len(flagged) > _SHOWN else ""))
    return table


def _drift(record: Record) -> Table | None:
    found = record.get("drift")
    if found is None:
        return None
    by = next(name for name in ("perplexity", "bits_per_byte") if name in found["periods"][0])
    table = _table(f"Drift over {visible(found['column'])}")
    for heading in (found["period"], "rows", "tokens", _MEASURES[by]):
        table.add_column(heading, justify="left" if heading == found["period"] else "right")
    for line in found["periods"]:
        table.add_row(line["period"], f"{line['rows']:,}", f"{line['tokens']:,}", _estimate(line[by]))
    table.caption = Text("one date only: no trend")
    if found["trend"] is not None:
        slope = read_estimate(found["trend"]["slope"])
        verdicts = {"higher": "rising", "lower": "falling"}
        shown = "–" if slope is None else f"{slope.text} [{slope.interval_text}]"
        told = verdicts.get(found["trend"]["verdict"], "no trend shown")
        table.caption = Text(f"trend {shown} {found['trend']['unit']}: {told}")
    return table


def _table(title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title_justify="left", caption_justify="left")
    table.title = Text(visible(title))
    return table


def _estimate(entry: Record) -> Text:
    shown = read_estimate(entry)
    if shown is None:
        return Text(MISSING, style="dim")
    text = Text(shown.text)
    if shown.has_interval:
        text.append(f"\n{shown.interval_text.replace(' to ', '–')}", style="dim")
    return text
