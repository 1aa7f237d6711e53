"""A finished sweep → the record that reports are made from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from entrotune.evaluation import describe_metrics, header
from entrotune.experiments.sweep_config import BASELINE, SweepConfig, better
from entrotune.experiments.sweeping.choice import Finished, Fronts, Place, compare_all, recommend
from entrotune.experiments.sweeping.matching import Matched
from entrotune.experiments.sweeping.measuring import Bench
from entrotune.experiments.sweeping.pruning import rule
from entrotune.experiments.sweeping.space import label
from entrotune.experiments.sweeping.trial import Trial
from entrotune.reports import recommendation_sentence
from entrotune.training import RunFolder

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TriedSetting:
    """A trial of the study.

    Attributes:
        trial: its number, point and folder.
        outcome: as in its `trial.json`, or in that of the trial it repeats.
        again: whether it is a setting that was tried before.
        first: the trial it repeats; None for plain `ce`.
        measured: where it is complete and no repetition.
    """

    trial: Trial
    outcome: dict[str, Any]
    again: bool
    first: int | None
    measured: Finished | None


def sweep_record(
    config: SweepConfig, bench: Bench, base: Finished, ce: Finished, tried: Sequence[TriedSetting]
) -> dict[str, Any]:
    """Everything the report shows, ready for `sweep.json`."""
    settings = [one.measured for one in tried if one.measured is not None]
    models = [base, ce, *settings]
    fronts = Fronts(config, {one.name: one.settings for one in models})
    compared = compare_all(config, ce, settings)
    first = RunFolder(f"{config.out}/{BASELINE}/seed-{config.seeds[0]}").read_record()
    states = Counter("repeated" if one.again else one.outcome["state"] for one in tried)
    record = {
        "schema_version": SCHEMA_VERSION,
        "kind": "sweep",
        "title": config.title,
        **header(config.sampling_seed),
        "seeds": config.seeds,
        "device": first["device"],
        "model": first["model"] | {"parameters": bench.described.parameters},
        "recipe": config.recipe(),
        "data": first["data"] | {"prompts": len(bench.held.prompts)},
        "method": config.method,
        "space": [dimension.to_dict() for dimension in config.space],
        "front": {
            "quality": config.quality,
            "diversity": config.diversity,
            "better": {name: _direction(getattr(config, name)) for name in ("quality", "diversity")},
            "reference_temperature": config.reference_temperature,
        },
        "counts": {state: states[state] for state in ("complete", "pruned", "failed", "repeated")},
        "pruning": {"rule": rule(config.prune_after), "after": config.prune_after} if config.prune else None,
        "variants": [_variant(config, one, tried) for one in models],
        "trials": [_trial(one, compared) for one in tried],
        "metrics": describe_metrics([measured.record for one in models for measured in one.settings]),
        "pareto": [_place(place) for place in fronts.pareto],
        "knee": None if fronts.knee is None else _place(fronts.knee),
        "hypervolume": fronts.hypervolumes(),
        "recommendation": recommend(config, ce, settings),
    }
    record["versions"] |= {"optuna": optuna.__version__}
    record["recommendation"]["reason"] = recommendation_sentence(record)
    return record


def _direction(metric: str) -> str:
    return "higher" if better(metric) > 0 else "lower"


def _place(place: Place) -> dict[str, Any]:
    return {"variant": place[0], "temperature": place[1]}


def _variant(config: SweepConfig, model: Finished, tried: Sequence[TriedSetting]) -> dict[str, Any]:
    own = next((one for one in tried if one.measured is model), None)
    point = own.trial.point if own is not None else None
    tuned = model.name != "base"
    recipe = config.run(None if point is None else dict(point), config.seeds[0], "") if tuned else None
    runs = (
        own.trial.runs(config.seeds)
        if own is not None
        else Trial(None, None, Path(config.out) / BASELINE).runs(config.seeds)
    )
    return {
        "name": model.name,
        "label": model.label,
        "objective": None if recipe is None else recipe.objective,
        "tuned": tuned,
        "number": None if own is None else own.trial.number,
        "point": point,
        "runs": [str(run) for run in runs] if tuned else [],
        "settings": [
            measured.to_dict(seed=config.sampling_seed, reference=model.name in ("base", BASELINE))
            for measured in model.settings
        ],
    }


def _trial(one: TriedSetting, compared: dict[Place, Matched]) -> dict[str, Any]:
    assert one.trial.point is not None
    measured = one.measured
    against = (
        []
        if measured is None
        else [(t.temperature, compared.get((measured.name, t.temperature))) for t in measured.settings]
    )
    return {
        "number": one.trial.number,
        "point": one.trial.point,
        "label": label(one.trial.point),
        "state": "repeated" if one.again else one.outcome["state"],
        "reason": one.outcome.get("reason"),
        "same_as": (BASELINE if one.first is None else f"trial-{one.first}") if one.again else None,
        "variant": None if measured is None else measured.name,
        "seconds": None if one.again else one.outcome.get("seconds"),
        "against_tempered_ce": [
            {"temperature": temperature, **matched.to_dict()} for temperature, matched in against if matched is not None
        ],
    }
