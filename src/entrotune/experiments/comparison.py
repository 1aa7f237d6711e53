"""Measured variants → the record that reports are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entrotune.evaluation import Column, HeldOut, SettingRecord, describe_metrics, difference, header, show_samples
from entrotune.experiments.compare_config import BASELINE, CompareConfig
from entrotune.measures import verdict
from entrotune.reports import comparison_sentence
from entrotune.training import RunFolder

SCHEMA_VERSION = 1
QUALITY = "nll"
# What variants are compared on, where it was measured.
COMPARED = ("nll", "vendi", "base_nll", "correct", "pass@8", "majority", "bleu", "chrf", "rouge_l", "f1", "exact_match")
CURVE = ("step", "epoch", "tokens", "split", "loss", "nll", "entropy", "accuracy")


@dataclass(frozen=True)
class FinishedRun:
    """One trained variant and seed."""

    objective: str
    seed: int
    folder: RunFolder
    record: dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One thing compared: the untouched model, or an objective with a run and a list of settings for each seed."""

    name: str
    objective: str | None
    runs: list[str]
    records: list[dict[str, Any]]
    by_seed: list[list[SettingRecord]]

    @property
    def settings(self) -> list[SettingRecord]:
        """One record a temperature; values of several seeds are averaged for each prompt."""
        return [_over_seeds(records) for records in zip(*self.by_seed, strict=True)]


def _over_seeds(records: Sequence[SettingRecord]) -> SettingRecord:
    first = records[0]
    if len(records) == 1:
        return first

    def mean(name: str) -> Column:
        columns = [record.columns[name] for record in records]
        values = np.array([column.values for column in columns])
        defined = (~np.isnan(values)).sum(0)
        average = np.where(defined > 0, np.nansum(values, axis=0) / np.maximum(defined, 1), np.nan)
        # Every seed is scored on the same tokens.
        return Column(columns[0].ids, average, columns[0].weights)

    return SettingRecord(
        temperature=first.temperature,
        samples_per_prompt=first.samples_per_prompt,
        columns={name: mean(name) for name in first.columns},
        samples=first.samples,
    )


def comparison_record(
    config: CompareConfig, runs: Sequence[FinishedRun], variants: Sequence[Variant], held: HeldOut
) -> dict[str, Any]:
    """Everything the report shows, ready for `comparison.json`."""
    settings = {variant.name: variant.settings for variant in variants}
    first = runs[0].record
    record = {
        "schema_version": SCHEMA_VERSION,
        "kind": "comparison",
        "title": config.title,
        **header(config.sampling_seed),
        "seeds": config.seeds,
        "device": first["device"],
        "model": first["model"] | {"parameters": first["parameters"] - _adapter_size(first)},
        "recipe": config.recipe(),
        "data": first["data"] | {"prompts": len(held.prompts)},
        "variants": [_variant(variant, settings[variant.name], config) for variant in variants],
        "metrics": describe_metrics([setting for found in settings.values() for setting in found]),
        "front": {"quality": QUALITY, "diversity": config.diversity},
        "comparisons": compare_settings(settings, config),
        "samples": show_samples(held, settings),
    }
    for entry in record["comparisons"]:
        entry["sentence"] = comparison_sentence(entry, record)
    return record


def _adapter_size(record: Mapping[str, Any]) -> int:
    return record["trainable_parameters"] if record["method"] == "lora" else 0


def _variant(variant: Variant, settings: Sequence[SettingRecord], config: CompareConfig) -> dict[str, Any]:
    described = {
        "name": variant.name,
        "label": variant.objective or "untouched model",
        "objective": variant.objective,
        "tuned": variant.objective is not None,
        "runs": variant.runs,
        "curve": [
            row for path, record in zip(variant.runs, variant.records, strict=True) for row in _curve(path, record)
        ],
        "settings": [
            setting.to_dict(
                seed=config.sampling_seed,
                reference=variant.objective in (None, BASELINE),
            )
            for setting in settings
        ],
    }
    for key, source in (
        ("best_step", "best_step"),
        ("last_step", "steps"),
        ("best_nll", "best_nll"),
        ("last_nll", "last_nll"),
    ):
        values = [record[source] for record in variant.records]
        described[key] = values[0] if len(values) == 1 else None
    return described


def _curve(path: str, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{key: row.get(key) for key in CURVE} | {"seed": record["seed"]} for row in RunFolder(path).read_metrics()]


def compare_settings(settings: Mapping[str, Sequence[SettingRecord]], config: CompareConfig) -> list[dict[str, Any]]:
    """Every objective against `ce` at one temperature; then against `ce` where it is about as diverse."""
    at = config.reference_temperature
    chosen = {name: next(s for s in found if s.temperature == at) for name, found in settings.items()}
    found = [
        _difference(metric, (name, chosen[name]), (other, chosen[other]), config)
        for name, other in [*((n, BASELINE) for n in settings if n not in ("base", BASELINE)), (BASELINE, "base")]
        for metric in dict.fromkeys((QUALITY, config.diversity, *COMPARED))
        if metric in chosen[name].columns and metric in chosen[other].columns
    ]
    for name in settings:
        if name in ("base", BASELINE):
            continue
        # A flatter distribution can be had from `ce` by its temperature: compare where diversity is nearest.
        wanted = _mean(chosen[name], config.diversity)
        known = [setting for setting in settings[BASELINE] if _mean(setting, config.diversity) is not None]
        if wanted is None or not known:
            continue
        matched = min(known, key=lambda setting: abs((_mean(setting, config.diversity) or 0.0) - wanted))
        if matched.temperature == at:
            continue
        found += [
            _difference(metric, (name, chosen[name]), (BASELINE, matched), config) | {"matched_on": config.diversity}
            for metric in (config.diversity, QUALITY, "base_nll", "correct")
            if metric in chosen[name].columns and metric in matched.columns
        ]
    return found


def _mean(setting: SettingRecord, metric: str) -> float | None:
    """The mean over prompts; None where the measure is defined for none, as pairs of words in samples of one word."""
    values = setting.columns[metric].values
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _difference(
    metric: str, a: tuple[str, SettingRecord], b: tuple[str, SettingRecord], config: CompareConfig
) -> dict[str, Any]:
    estimate = difference(a[1], b[1], metric, seed=config.sampling_seed)
    return {
        "metric": metric,
        "a": {"variant": a[0], "temperature": a[1].temperature},
        "b": {"variant": b[0], "temperature": b[1].temperature},
        "difference": estimate.to_dict(),
        "verdict": verdict(estimate),
    }


def evaluation_of(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The part of a comparison that is about one variant, as an evaluation record."""
    variant = next(variant for variant in record["variants"] if variant["name"] == name)
    shared = {
        k: record[k] for k in ("schema_version", "title", "created", "seeds", "versions", "model", "data", "metrics")
    }
    return shared | {"kind": "evaluation", "settings": variant["settings"]}
