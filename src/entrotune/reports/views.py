"""Records as reports see them: variants with a style, settings with parsed numbers, metrics with a name and direction.

A record may leave out most of its parts; here they get their empty form once, so that figures, tables and sentences
need not ask again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrotune.reports.numbers import Shown, clearly_best, read_estimate, read_number
from entrotune.reports.palette import SeriesStyle, series_style

KINDS = ("quality", "diversity", "description")


@dataclass(frozen=True)
class Metric:
    """What a measure is called, and which way is better."""

    name: str
    label: str
    unit: str
    better: str | None
    kind: str
    explain: str

    @property
    def title(self) -> str:
        """Label with its unit, as on an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def direction(self) -> str:
        """Which way is better, in words; empty where neither is."""
        return f"{self.better} is better" if self.better else ""


@dataclass(frozen=True)
class Setting:
    """One variant sampled at one temperature, and its numbers."""

    temperature: float | None
    temperature_text: str
    samples_per_prompt: int | None
    is_reference: bool
    numbers: Mapping[str, Shown]


@dataclass(frozen=True)
class EpochPoint:
    """What was measured of a variant's samples at the end of an epoch."""

    epoch: float
    temperature: float | None
    numbers: Mapping[str, Shown]


@dataclass(frozen=True)
class Variant:
    """One model that was compared.

    Beside its numbers: `differs` says in words what it changes of the shared recipe, or what it is merged from; `stops`
    has the `epoch` of its least validation NLL, the `nll` there and its `rise` until the end.
    """

    name: str
    label: str
    objective: str | None
    tuned: bool
    style: SeriesStyle
    settings: tuple[Setting, ...]
    curve: tuple[Mapping[str, Any], ...]
    best_step: int | None
    last_step: int | None
    best_nll: Shown | None
    last_nll: Shown | None
    differs: str = ""
    stops: Mapping[str, Shown] = field(default_factory=dict)
    epochs: tuple[EpochPoint, ...] = ()


def read_variants(record: Mapping[str, Any]) -> list[Variant]:
    """The variants of a comparison, or an evaluation's model as its only variant; styles follow their order."""
    if record.get("kind") == "evaluation":
        name = str((record.get("model") or {}).get("name") or "model")
        return [_variant({"name": name, "settings": record.get("settings")}, series_style(0))]
    variants, tuned_so_far = [], 0
    for entry in record.get("variants") or []:
        tuned = bool(entry.get("tuned", entry.get("objective", "") is not None))
        variants.append(_variant(entry, series_style(tuned_so_far, tuned=tuned)))
        tuned_so_far += tuned
    return variants


def _variant(entry: Mapping[str, Any], style: SeriesStyle) -> Variant:
    objective = entry.get("objective")
    settings = [_setting(setting) for setting in entry.get("settings") or []]
    settings.sort(key=lambda setting: float("-inf") if setting.temperature is None else setting.temperature)
    return Variant(
        name=entry["name"],
        label=str(entry.get("label") or entry["name"]),
        objective=None if objective is None else str(objective),
        tuned=style.colour != "base",
        style=style,
        settings=tuple(settings),
        curve=tuple(entry.get("curve") or ()),
        best_step=_whole(entry.get("best_step")),
        last_step=_whole(entry.get("last_step")),
        best_nll=read_estimate(entry.get("best_nll")),
        last_nll=read_estimate(entry.get("last_nll")),
        differs=_differs_in_words(entry.get("differs") or {}),
        stops=_numbers(entry.get("stops")),
        epochs=tuple(_epoch(point) for point in entry.get("epochs") or []),
    )


def _differs_in_words(differs: Mapping[str, Any]) -> str:
    """`weight_decay 0.1`, or `0.5 of ce and 0.5 of the untouched model, not trained`; empty where nothing differs."""
    if "interpolate" in differs:
        share = float(differs["interpolate"])
        return f"{share:g} of {differs['from']} and {1 - share:g} of the untouched model, not trained"
    return ", ".join(f"{name} {_in_words(value)}" for name, value in differs.items())


def _in_words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _epoch(entry: Mapping[str, Any]) -> EpochPoint:
    epoch = read_number(entry.get("epoch"))
    return EpochPoint(epoch or 0.0, read_number(entry.get("temperature")), _numbers(entry.get("metrics")))


def _numbers(entries: Mapping[str, Any] | None) -> dict[str, Shown]:
    read = {name: read_estimate(value) for name, value in (entries or {}).items()}
    return {name: shown for name, shown in read.items() if shown is not None}


def _setting(entry: Mapping[str, Any]) -> Setting:
    temperature = read_number(entry.get("temperature"))
    return Setting(
        temperature=temperature,
        temperature_text=temperature_text(temperature),
        samples_per_prompt=_whole(entry.get("samples_per_prompt")),
        is_reference=bool(entry.get("reference")),
        numbers=_numbers(entry.get("metrics")),
    )


def read_metrics(record: Mapping[str, Any], variants: Sequence[Variant]) -> list[Metric]:
    """The metrics that at least one setting has a number for: quality first, then diversity, then description."""
    described = record.get("metrics") or {}
    measured = {name: None for variant in variants for setting in variant.settings for name in setting.numbers}
    order = [name for name in described if name in measured] + [name for name in measured if name not in described]
    metrics = [_metric(name, described.get(name) or {}) for name in order]
    return sorted(metrics, key=lambda metric: KINDS.index(metric.kind))


def _metric(name: str, entry: Mapping[str, Any]) -> Metric:
    kind, better = entry.get("kind"), entry.get("better")
    return Metric(
        name=name,
        label=str(entry.get("label") or name),
        unit=str(entry.get("unit") or ""),
        better=better if better in ("higher", "lower") else None,
        kind=kind if kind in KINDS else "description",
        explain=str(entry.get("explain") or ""),
    )


def front_axes(record: Mapping[str, Any], metrics: Sequence[Metric]) -> tuple[list[Metric], list[Metric]]:
    """Quality and diversity metrics to choose from, the record's `front` first; either may be empty."""
    front = record.get("front") or {}

    def choices(kind: str) -> list[Metric]:
        chosen = [metric for metric in metrics if metric.name == front.get(kind)]
        return chosen + [metric for metric in metrics if metric.kind == kind and metric not in chosen]

    return choices("quality"), choices("diversity")


def best_cells(variants: Sequence[Variant], metrics: Sequence[Metric]) -> set[tuple[int, int, str]]:
    """(variant, setting, metric) of the numbers that lie clear of every other variant's interval."""
    cells = set()
    for metric in metrics:
        groups = [[setting.numbers.get(metric.name) for setting in variant.settings] for variant in variants]
        best = clearly_best(groups, metric.better)
        if best is not None:
            cells.add((*best, metric.name))
    return cells


def temperature_text(temperature: float | None) -> str:
    """`0.7`, or a dash where no temperature is recorded."""
    return "–" if temperature is None else f"{temperature:g}"


def sample_sizes(variants: Sequence[Variant], metric: Metric) -> str:
    """How many prompts (or tokens, as the record counts) stand behind a metric: `n = 24`, or a range; may be empty."""
    numbers = [setting.numbers.get(metric.name) for variant in variants for setting in variant.settings]
    sizes = sorted({shown.n for shown in numbers if shown is not None and shown.n is not None})
    if not sizes:
        return ""
    return f"n = {sizes[0]:,}" if len(sizes) == 1 else f"n = {sizes[0]:,} to {sizes[-1]:,}"


def _whole(value: Any) -> int | None:
    number = read_number(value)
    return None if number is None else int(number)
