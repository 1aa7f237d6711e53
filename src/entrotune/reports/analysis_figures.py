"""Figures of an analysis of scores as plotly JSON; see `figures` for what a trace's `meta` means."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.reports.figures import Figure, plain
from entrotune.reports.palette import SeriesStyle, series_style

Record = Mapping[str, Any]
_HEIGHT = 340
_SMALL = 240
RIGHT, WRONG = series_style(0), series_style(1)
_COVARIATES = ("none", "length", "source", "length and source")


def model_figures(name: str, found: Record, labels: Sequence[str]) -> dict[str, Figure]:
    """The figures of one metric by id."""
    unit = f" ({found['unit']})" if found["unit"] else ""
    title = plain(found["label"][0].upper() + found["label"][1:] + unit)
    figures = {
        f"sorted-{name}": _sorted(found["sorted"], labels, title),
        f"ranks-{name}": _ranks(found["ranks"], labels),
        f"agreement-{name}": _agreement(found["agreement"]["groups"]),
    }
    if len(labels) > 2:
        figures[f"components-{name}"] = _components(found["components"], labels)
    return figures


def correctness_figures(record: Record) -> dict[str, Figure]:
    """Distributions, accuracy by score, and effects before and after covariates, by id."""
    figures: dict[str, Figure] = {}
    for name, found in record["predictors"].items():
        title = plain(f"{found['label']} ({found['unit']})")
        figures[f"histogram-{name}"] = _histogram(found["histogram"], title)
        figures[f"accuracy-{name}"] = _accuracy(found["accuracy"], title, record)
    effects = _effects(record)
    return figures | ({"effects": effects} if effects["data"] else {})


def covariate_style(name: str) -> SeriesStyle:
    """How effects beside one set of covariates are drawn."""
    return series_style(_COVARIATES.index(name))


def _sorted(curves: Record, labels: Sequence[str], title: str) -> Figure:
    data = [
        _trace(at, label, series_style(at), curves["share"], curves["values"][at], width=1.9)
        for at, label in enumerate(labels)
    ]
    return _figure(data, "share of rows, in order of each model's own scores", title)


def _ranks(curves: Record, labels: Sequence[str]) -> Figure:
    data: list[dict[str, Any]] = []
    for at, label in enumerate(labels):
        style = series_style(at)
        data += _band(at, style, curves["share"], curves["low"][at], curves["high"][at])
        data.append(_trace(at, label, style, curves["share"], curves["median"][at], width=1.9))
    return _figure(data, "rows in the order of the mean rank", "rank within the model")


def _agreement(groups: Sequence[Record]) -> Figure:
    x = [at + 1 for at in range(len(groups))]
    null, spread = [group["null"] for group in groups], [group["spread"] for group in groups]
    base, own = series_style(0, tuned=False), series_style(0)
    data = _band(None, base, x, [one["low"] for one in null], [one["high"] for one in null])
    data.append(_trace(None, "bounded ranks alone", base, x, [one["value"] for one in null], width=1.5))
    observed = _trace(None, "these models", own, x, [one["value"] for one in spread], width=1.9, markers=True)
    observed["error_y"] = _arms(spread)
    figure = _figure([*data, observed], "tenth of the rows by mean rank", "spread of ranks between models", legend=True)
    figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return figure


def _components(components: Record, labels: Sequence[str]) -> Figure:
    first, second = components["loadings"][:2]
    data = []
    for at, label in enumerate(labels):
        trace = _trace(at, label, series_style(at), [first[at]], [second[at]], width=1, markers=True)
        data.append({**trace, "mode": "markers", "marker": {**trace["marker"], "size": 10}})
    shares = [f"{100 * share:.1f}%" for share in components["explained"][:2]]
    figure = _figure(data, f"correlation with component 1 ({shares[0]})", f"with component 2 ({shares[1]})")
    low = min(0.0, *first)
    figure["layout"]["xaxis"]["range"] = [low - 0.15, 1.15]
    reach = max(0.2, 1.5 * max(map(abs, second)))
    figure["layout"]["yaxis"]["range"] = [-reach, reach]
    return figure


def _histogram(found: Record, title: str) -> Figure:
    edges = found["edges"]
    data = []
    for name, style in (("right", RIGHT), ("wrong", WRONG)):
        # Steps: each share stands from its bin's left edge to the right one.
        trace = _trace(None, name, style, edges, [*found[name], found[name][-1]], width=1.75)
        trace["line"]["shape"] = "hv"
        data.append(trace)
    return _figure(data, title, "share of the class", height=_SMALL, legend=True)


def _accuracy(groups: Sequence[Record], title: str, record: Record) -> Figure:
    x = [group["mean"] for group in groups]
    data = record.get("data") or {}
    whole = data["right"] / data["rows"]
    mean = _trace(None, "all rows", series_style(0, tuned=False), [x[0], x[-1]], [whole, whole], width=1.25)
    own = _trace(None, "share right", RIGHT, x, [group["value"] for group in groups], width=1.75, markers=True)
    own["error_y"] = _arms(groups)
    return _figure([mean, own], title, "share right", height=_SMALL)


def _effects(record: Record) -> Figure:
    names = list(record["predictors"])
    entries = [entry for entry in record["confounds"]["adjusted"] if "problem" not in entry]
    sets = [name for name in _COVARIATES if any(entry["covariates"] == name for entry in entries)]
    data = []
    for at, covariates in enumerate(sets):
        chosen = [entry for entry in entries if entry["covariates"] == covariates]
        # One row a predictor; the sets stand a little below each other within it.
        y = [-names.index(entry["predictor"]) - 0.17 * (at - (len(sets) - 1) / 2) for entry in chosen]
        shown = [entry["per_sd"] for entry in chosen]
        label = "nothing held fixed" if covariates == "none" else f"{covariates} held fixed"
        trace = _trace(None, label, covariate_style(covariates), [one["value"] for one in shown], y, width=1)
        data.append({**trace, "mode": "markers", "marker": {**trace["marker"], "size": 8}, "error_x": _arms(shown)})
    if data:
        ends = [0.5, -len(names) + 0.5]
        data.insert(0, {**_trace(None, "", series_style(0, tuned=False), [0, 0], ends, width=1), "showlegend": False})
    figure = _figure(
        data, "log-odds of being right, a standard deviation", "", height=90 + 58 * len(names), legend=True
    )
    ticks = [plain(record["predictors"][name]["label"]) for name in names]
    figure["layout"]["yaxis"] |= {"tickmode": "array", "tickvals": [-at for at in range(len(names))], "ticktext": ticks}
    figure["layout"]["yaxis"]["range"] = [-len(names) + 0.5, 0.5]
    return figure


def _arms(estimates: Sequence[Record]) -> dict[str, Any]:
    """Error bars; none where an estimate has no interval."""
    ends = [[one["value"] if one[end] is None else one[end] for end in ("low", "high")] for one in estimates]
    arms = [(one["value"] - low, high - one["value"]) for one, (low, high) in zip(estimates, ends, strict=True)]
    return {
        "type": "data",
        "array": [above for _, above in arms],
        "arrayminus": [below for below, _ in arms],
        "symmetric": False,
        "thickness": 1,
        "width": 0,
    }


def _band(
    variant: int | None, style: SeriesStyle, x: Sequence[Any], low: Sequence[float], high: Sequence[float]
) -> list[dict[str, Any]]:
    common = {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "meta": {"variant": variant, "colour": style.colour, "paint": "band"},
    }
    return [{**common, "y": list(low)}, {**common, "y": list(high), "fill": "tonexty"}]


def _trace(
    variant: int | None,
    name: str,
    style: SeriesStyle,
    x: Sequence[Any],
    y: Sequence[float],
    *,
    width: float,
    markers: bool = False,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers" if markers else "lines",
        "name": plain(name),
        "x": list(x),
        "y": list(y),
        "line": {"width": width, "dash": style.dash},
        "marker": {"symbol": style.marker, "size": 7},
        "hovertemplate": "%{x:.4g}: %{y:.4g}",
        "meta": {"variant": variant, "colour": style.colour, "paint": "line"},
    }


def _figure(data: list[dict[str, Any]], x: str, y: str, *, height: int = _HEIGHT, legend: bool = False) -> Figure:
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    return {"data": data, "layout": {**axes, "height": height, "showlegend": legend}}
