"""Measured variants → the record that reports are made from."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.evaluation import HeldOut, SettingRecord, describe_metrics, header, show_samples
from entrotune.evaluation.distribution import RetentionRows
from entrotune.experiments.compare_config import CompareConfig
from entrotune.experiments.compare_epochs import EpochRecord
from entrotune.experiments.compare_results import FinishedRun, Untrained, Variant
from entrotune.experiments.compare_retention import retained_entry, retention_record
from entrotune.experiments.compare_variants import BASELINE, UNTOUCHED
from entrotune.experiments.differences import compare_settings
from entrotune.experiments.seeds import over_seeds, t_interval
from entrotune.reports import comparison_sentence

SCHEMA_VERSION = 1
CURVE = ("step", "epoch", "tokens", "split", "loss", "nll", "entropy", "accuracy")


def comparison_record(
    config: CompareConfig,
    runs: Sequence[FinishedRun],
    variants: Sequence[Variant],
    held: HeldOut,
    retained: RetentionRows | None = None,
    failed: Sequence[Untrained] = (),
) -> dict[str, Any]:
    """Everything the report shows, ready for `comparison.json`.

    Args:
        retained: the rows outside of the task that variants were measured on.
        failed: variants that could not be trained, which are among neither `runs` nor `variants`.
    """
    settings = {variant.name: variant.settings for variant in variants}
    first = runs[0].record  # of `ce`, which changes nothing of the shared recipe
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
        "failed": [one.to_dict() for one in failed],
        "metrics": describe_metrics([setting for found in settings.values() for setting in found]),
        "front": {"quality": config.quality, "diversity": config.diversity},
        "comparisons": compare_settings(
            {variant.name: [one.settings for one in variant.by_seed] for variant in variants}, config
        ),
        "samples": show_samples(held, settings),
    }
    for entry in record["comparisons"]:
        entry["sentence"] = comparison_sentence(entry, record)
    if retained is not None:
        kept = {variant.name: variant.retention for variant in variants if variant.retention}
        record["retention"] = retention_record(kept, retained, seed=config.sampling_seed)
    return record


def _adapter_size(record: Mapping[str, Any]) -> int:
    return record["trainable_parameters"] if record["method"] == "lora" else 0


def _variant(variant: Variant, settings: Sequence[SettingRecord], config: CompareConfig) -> dict[str, Any]:
    plan = variant.plan
    is_reference = variant.name in (UNTOUCHED, BASELINE)
    described = {
        "name": variant.name,
        "label": "untouched model" if plan is None else plan.name,
        "objective": None if plan is None else plan.objective,
        "tuned": plan is not None,
        "differs": {} if plan is None else dict(plan.differs),
        "runs": [str(run.folder.path) for run in variant.runs],
        "curve": [row for run in variant.runs for row in _curve(run)],
        "settings": [setting.to_dict(seed=config.sampling_seed, reference=is_reference) for setting in settings],
        **_stops(variant.runs),
        "epochs": [_epoch(one, config) for one in variant.epochs],
    }
    if variant.retention:
        described["retention"] = retained_entry(over_seeds(variant.retention), seed=config.sampling_seed)
    for key, source in (
        ("best_step", "best_step"),
        ("last_step", "steps"),
        ("best_nll", "best_nll"),
        ("last_nll", "last_nll"),
    ):
        values = [run.record[source] for run in variant.runs]
        described[key] = values[0] if len(values) == 1 else None
    return described


def _curve(run: FinishedRun) -> list[dict[str, Any]]:
    return [{key: row.get(key) for key in CURVE} | {"seed": run.seed} for row in run.folder.read_metrics()]


def _stops(runs: Sequence[FinishedRun]) -> dict[str, Any]:
    """Where validation NLL was least after a step, over seeds: its epoch, its value, and how far it rose until the end.

    Nothing where there was no validation.
    """
    found = []
    for run in runs:
        rows = [row for row in run.folder.read_metrics() if row["split"] == "validation" and row["step"] > 0]
        if not rows:
            return {}
        best = min(rows, key=lambda row: row["nll"])
        found.append((best["epoch"], best["nll"], rows[-1]["nll"] - best["nll"]))
    if not found:
        return {}
    names = ("epoch", "nll", "rise")
    return {"stops": {name: t_interval(values) for name, values in zip(names, zip(*found, strict=True), strict=True)}}


def _epoch(one: EpochRecord, config: CompareConfig) -> dict[str, Any]:
    measured = one.setting.to_dict(seed=config.sampling_seed)
    return {"epoch": one.epoch, "step": one.step, "temperature": one.setting.temperature} | {
        "metrics": measured["metrics"]
    }


def evaluation_of(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The part of a comparison that is about one variant, as an evaluation record."""
    variant = next(variant for variant in record["variants"] if variant["name"] == name)
    shared = {
        k: record[k] for k in ("schema_version", "title", "created", "seeds", "versions", "model", "data", "metrics")
    }
    return shared | {"kind": "evaluation", "settings": variant["settings"]}
