"""Figures of one training run as plotly JSON: NLL, token entropy and its quantiles, and what drove them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from entrotune.reports.figures import Figure, curve_traces, plain, read_curve, variant_curves_figure
from entrotune.reports.numbers import read_number
from entrotune.reports.palette import series_style
from entrotune.reports.views import Variant

Rows = Sequence[Mapping[str, Any]]

_TRAINING_ONLY = {
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
    "tokens_per_second": "Tokens a second",
}
_HEIGHT = 300
_LOOKS: dict[str, dict[str, Any]] = {
    "train": {"name": "training", "width": 1.1, "dash": "dot"},
    "validation": {"name": "validation", "width": 2, "dash": "solid", "markers": True},
}


def run_figures(variant: Variant) -> dict[str, tuple[str, Figure]]:
    """Caption and figure by id, for all quantities that the run's rows hold."""
    rows = variant.curve
    captions = {
        "nll": "Training and validation NLL. Where validation turns up while training goes down, the model overfits.",
        "entropy": (
            "Entropy of the model's predictions, in nats a token. Dark band: the middle half of the tokens; "
            "light band: the middle nine tenths."
        ),
        "accuracy": "Share of supervised tokens that are the model's most likely token.",
        "coefficients": "Coefficients of the objective's terms.",
    }
    drawn = {
        "nll": _with_legend(variant_curves_figure(0, variant, height=_HEIGHT)),
        "entropy": _entropy_figure(rows, variant),
        "accuracy": _split_figure(rows, "accuracy", "Top-1 accuracy", variant),
        "coefficients": _coefficients_figure(rows, variant),
    }
    for key, caption in _TRAINING_ONLY.items():
        captions[key] = f"{caption}."
        drawn[key] = _training_figure(rows, key, caption, variant)
    return {key: (captions[key], figure) for key, figure in drawn.items() if figure is not None}


def _entropy_figure(rows: Rows, variant: Variant) -> Figure | None:
    figure = _split_figure(rows, "entropy", "Entropy (nats/token)", variant)
    if figure is None:
        return None
    bands: list[dict[str, Any]] = []
    for low, high in (("entropy_q05", "entropy_q95"), ("entropy_q25", "entropy_q75")):
        bands += _band(rows, low, high, variant)
    return {**figure, "data": bands + figure["data"]}


def _band(rows: Rows, low: str, high: str, variant: Variant) -> list[dict[str, Any]]:
    whole = [row for row in rows if row.get("split", "train") == "train" and _has(row, "step", low, high)]
    if not whole:
        return []
    common = {
        "type": "scatter",
        "mode": "lines",
        "x": [row["step"] for row in whole],
        "line": {"width": 0},
        "hoverinfo": "skip",
        "meta": {"variant": None, "colour": variant.style.colour, "paint": "band"},
    }
    edges = [{**common, "name": name, "y": [row[key] for row in whole]} for name, key in (("from", low), ("to", high))]
    edges[1]["fill"] = "tonexty"
    return edges


def _coefficients_figure(rows: Rows, variant: Variant) -> Figure | None:
    names = {name: None for row in rows for name in (row.get("coefficients") or {})}
    data: list[dict[str, Any]] = []
    for position, name in enumerate(names):
        flat = [{**row, "value": (row.get("coefficients") or {}).get(name)} for row in rows]
        curve = read_curve(flat, "train", "value")
        if curve:
            styled = replace(variant, style=series_style(position))
            data += curve_traces(curve, position, styled, name=name, width=1.75)
    return _layout(data, "Coefficient", legend=len(names) > 1)


def _split_figure(rows: Rows, key: str, title: str, variant: Variant) -> Figure | None:
    data: list[dict[str, Any]] = []
    for split, look in _LOOKS.items():
        curve = read_curve(rows, split, key)
        if curve:
            data += curve_traces(curve, 0, variant, **look)
    return _layout(data, title, legend=True)


def _training_figure(rows: Rows, key: str, title: str, variant: Variant) -> Figure | None:
    curve = read_curve(rows, "train", key)
    figure = _layout(curve_traces(curve, 0, variant, width=1.5) if curve else [], title, legend=False)
    if figure is not None:
        figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return figure


def _layout(data: list[dict[str, Any]], title: str, *, legend: bool) -> Figure | None:
    if not data:
        return None
    for trace in data:
        trace["meta"]["variant"] = None
    axes = {"xaxis": {"title": {"text": "step"}, "rangemode": "tozero"}, "yaxis": {"title": {"text": plain(title)}}}
    return {"data": data, "layout": {**axes, "height": _HEIGHT, "showlegend": legend}}


def _with_legend(figure: Figure | None) -> Figure | None:
    if figure is not None:
        figure["layout"]["showlegend"] = True
    return figure


def _has(row: Mapping[str, Any], *keys: str) -> bool:
    return all(read_number(row.get(key)) is not None for key in keys)
