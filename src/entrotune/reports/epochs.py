"""How diversity goes over the epochs of a comparison, and where each variant stops generalising."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.reports.figures import Figure, plain
from entrotune.reports.numbers import Shown
from entrotune.reports.views import Metric, Setting, Variant


@dataclass(frozen=True)
class EpochTable:
    """One measure at the ends of epochs: a row a variant, None where it was not measured."""

    metric: Metric
    epochs: tuple[float, ...]
    rows: tuple[tuple[Variant, tuple[Shown | None, ...]], ...]
    temperature_text: str


def epoch_table(variants: Sequence[Variant], diversity: Sequence[Metric]) -> EpochTable | None:
    """The first diversity measure that was measured after epochs, epoch 0 the untouched model; None where none was."""
    metric = next(
        (one for one in diversity if any(one.name in point.numbers for v in variants for point in v.epochs)), None
    )
    if metric is None:
        return None
    epochs = sorted({point.epoch for variant in variants for point in variant.epochs})
    temperature = next(point.temperature for variant in variants for point in variant.epochs)
    rows = []
    for variant in variants:
        found = {point.epoch: point.numbers.get(metric.name) for point in variant.epochs}
        if found:
            rows.append((variant, (_untouched(variants, metric, temperature), *(found.get(epoch) for epoch in epochs))))
    return EpochTable(metric, (0.0, *epochs), tuple(rows), "–" if temperature is None else f"{temperature:g}")


def epoch_figure(variants: Sequence[Variant], table: EpochTable) -> Figure:
    """A line a variant over epochs, with the intervals of its points."""
    data: list[dict[str, Any]] = []
    for variant, values in table.rows:
        points = [(epoch, shown) for epoch, shown in zip(table.epochs, values, strict=True) if shown is not None]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": plain(variant.label),
                "x": [epoch for epoch, _ in points],
                "y": [shown.value for _, shown in points],
                "error_y": _arms([shown for _, shown in points]),
                "line": {"dash": variant.style.dash, "width": 1.75},
                "marker": {"symbol": variant.style.marker, "size": 8},
                "hovertemplate": "epoch %{x}: %{y:.4g}",
                "meta": {"variant": list(variants).index(variant), "colour": variant.style.colour, "paint": "line"},
            }
        )
    axes = {
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": plain(table.metric.title)}},
    }
    return {"data": data, "layout": {**axes, "height": 360}}


def _untouched(variants: Sequence[Variant], metric: Metric, temperature: float | None) -> Shown | None:
    base = next((variant for variant in variants if not variant.tuned), None)
    settings: Sequence[Setting] = () if base is None else base.settings
    return next((one.numbers.get(metric.name) for one in settings if one.temperature == temperature), None)


def _arms(shown: Sequence[Shown]) -> Mapping[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if one.high is None else one.high - one.value for one in shown],
        "arrayminus": [0 if one.low is None else one.value - one.low for one in shown],
        "thickness": 1,
        "width": 0,
    }
