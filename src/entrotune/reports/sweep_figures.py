"""Figures of a sweep: the fronts with their Pareto set, and performance against each number that was varied."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.reports.figures import Figure, front_figure, plain
from entrotune.reports.numbers import Shown, read_number
from entrotune.reports.palette import SeriesStyle, series_style
from entrotune.reports.views import Metric, Setting, Variant, temperature_text

HEIGHT = 340
Points = Sequence[tuple[float, Shown]]


def sweep_front(
    variants: Sequence[Variant], quality: Sequence[Metric], diversity: Sequence[Metric], record: Mapping[str, Any]
) -> Figure | None:
    """The front of a comparison with rings around the points of the Pareto set."""
    figure = front_figure(variants, quality, diversity)
    if figure is None:
        return None
    wanted = {(place["variant"], read_number(place["temperature"])) for place in record.get("pareto") or []}
    members = [
        setting for variant in variants for setting in variant.settings if (variant.name, setting.temperature) in wanted
    ]
    ring = {
        "type": "scatter",
        "mode": "markers",
        "name": "Pareto set",
        "marker": {"symbol": "circle-open", "size": 17},
        "hoverinfo": "skip",
        "meta": {"variant": None, "colour": "base", "paint": "line"},
    }
    figure["data"].append(ring)
    figure["columns"].append({metric.name: _column(members, metric.name) for metric in (*quality, *diversity)})
    return figure


def _column(settings: Sequence[Setting], name: str) -> dict[str, list[float | None]]:
    shown = [setting.numbers.get(name) for setting in settings]
    nothing: list[float | None] = [0.0] * len(shown)
    return {"value": [None if one is None else one.value for one in shown], "above": nothing, "below": nothing}


def dimension_figures(
    record: Mapping[str, Any], variants: Sequence[Variant], metrics: Mapping[str, Metric]
) -> list[tuple[str, str, Figure]]:
    """(id, caption, figure): quality and diversity against every numeric dimension."""
    space = [dimension for dimension in record.get("space") or [] if dimension.get("numeric")]
    found = []
    for dimension in space:
        for axis in ("quality", "diversity"):
            metric = metrics.get(str(record["front"][axis]))
            figure = None if metric is None else _dimension_figure(record, variants, dimension, metric)
            if metric is not None and figure is not None:
                caption = f"{metric.label} against {dimension['name']}"
                found.append((f"{axis}-{dimension['name']}", caption, figure))
    return found


def _dimension_figure(
    record: Mapping[str, Any], variants: Sequence[Variant], dimension: Mapping[str, Any], metric: Metric
) -> Figure | None:
    """One series a temperature; where more than one thing varies, the reference temperature alone, without lines."""
    name, alone = str(dimension["name"]), len(record.get("space") or []) == 1
    reference = read_number(record["front"].get("reference_temperature"))
    temperatures = sorted({s.temperature for v in variants for s in v.settings if s.temperature is not None})
    data: list[dict[str, Any]] = []
    for place, temperature in enumerate(temperatures):
        if not alone and temperature != reference:
            continue
        points = _points(record, variants, name, metric.name, temperature)
        style = series_style(place)
        label = f"temperature {temperature_text(temperature)}"
        if points:
            data.append(_series(label, style, points, lines=alone))
            plain_ce = next((_number(v, metric.name, temperature) for v in variants if v.name == "ce"), None)
            if plain_ce is not None:
                data.append(_level(f"ce, {label}", style, [x for x, _ in points], plain_ce))
    if not data:
        return None
    axis = {"title": {"text": plain(name)}, "type": "log" if dimension.get("log") else "linear"}
    return {
        "data": data,
        "layout": {
            "xaxis": axis,
            "yaxis": {"title": {"text": plain(metric.title)}},
            "height": HEIGHT,
            "showlegend": True,
        },
    }


def _points(
    record: Mapping[str, Any], variants: Sequence[Variant], name: str, metric: str, temperature: float
) -> list[tuple[float, Shown]]:
    places = {entry["name"]: (entry.get("point") or {}).get(name) for entry in record["variants"]}
    found = []
    for variant in variants:
        x, shown = read_number(places.get(variant.name)), _number(variant, metric, temperature)
        if x is not None and shown is not None:
            found.append((x, shown))
    # Plain ce stands where a coefficient of 0 was asked for.
    for trial in record.get("trials") or []:
        x = read_number((trial.get("point") or {}).get(name))
        like = next((v for v in variants if v.name == trial.get("same_as") == "ce"), None)
        shown = None if like is None else _number(like, metric, temperature)
        if x is not None and shown is not None:
            found.append((x, shown))
    return sorted(found, key=lambda point: point[0])


def _number(variant: Variant, metric: str, temperature: float) -> Shown | None:
    settings = (setting for setting in variant.settings if setting.temperature == temperature)
    return next((setting.numbers.get(metric) for setting in settings), None)


def _series(label: str, style: SeriesStyle, points: Points, *, lines: bool) -> dict[str, Any]:
    arms = [
        (one.high - one.value, one.value - one.low) if one.low is not None and one.high is not None else (0, 0)
        for _, one in points
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers" if lines else "markers",
        "name": plain(label),
        "x": [x for x, _ in points],
        "y": [one.value for _, one in points],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [above for above, _ in arms],
            "arrayminus": [below for _, below in arms],
            "thickness": 1,
            "width": 0,
        },
        "line": {"width": 1.75},
        "marker": {"symbol": style.marker, "size": 8},
        "hovertemplate": "%{x:.4g}: %{y:.4g}",
        "meta": {"variant": None, "colour": style.colour, "paint": "line"},
    }


def _level(label: str, style: SeriesStyle, places: Sequence[float], shown: Shown) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain(label),
        "x": [min(places), max(places)],
        "y": [shown.value, shown.value],
        "line": {"width": 1.25, "dash": "dot"},
        "hovertemplate": "plain ce: %{y:.4g}",
        "meta": {"variant": None, "colour": style.colour, "paint": "line"},
    }
