"""The report of training towards target distributions: probabilities before and after, and what was kept."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from entrotune.errors import UserError
from entrotune.reports.diffuse_groups import read_groups
from entrotune.reports.figures import Figure, plain
from entrotune.reports.numbers import MISSING, format_number, read_estimate, read_number
from entrotune.reports.palette import SeriesStyle, series_style
from entrotune.reports.provenance import read_provenance
from entrotune.reports.records import check_record
from entrotune.reports.rendering import write_page
from entrotune.reports.samples import visible

# With more targets than this, their names are read by pointing at the bars.
_MOST_NAMES = 40
_LABEL_WIDTH = 24
MEASURES = (
    ("entropy", "Entropy"),
    ("evenness", "Evenness"),
    ("valid_mass", "Valid mass"),
    ("kl", "KL(w‖P)"),
    ("kl_renormalised", "KL renormalised"),
)


@dataclass(frozen=True)
class Side:
    """The untouched or the tuned model, as the figures and their key show it."""

    label: str
    style: SeriesStyle


@dataclass(frozen=True)
class SetView:
    """A target set as the page shows it."""

    label: str
    request: str
    figure: str
    kind: str
    conflicts: int
    floor: str
    rows: Sequence[tuple[str, Sequence[str]]]
    parts: Sequence[tuple[str, Sequence[str]]]
    samples: Sequence[tuple[str, str]]


SIDES = (Side("before", series_style(0, tuned=False)), Side("after", series_style(0)))


def write_diffuse_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write a run, or a study of several, as one HTML file that opens offline.

    Args:
        record: the content of `evaluation.json`, kind `diffuse`, schema version 1.
        path: the HTML file; replaced whole.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check(record)
    figures: dict[str, Figure] = {f"set-{at}": _bars(one, record) for at, one in enumerate(record["sets"])}
    curve = (record.get("training") or {}).get("curve") or []
    if curve:
        figures["loss"] = _loss_figure(curve)
    write_page(
        path,
        "diffuse.html.j2",
        made=read_provenance(record, "Target distributions"),
        variants=SIDES,
        views=[_view(at, one, record) for at, one in enumerate(record["sets"])],
        figures=figures,
        sentences=diffuse_sentences(record),
        groups=read_groups(record),
        of_seed=_of_seed(record),
        retention=_retention(record),
        measures=[label for _, label in MEASURES],
    )


def diffuse_sentences(record: Mapping[str, Any]) -> list[str]:
    """What was found, a sentence a set; for many sets one for those trained on and one for those left out."""
    if len(record["sets"]) <= 8:
        return [_sentence(one, record) for one in record["sets"]]
    told = []
    for trained, name in ((True, "trained on"), (False, "left out")):
        sets = [one for one in record["sets"] if bool(one.get("trained")) == trained]
        if sets:
            parts = [
                f"{label.lower()} from {_mean(record, 'before', sets, key)} to {_mean(record, 'after', sets, key)}"
                for key, label in (("evenness", "Evenness"), ("valid_mass", "Valid mass"))
            ]
            told.append(f"{len(sets)} sets {name}{_of_seed(record)}: mean {' and mean '.join(parts)}")
    return told


def diffuse_table(record: Mapping[str, Any]) -> Table:
    """A run or a study as a table for a terminal: before → after.

    Raises:
        UserError: the record is of another kind or version, or a part is malformed.
    """
    _check(record)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, caption_justify="left")
    table.caption = (
        "Before, and → after; nats an output. n targets; entropy of P over the targets, at most ln n; top share: that "
        "of the most frequent output among samples."
    )
    table.add_column("set", no_wrap=True)
    for name in ("n", "ln n", "entropy", "valid\nmass", "KL(w‖P)", "top\nshare"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in record["sets"]:
        before, after = (record[side].get(one["label"]) or {} for side in ("before", "after"))
        name = one["label"] + ("" if one.get("trained") else " (left out)")
        cells = [f"{_number(before, key)}\n→ {_number(after, key)}" for key in ("entropy", "valid_mass", "kl")]
        shares = [_number(side.get("sampled") or {}, "most_frequent_share") for side in (before, after)]
        most = _text(math.log(max(1, len(one["targets"]))))
        label = Text("\n".join(textwrap.wrap(visible(name), _LABEL_WIDTH)))
        table.add_row(label, str(len(one["targets"])), most, *cells, "\n→ ".join(shares))
    return table


def _check(record: Mapping[str, Any]) -> None:
    check_record(record, "The record")
    if record["kind"] != "diffuse":
        raise UserError(f'A record of kind "diffuse" is needed here, got one of kind "{record["kind"]}".')
    for side in ("before", "after"):
        if not isinstance(record.get(side), Mapping):
            raise UserError(f'The record: a run towards target distributions needs an object "{side}".')


def _of_seed(record: Mapping[str, Any]) -> str:
    """Which of several seeds the single sets are of."""
    seeds = record.get("seeds") or []
    return f" with seed {seeds[0]}" if len(seeds) > 1 else ""


def _sentence(one: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    before, after = (record[side].get(one["label"]) or {} for side in ("before", "after"))
    most = _text(math.log(max(1, len(one["targets"]))))
    left = "" if one.get("trained") else " (left out of training)"
    overlap = (
        f"; {one['conflicts']} targets begin others, so their probabilities overlap" if one.get("conflicts") else ""
    )
    return (
        f"{one['label']}{left}: entropy {_number(before, 'entropy')} → {_number(after, 'entropy')} of {most} nats, "
        f"valid mass {_number(before, 'valid_mass')} → {_number(after, 'valid_mass')}, KL {_number(before, 'kl')} → "
        f"{_number(after, 'kl')} nats{overlap}"
    )


def _mean(record: Mapping[str, Any], side: str, sets: Sequence[Mapping[str, Any]], key: str) -> str:
    values = [read_number((record[side].get(one["label"]) or {}).get(key)) for one in sets]
    known = [value for value in values if value is not None]
    return _text(sum(known) / len(known)) if known else MISSING


def _view(at: int, one: Mapping[str, Any], record: Mapping[str, Any]) -> SetView:
    sides = [record[side.label].get(one["label"]) or {} for side in SIDES]
    request = one.get("request")
    return SetView(
        label=one["label"],
        request=request
        if isinstance(request, str)
        else "\n".join(f"{t['role']}: {t['content']}" for t in request or []),
        figure=f"set-{at}",
        kind="trained on" if one.get("trained") else "left out of training",
        conflicts=int(one.get("conflicts") or 0),
        floor=_text(read_number(one.get("floor"))),
        rows=[(side.label, _cells(found)) for side, found in zip(SIDES, sides, strict=True)],
        parts=[
            (f"{part.replace('_', ' ')} targets, {side.label}", _cells(found["parts"][part]))
            for part in ("trained", "held_out")
            for side, found in zip(SIDES, sides, strict=True)
            if part in (found.get("parts") or {})
        ],
        samples=[
            (side.label, _sampled(found["sampled"]))
            for side, found in zip(SIDES, sides, strict=True)
            if "sampled" in found
        ],
    )


def _cells(found: Mapping[str, Any]) -> list[str]:
    coverage = found.get("coverage") or {}
    return [
        *(_number(found, key) for key, _ in MEASURES),
        *(_number(coverage, draws) for draws in ("10", "100", "1000")),
    ]


def _sampled(found: Mapping[str, Any]) -> str:
    test = found.get("chi_squared") or {}
    told = (
        f"{found.get('samples'):,} samples: {found.get('distinct'):,} different, {_number(found, 'validity')} valid, "
        f"{found.get('coverage'):,} targets seen, entropy {_number(found, 'entropy')} nats, most frequent "
        f"{found.get('most_frequent')!r} ({_number(found, 'most_frequent_share')})"
    )
    if not test:
        return told
    rough = ", rough for so few samples" if (read_number(test.get("lowest_expected")) or 0) < 5 else ""
    degrees = test.get("degrees_of_freedom")
    return f"{told}, χ² {_number(test, 'statistic')} at {degrees} (p {_number(test, 'p_value')}{rough})"


def _bars(one: Mapping[str, Any], record: Mapping[str, Any]) -> Figure:
    """P of each target before and after, and what it should be."""
    names = [plain(visible(target)) for target in one["targets"]]
    data: list[dict[str, Any]] = []
    for position, side in enumerate(SIDES):
        found = record[side.label].get(one["label"]) or {}
        data.append(
            {
                "type": "bar",
                "name": side.label,
                "x": list(range(len(names))),
                "y": [math.exp(value) for value in found.get("log_probs") or []],
                "customdata": names,
                "hovertemplate": "%{customdata}: %{y:.4g}",
                "meta": {"variant": position, "colour": side.style.colour, "paint": "line"},
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "wanted",
            "x": list(range(len(names))),
            "y": list(one.get("weights") or []),
            "line": {"width": 1.5, "dash": "dot", "shape": "hvh"},
            "hoverinfo": "skip",
            "meta": {"variant": None, "colour": "1", "paint": "line"},
        }
    )
    axis: dict[str, Any] = {"title": {"text": "target"}, "showticklabels": False}
    if len(names) <= _MOST_NAMES:
        axis = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names, "title": {"text": ""}}
    layout = {
        "barmode": "group",
        "bargap": 0.2 if len(names) <= _MOST_NAMES else 0,
        "xaxis": axis,
        "yaxis": {"title": {"text": "probability"}, "rangemode": "tozero"},
        "height": 300,
        "showlegend": True,
    }
    return {"data": data, "layout": layout}


def _loss_figure(curve: Sequence[Mapping[str, Any]]) -> Figure:
    looks = (("loss", "loss", "0", "solid"), ("floor", "floor", "base", "dot"))
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": [row.get("step") for row in curve],
            "y": [read_number(row.get(key)) for row in curve],
            "line": {"width": 1.9, "dash": dash},
            "hovertemplate": "step %{x:,}: %{y:.4g}",
            "meta": {"variant": None, "colour": colour, "paint": "line"},
        }
        for key, name, colour, dash in looks
    ]
    axes = {
        "xaxis": {"title": {"text": "step"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "loss (nats an output)"}, "rangemode": "tozero"},
    }
    return {"data": data, "layout": {**axes, "height": 300, "showlegend": True}}


def _retention(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, before and after of what is measured on ordinary rows."""
    found = record.get("retention") or {}
    before, after = found.get("before") or {}, found.get("after") or {}
    labels = {
        "nll": "NLL of ordinary chats, nats a token",
        "nll_difference": "its difference, paired",
        "entropy": "Entropy on them, nats a token",
        "kl_to_base": "KL from the base, nats a token",
        "top1_agreement": "Same likeliest token as the base",
        "choice_accuracy": "Multiple-choice accuracy",
        "choice_accuracy_difference": "its difference, paired",
    }
    return [
        (label, _estimate(before.get(key)), _estimate(after.get(key)))
        for key, label in labels.items()
        if key in before or key in after
    ]


def _estimate(entry: Any) -> str:
    shown = read_estimate(entry)
    if shown is None:
        return MISSING
    return f"{shown.text} [{shown.interval_text}]" if shown.has_interval else shown.text


def _number(found: Mapping[str, Any], key: str) -> str:
    return _text(read_number(found.get(key)))


def _text(value: float | None) -> str:
    return MISSING if value is None else format_number(value)
