"""What a run towards target distributions found → `evaluation.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entrotune import provenance
from entrotune.data.targets import EncodedTargets
from entrotune.evaluation.distribution import exact_parts
from entrotune.experiments.diffuse_sets import DiffuseSets
from entrotune.experiments.seeds import t_interval
from entrotune.training.distribution import DiffuseConfig, Progressed

SCHEMA_VERSION = 1
OVER_SETS = ("entropy", "evenness", "valid_mass", "kl", "kl_renormalised")
CONVENTIONS = {
    "P": "probability that the model, asked the request, writes exactly the target's tokens, its end mark included "
    "where outputs end; other tokens that spell the same text do not count",
    "loss, KL, entropy": "nats an output, summed over its tokens; loss = floor + KL, floor = entropy of the weights",
    "entropy, evenness": "of P divided by its sum over the targets; evenness is that over ln n",
    "coverage": "expected number of different targets among so many outputs, sum of 1 − (1 − P)^N",
    "sampled": "temperature 1, no truncation; entropy of the texts, with the bias corrected after Miller and Madow",
    "retention": "NLL, entropy, KL(base ‖ tuned) and top-1 agreement a supervised token of ordinary chats; intervals "
    "are 95% bootstrap over rows",
    "groups": "means over the sets that a run did not train on; 95% intervals over seeds, Student's t",
}


def run_record(
    config: DiffuseConfig,
    sets: DiffuseSets,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    state: Progressed,
    retention: Mapping[str, Any],
    model: Mapping[str, Any],
    data: Mapping[str, Any],
    device: str,
    curve: Sequence[Mapping[str, Any]],
    seconds: dict[str, Any],
) -> dict[str, Any]:
    """The record of one run."""
    return {
        **_header(config, device),
        "title": f"Target distributions: {_told(sets)}",
        "seconds": seconds,
        "model": dict(model),
        "data": dict(data),
        "sets": [_described(one, sets.kept.get(one.of.name)) for one in sets.measured],
        "before": {one.label: _with_parts(before[one.label], one, sets) for one in sets.measured},
        "after": {one.label: _with_parts(after[one.label], one, sets) for one in sets.measured},
        "training": {
            "steps": state.step,
            "passes": state.passes,
            "stopped_early": state.stopped,
            "loss": state.loss,
            "floor": state.floor,
            "tokens": state.tokens,
            "curve": [{key: row[key] for key in ("step", "epoch", "loss", "floor", "entropy")} for row in curve],
        },
        "retention": dict(retention),
    }


@dataclass(frozen=True)
class StudyRun:
    """One run of a study: the group that it leaves out, or alone trains on; its seed and record."""

    group: str
    seed: int
    record: Mapping[str, Any]

    @property
    def measured(self) -> list[Mapping[str, Any]]:
        """The sets that were not trained on."""
        return [one for one in self.record["sets"] if not one["trained"]]


def study_record(config: DiffuseConfig, runs: Sequence[StudyRun]) -> dict[str, Any]:
    """The record of a study: what was not trained on in each group's run, before and after.

    Each set's measures are those of the first seed; `groups` has the means over sets of all seeds.
    """
    kind = "leave-one-out" if config.leave_one_out else "leave-one-in"
    described: list[dict[str, Any]] = []
    before, after = {}, {}
    groups = list(dict.fromkeys(run.group for run in runs))
    first = runs[0].record
    for run in runs:
        if run.seed != runs[0].seed:
            continue
        for one in run.measured:
            label = one["label"] if config.leave_one_out else f"{one['label']} after {run.group}"
            described.append({**one, "label": label, "run": run.group})
            before[label], after[label] = run.record["before"][one["label"]], run.record["after"][one["label"]]
    return {
        **_header(config, first["device"]),
        "title": f"Target distributions, {kind} over {len(groups)} groups",
        "study": kind,
        "seconds": {"total": round(sum(run.record["seconds"]["total"] for run in runs), 1)},
        "model": first["model"],
        "data": first["data"],
        "sets": described,
        "before": before,
        "after": after,
        "groups": [_over_seeds([run for run in runs if run.group == group]) for group in groups],
        "runs": [
            {
                "group": run.group,
                "seed": run.seed,
                "trained_groups": sorted({one["group"] for one in run.record["sets"] if one["trained"]}),
                "out": run.record["recipe"]["out"],
                "training": {key: value for key, value in run.record["training"].items() if key != "curve"},
                "retention": run.record["retention"],
            }
            for run in runs
        ],
    }


def _over_seeds(runs: Sequence[StudyRun]) -> dict[str, Any]:
    """The runs of one group: means over the sets that were not trained on, and over seeds."""
    kept = [run.record["retention"]["after"] for run in runs]
    return {
        "group": runs[0].group,
        "sets": len(runs[0].measured),
        "before": {name: _mean_over_sets(runs[0], "before", name) for name in OVER_SETS},
        "after": {name: t_interval([_mean_over_sets(run, "after", name) for run in runs]) for name in OVER_SETS},
        "retention": {
            name: t_interval([one[name]["value"] for one in kept]) if len(runs) > 1 else entry
            for name, entry in kept[0].items()
        },
    }


def _mean_over_sets(run: StudyRun, side: str, name: str) -> float:
    return float(np.mean([run.record[side][one["label"]][name] for one in run.measured]))


def _header(config: DiffuseConfig, device: str) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "diffuse",
        "created": provenance.now(),
        "command": provenance.command_line(),
        "versions": provenance.versions(),
        "git_revision": provenance.git_revision(),
        "device": device,
        "seeds": config.each_seed,
        "conventions": CONVENTIONS,
        "recipe": {key: value for key, value in config.to_dict().items() if key not in ("resume", "overwrite")},
    }


def _told(sets: DiffuseSets) -> str:
    names = [prefixes[0].of.name for prefixes in sets.whole]
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} sets"


def _described(one: EncodedTargets, kept: Sequence[int] | None) -> dict[str, Any]:
    request = one.of.request
    held_out = kept is not None and len(kept) < len(one.of.targets)
    return {
        "label": one.label,
        "name": one.of.name,
        "group": one.of.group,
        "source": one.of.source,
        "request": request if isinstance(request, str) else list(request),
        "response": one.prefix,
        "targets": list(one.of.targets),
        "weights": list(one.of.weights),
        "floor": one.of.floor,
        "eos": one.of.eos,
        "mixture": one.of.mixture,
        "conflicts": len(one.conflicts),
        "trained": kept is not None,
        "trained_targets": list(kept or ()) if held_out else None,
    }


def _with_parts(measured: Mapping[str, Any], one: EncodedTargets, sets: DiffuseSets) -> dict[str, Any]:
    """Measures of a set, and where some of its targets are held out those of both parts."""
    kept = sets.kept.get(one.of.name)
    if kept is None or len(kept) == len(one.of.targets):
        return dict(measured)
    return {**measured, "parts": exact_parts(measured["log_probs"], one.of.weights, kept)}
