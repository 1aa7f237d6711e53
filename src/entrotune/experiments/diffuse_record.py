"""What a run towards target distributions found → `evaluation.json`."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune import provenance
from entrotune.data.targets import EncodedTargets
from entrotune.evaluation.distribution import exact_parts
from entrotune.experiments.diffuse_sets import DiffuseSets
from entrotune.training.distribution import DiffuseConfig, Progressed

SCHEMA_VERSION = 1
CONVENTIONS = {
    "P": "probability that the model, asked the request, writes exactly the target's tokens, its end mark included "
    "where outputs end; other tokens that spell the same text do not count",
    "loss, KL, entropy": "nats an output, summed over its tokens; loss = floor + KL, floor = entropy of the weights",
    "entropy, evenness": "of P divided by its sum over the targets; evenness is that over ln n",
    "coverage": "expected number of different targets among so many outputs, sum of 1 − (1 − P)^N",
    "sampled": "temperature 1, no truncation; entropy of the texts, with the bias corrected after Miller and Madow",
    "retention": "NLL, entropy, KL(base ‖ tuned) and top-1 agreement a supervised token of ordinary chats; intervals "
    "are 95% bootstrap over rows",
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


def study_record(config: DiffuseConfig, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The record of a study: what was not trained on in each group's run, before and after.

    Args:
        records: group → the record of its run.
    """
    kind = "leave-one-out" if config.leave_one_out else "leave-one-in"
    described: list[dict[str, Any]] = []
    before, after = {}, {}
    for group, record in records.items():
        for one in record["sets"]:
            if one["trained"]:
                continue
            label = one["label"] if config.leave_one_out else f"{one['label']} after {group}"
            described.append({**one, "label": label, "run": group})
            before[label], after[label] = record["before"][one["label"]], record["after"][one["label"]]
    first = next(iter(records.values()))
    return {
        **_header(config, first["device"]),
        "title": f"Target distributions, {kind} over {len(records)} groups",
        "study": kind,
        "seconds": {"total": round(sum(record["seconds"]["total"] for record in records.values()), 1)},
        "model": first["model"],
        "data": first["data"],
        "sets": described,
        "before": before,
        "after": after,
        "runs": [
            {
                "group": group,
                "trained_groups": sorted({one["group"] for one in record["sets"] if one["trained"]}),
                "out": record["recipe"]["out"],
                "training": {key: value for key, value in record["training"].items() if key != "curve"},
                "retention": record["retention"],
            }
            for group, record in records.items()
        ],
    }


def _header(config: DiffuseConfig, device: str) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "diffuse",
        "created": provenance.now(),
        "command": provenance.command_line(),
        "versions": provenance.versions(),
        "git_revision": provenance.git_revision(),
        "device": device,
        "seeds": [config.seed],
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
