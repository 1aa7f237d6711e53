"""Variants of a comparison against each other: at one temperature, and where `ce` is as diverse."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.evaluation import SettingRecord, difference
from entrotune.experiments.compare_config import CompareConfig
from entrotune.experiments.compare_variants import BASELINE, UNTOUCHED
from entrotune.experiments.matching import as_diverse
from entrotune.experiments.seeds import difference_entry, differences_by_seed, each_over_seeds, paired_seeds

# What variants are compared on, where it was measured.
COMPARED = (
    "nll",
    "slots",
    "correct",
    "pass@8",
    "pass@64",
    "majority",
    "bleu",
    "chrf",
    "rouge_l",
    "f1",
    "exact_match",
    "ngram_coverage",
    "reference_coverage",
    "vendi",
    "base_nll",
)
# What they are compared on where they are about as diverse.
MATCHED = ("nll", "slots", "correct", "pass@8", "majority", "chrf", "rouge_l", "ngram_coverage", "base_nll")

# For each seed, a record a temperature; of the untouched model once.
BySeed = Sequence[Sequence[SettingRecord]]


def compare_settings(measured: Mapping[str, BySeed], config: CompareConfig) -> list[dict[str, Any]]:
    """Every variant against `ce` at one temperature, `ce` against the untouched model; then where `ce` is as diverse.

    Args:
        measured: what was measured of each variant.
    """
    others = [name for name in measured if name not in (UNTOUCHED, BASELINE)]
    pairs = [*((name, BASELINE) for name in others), (BASELINE, UNTOUCHED)]
    pooled = {name: each_over_seeds(by_seed) for name, by_seed in measured.items()}
    at_one = [_at_one_temperature(pair, measured, pooled, config) for pair in pairs]
    diverse = [_at_equal_diversity(name, measured, pooled, config) for name in others]
    return [entry for entries in (*at_one, *diverse) for entry in entries]


def _at_one_temperature(
    names: tuple[str, str],
    measured: Mapping[str, BySeed],
    pooled: Mapping[str, list[SettingRecord]],
    config: CompareConfig,
) -> list[dict[str, Any]]:
    at = config.reference_temperature
    a, b = (_at(pooled[name], at) for name in names)
    a_by_seed, b_by_seed = ([_at(settings, at) for settings in measured[name]] for name in names)
    first, second = ({"variant": name, "temperature": at} for name in names)
    return [
        {"metric": metric, "a": first, "b": second}
        | difference_entry(
            difference(a, b, metric, seed=config.sampling_seed),
            differences_by_seed(a_by_seed, b_by_seed, metric),
        )
        for metric in dict.fromkeys((config.quality, config.diversity, *COMPARED))
        if metric in a.columns and metric in b.columns
    ]


def _at_equal_diversity(
    name: str, measured: Mapping[str, BySeed], pooled: Mapping[str, list[SettingRecord]], config: CompareConfig
) -> list[dict[str, Any]]:
    """A flatter distribution can be had from `ce` by its temperature: compare where it is as diverse."""
    found = as_diverse(pooled[BASELINE], pooled[name], config.diversity, near=config.reference_temperature)
    if found is None or found.temperatures == (found.wanted.temperature,):
        return []
    seeds = [
        (_at(x, found.lower.temperature), _at(x, found.upper.temperature), _at(y, found.wanted.temperature))
        for x, y in paired_seeds(measured[BASELINE], measured[name])
    ]
    return [
        {
            "metric": metric,
            "a": {"variant": name, "temperature": found.wanted.temperature},
            "b": {"variant": BASELINE, **found.to_dict()},
            "matched_on": config.diversity,
        }
        | difference_entry(
            difference(found.wanted, found.setting(metric), metric, seed=config.sampling_seed),
            [own.columns[metric].mean() - found.of_seed(metric, low, high, own) for low, high, own in seeds],
        )
        for metric in dict.fromkeys((config.diversity, config.quality, *MATCHED))
        if metric in found.wanted.columns and metric in found.metrics
    ]


def _at(settings: Sequence[SettingRecord], temperature: float) -> SettingRecord:
    return next(one for one in settings if one.temperature == temperature)
