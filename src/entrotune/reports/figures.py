"""Figures of a comparison as plotly JSON, without colours: the page's script paints them light or dark.

Each figure is `{"data": [...], "layout": {...}}`. A trace's `meta` says what it belongs to: `variant` (position, for
the key's switches), `colour` (a CSS variable `--series-<colour>`) and `paint` (`line` or `band`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.reports.numbers import read_number
from entrotune.reports.views import Metric, Setting, Variant

Figure = dict[str, Any]
Curve = dict[float, dict[int | None, float]]

# Beyond this many points, temperatures are written beside those of the first line only.
MOST_LABELS = 24


def front_figure(variants: Sequence[Variant], quality: Sequence[Metric], diversity: Sequence[Metric]) -> Figure | None:
    """Quality against diversity, a line a variant over temperature; None where a point has nothing to stand on.

    Beside plotly's parts: `columns` holds, per trace and metric, the lists of values and interval arms, and `axes`
    each metric's title and direction, from which the page's script draws any pair that is chosen.
    """
    if not quality or not diversity:
        return None
    shown = [(position, variant) for position, variant in enumerate(variants) if variant.settings]
    if not shown:
        return None
    metrics = {metric.name: metric for metric in (*quality, *diversity)}
    label_all = sum(len(variant.settings) for _, variant in shown) <= MOST_LABELS
    data: list[dict[str, Any]] = []
    columns = []
    for position, variant in shown:
        columns.append({name: _column(variant.settings, name) for name in metrics})
        data.append(_front_trace(position, variant, labelled=label_all or not data))
    return {
        "data": data,
        "layout": {"xaxis": {}, "yaxis": {}, "height": 480},
        "columns": columns,
        "axes": {name: {"title": plain(metric.title), "better": metric.better} for name, metric in metrics.items()},
    }


def _front_trace(position: int, variant: Variant, *, labelled: bool) -> dict[str, Any]:
    texts = [setting.temperature_text for setting in variant.settings]
    return {
        "type": "scatter",
        "mode": "lines+markers+text" if labelled else "lines+markers",
        "name": plain(variant.label),
        "text": texts,
        "textposition": "top right",
        "connectgaps": True,
        "line": {"dash": variant.style.dash, "width": 1.75},
        "marker": {"symbol": variant.style.marker, "size": 9},
        "hovertemplate": "temperature %{text}<br>%{xaxis.title.text}: %{x:.4g}<br>%{yaxis.title.text}: %{y:.4g}",
        "meta": {"variant": position, "colour": variant.style.colour, "paint": "line"},
    }


def _column(settings: Sequence[Setting], name: str) -> dict[str, list[float | None]]:
    column: dict[str, list[float | None]] = {"value": [], "above": [], "below": []}
    for setting in settings:
        shown = setting.numbers.get(name)
        has_arms = shown is not None and shown.has_interval
        column["value"].append(None if shown is None else shown.value)
        column["above"].append(shown.high - shown.value if has_arms else 0)  # type: ignore[union-attr,operator]
        column["below"].append(shown.value - shown.low if has_arms else 0)  # type: ignore[union-attr,operator]
    return column


def overview_figure(variants: Sequence[Variant], key: str, title: str) -> Figure | None:
    """One quantity over steps, a line a variant: on validation rows where any variant has them, else training rows."""
    split = preferred_split(variants, key)
    data: list[dict[str, Any]] = []
    for position, variant in enumerate(variants):
        curve = read_curve(variant.curve, split, key)
        if curve:
            data += curve_traces(curve, position, variant, width=1.9, markers=split == "validation")
    return _curves(data, title, 360)


def preferred_split(variants: Sequence[Variant], key: str) -> str:
    """`validation` where any variant has this quantity on validation rows, else `train`."""
    has_validation = any(read_curve(variant.curve, "validation", key) for variant in variants)
    return "validation" if has_validation else "train"


def variant_curves_figure(
    position: int, variant: Variant, bounds: tuple[float, float] | None = None, *, height: int = 250
) -> Figure | None:
    """Training and validation NLL of one variant over steps, its best validation step marked."""
    train, validation = (read_curve(variant.curve, split, "nll") for split in ("train", "validation"))
    data: list[dict[str, Any]] = []
    if train:
        data += curve_traces(train, position, variant, name="training", width=1.1, dash="dot")
    if validation:
        data += curve_traces(validation, position, variant, name="validation", width=2, dash="solid", markers=True)
    figure = _curves(data, "NLL (nats/token)", height)
    if figure is None:
        return None
    for trace in figure["data"]:
        trace["meta"]["variant"] = None  # a small panel is its variant's own: the key's switches leave it alone
    if bounds is not None:
        figure["layout"]["yaxis"]["range"] = list(bounds)
    if variant.best_step is not None and validation:
        figure["layout"] |= _step_mark(variant.best_step)
    return figure


def shared_bounds(variants: Sequence[Variant], key: str = "nll") -> tuple[float, float] | None:
    """One vertical range for all small panels, with a little air; None where there are no numbers."""
    values = [
        value
        for variant in variants
        for split in ("train", "validation")
        for seeds in read_curve(variant.curve, split, key).values()
        for value in seeds.values()
    ]
    if not values:
        return None
    air = 0.05 * (max(values) - min(values)) or 0.1
    return min(values) - air, max(values) + air


def read_curve(rows: Sequence[Mapping[str, Any]], split: str, key: str) -> Curve:
    """Values of `key` on one split as {step: {seed: value}}, steps ascending; rows without a finite number left out."""
    curve: Curve = defaultdict(dict)
    for row in rows:
        step, value = read_number(row.get("step")), read_number(row.get(key))
        if row.get("split", "train") == split and step is not None and value is not None:
            curve[step][row.get("seed")] = value
    return {step: curve[step] for step in sorted(curve)}


def curve_traces(
    curve: Curve,
    position: int,
    variant: Variant,
    *,
    width: float,
    name: str | None = None,
    dash: str | None = None,
    markers: bool = False,
) -> list[dict[str, Any]]:
    """Mean over seeds as a line and, with several seeds, the range from lowest to highest as a band behind it."""
    steps, style = list(curve), variant.style
    meta = {"variant": position, "colour": style.colour}
    common = {"type": "scatter", "x": steps, "name": plain(name or variant.label)}
    traces: list[dict[str, Any]] = []
    if any(len(seeds) > 1 for seeds in curve.values()):
        for pick, fill in ((min, None), (max, "tonexty")):
            edge = {"y": [pick(seeds.values()) for seeds in curve.values()], "line": {"width": 0}, "hoverinfo": "skip"}
            traces.append({**common, **edge, "mode": "lines", "meta": {**meta, "paint": "band"}})
            if fill:
                traces[-1]["fill"] = fill
    line = {
        "mode": "lines+markers" if markers or len(steps) == 1 else "lines",
        "y": [sum(seeds.values()) / len(seeds) for seeds in curve.values()],
        "line": {"width": width, "dash": dash or style.dash},
        "marker": {"symbol": style.marker, "size": 6},
        "hovertemplate": "step %{x:,}: %{y:.4g}",
        "meta": {**meta, "paint": "line"},
    }
    return [*traces, {**common, **line}]


def plain(text: str) -> str:
    """Text that plotly shows as it is: its labels otherwise read `<b>`, `<a href>` and entities as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _curves(data: list[dict[str, Any]], title: str, height: int) -> Figure | None:
    if not data:
        return None
    axes = {"xaxis": {"title": {"text": "step"}, "rangemode": "tozero"}, "yaxis": {"title": {"text": plain(title)}}}
    return {"data": data, "layout": {**axes, "height": height}}


def _step_mark(step: int) -> dict[str, Any]:
    line = {
        "type": "line",
        "x0": step,
        "x1": step,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"width": 1, "dash": "dash"},
    }
    text = {"x": step, "yref": "paper", "y": 1, "yanchor": "bottom", "showarrow": False, "text": f"best: step {step:,}"}
    return {"shapes": [line], "annotations": [text]}
