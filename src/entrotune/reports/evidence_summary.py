"""Comparisons side by side: what each objective gained over `ce` where that is as diverse, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from entrotune.reports.markdown import code, inline, table
from entrotune.reports.numbers import MISSING, Shown, format_count, format_number, read_estimate, read_number, signed
from entrotune.reports.views import Metric, Variant, read_metrics, read_variants

FEWEST_TEMPERATURES = 3

_TOLD = """## At equal diversity

Each objective against plain `ce` sampled where it is as diverse, by the measure of quality that the comparison is
about. Where `ce` was not measured at that temperature, its front was taken as straight between two others, which is
unfair to it, as fronts bend. How far the cubic spline through all its temperatures lies from that line is given as
*bend* and taken off for the picture and for the last column: an advantage is called shown where both intervals, moved
by it, stay clear of zero. Shares are points of a hundred in the picture, as chrF is anyway."""


@dataclass(frozen=True)
class Gain:
    """What an objective gained where `ce` is as diverse.

    Attributes:
        study: the comparison's title.
        model: its size in words.
        rows: training rows and epochs in words.
        variant: the objective.
        metric: the measure of quality.
        difference: from `ce`, interval over prompts.
        seeds: the same over seeds; None where there is one seed.
        bend: by how much `ce` is better than it was taken to be, in the direction of the measure.
    """

    study: str
    model: str
    rows: str
    variant: Variant
    metric: Metric
    difference: Shown
    seeds: Shown | None
    bend: float

    @property
    def corrected(self) -> list[Shown]:
        """The difference less the bend: with the interval over prompts, and that over seeds where there is one."""
        both = [one for one in (self.difference, self.seeds) if one is not None]
        return [
            Shown(
                one.value - self.bend,
                None if one.low is None else one.low - self.bend,
                None if one.high is None else one.high - self.bend,
                one.n,
            )
            for one in both
        ]

    @property
    def verdict(self) -> str:
        """`better` or `worse` where every interval says so, else `not shown`."""
        ends = [(one.low, one.high) for one in self.corrected]
        if all(low is not None and low > 0 for low, _ in ends):
            side = "higher"
        elif all(high is not None and high < 0 for _, high in ends):
            side = "lower"
        else:
            return "not shown"
        return "better" if side == self.metric.better else "worse"


def gains(record: Mapping[str, Any]) -> list[Gain]:
    """Of each objective that was compared where `ce` is as diverse, by the record's measure of quality."""
    variants = {variant.name: variant for variant in read_variants(record)}
    metrics = {metric.name: metric for metric in read_metrics(record, list(variants.values()))}
    wanted = str((record.get("front") or {}).get("quality"))
    found = []
    for entry in record.get("comparisons") or []:
        variant = variants.get(str((entry.get("a") or {}).get("variant")))
        difference = read_estimate(entry.get("difference"))
        if not entry.get("matched_on") or entry.get("metric") != wanted or variant is None or difference is None:
            continue
        bend = _bend(entry, variants)
        told = (_model(record), _rows(record), variant, metrics[wanted])
        title = str(record.get("title") or "Comparison")
        found.append(Gain(title, *told, difference, read_estimate(entry.get("seeds")), bend))
    return found


def summary(records: Sequence[Mapping[str, Any]], picture: str | None) -> str:
    """The section, with the path of its picture; empty where nothing was compared at equal diversity."""
    found = [gain for record in records for gain in gains(record)]
    if not found:
        return ""
    head = ["study", "model", "training", "objective", "measure", "difference", "bend", "shown"]
    rows = [
        [
            inline(gain.study),
            gain.model,
            gain.rows,
            code(gain.variant.label),
            inline(gain.metric.label),
            _cell(gain),
            format_number(gain.bend) if gain.bend else "0",
            gain.verdict,
        ]
        for gain in found
    ]
    shown = f"![What each objective gained over ce at equal diversity, with intervals]({picture})" if picture else ""
    return "\n\n".join(part for part in (_TOLD, shown, table(head, rows)) if part)


def _bend(entry: Mapping[str, Any], variants: Mapping[str, Variant]) -> float:
    """How far the baseline's spline over the logarithm of the temperature lies from the line that was compared with."""
    side, metric, diversity = entry.get("b") or {}, str(entry.get("metric")), str(entry.get("matched_on"))
    ends, share = side.get("between") or (), read_number(side.get("share"))
    baseline = variants.get(str(side.get("variant")))
    if len(ends) != 2 or share is None or side.get("about") is not None or baseline is None:
        return 0.0
    settings = [
        one for one in baseline.settings if one.temperature is not None and {metric, diversity} <= one.numbers.keys()
    ]
    if len(settings) < FEWEST_TEMPERATURES or not set(ends) <= {one.temperature for one in settings}:
        return 0.0
    places = np.log([one.temperature for one in settings if one.temperature is not None])
    quality, diverse = (np.array([one.numbers[name].value for one in settings]) for name in (metric, diversity))
    first, second = (int(np.argmin(np.abs(places - np.log(end)))) for end in ends)
    wanted, line = ((1 - share) * values[first] + share * values[second] for values in (diverse, quality))
    along = np.linspace(places[first], places[second], 201)
    nearest = along[int(np.argmin(np.abs(CubicSpline(places, diverse)(along) - wanted)))]
    return float(CubicSpline(places, quality)(nearest) - line)


def _model(record: Mapping[str, Any]) -> str:
    parameters = read_number((record.get("model") or {}).get("parameters"))
    return MISSING if parameters is None else f"{parameters / 1e6:.3g} M"


def _rows(record: Mapping[str, Any]) -> str:
    rows = read_number((record.get("data") or {}).get("train_rows"))
    epochs = read_number(((record.get("recipe") or {}).get("train") or {}).get("epochs"))
    seeds = len(record.get("seeds") or [])
    parts = [
        None if rows is None else f"{format_count(rows)} rows",
        None if epochs is None else f"{epochs:g} epochs",
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}",
    ]
    return ", ".join(part for part in parts if part)


def _cell(gain: Gain) -> str:
    seeds = f"; over seeds {gain.seeds.interval_text}" if gain.seeds is not None and gain.seeds.has_interval else ""
    interval = f" [{gain.difference.interval_text}{seeds}]" if gain.difference.has_interval else ""
    return signed(gain.difference.value) + interval
