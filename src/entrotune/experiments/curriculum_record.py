"""Finished runs → the record of a study, with intervals over seeds and over validation rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entrotune import provenance
from entrotune.evaluation import RowScore
from entrotune.experiments.curriculum_config import CONTROL, CurriculumConfig
from entrotune.experiments.seeds import t_interval
from entrotune.measures import paired_ratio_difference
from entrotune.training import RunFolder

SCHEMA_VERSION = 1
CONVENTIONS = {
    "NLL": "nats per token on the validation rows, their end mark included",
    "difference": f"a schedule's NLL minus that of {CONTROL} with the same seed: below 0 is better than {CONTROL}",
    "interval over seeds": "Student's t, 95%, of the paired differences; the seeds differ in initialisation and order",
    "interval over rows": "bootstrap, 95%, over validation rows, of NLL averaged over the seeds",
    "verdict": (
        "a difference is called one where both intervals lie on the same side of 0; the orders share the control of a "
        "seed, and nothing is corrected for their number"
    ),
}


@dataclass(frozen=True)
class TrainedRun:
    """A run of one schedule and seed, its record and the scores of each validation row at its end."""

    schedule: str
    seed: int
    folder: RunFolder
    record: dict[str, Any]
    rows: Sequence[RowScore]

    @property
    def nll(self) -> float:
        """Final validation NLL, nats a token."""
        return sum(row.nll[0] for row in self.rows) / sum(row.tokens for row in self.rows)

    @property
    def curve(self) -> dict[int, float]:
        """Validation NLL by step."""
        return {row["step"]: row["nll"] for row in self.folder.read_metrics() if row["split"] == "validation"}


def study_record(
    config: CurriculumConfig, runs: Sequence[TrainedRun], *, data: Mapping[str, Any], scores: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything the report shows, ready for `curriculum.json`."""
    control = {run.seed: run for run in runs if run.schedule == CONTROL}
    first = runs[0].record
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "curriculum",
        "title": config.title,
        "created": provenance.now(),
        "command": provenance.command_line(),
        "versions": provenance.versions(),
        "git_revision": provenance.git_revision(),
        "device": first["device"],
        "seeds": config.seeds,
        "conventions": CONVENTIONS,
        "model": {"name": "Llama from scratch", "parameters": first["parameters"]},
        "data": dict(data),
        "scores": dict(scores),
        "recipe": config.recipe(),
        "steps": first["steps"],
        "control": CONTROL,
        "variants": [
            _variant(name, [run for run in runs if run.schedule == name], control) for name in config.schedules
        ],
    }


def _variant(name: str, runs: Sequence[TrainedRun], control: Mapping[int, TrainedRun]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": name,
        "runs": [
            {"seed": run.seed, "folder": str(run.folder.path), "nll": run.nll, "tokens": run.record["tokens"]}
            for run in runs
        ],
        "tokens": t_interval([run.record["tokens"] for run in runs])["value"],
        "nll": t_interval([run.nll for run in runs]),
        "curve": _curve(runs, control),
    }
    if name == CONTROL:
        return described
    over_seeds = t_interval([run.nll - control[run.seed].nll for run in runs])
    over_rows = _over_rows(runs, [control[run.seed] for run in runs])
    return described | {
        "difference": {
            "by_seed": {str(run.seed): run.nll - control[run.seed].nll for run in runs},
            "over_seeds": over_seeds,
            "over_rows": over_rows,
            "verdict": _verdict(over_seeds, over_rows),
        }
    }


def _curve(runs: Sequence[TrainedRun], control: Mapping[int, TrainedRun]) -> list[dict[str, Any]]:
    """At each validated step: NLL over the seeds, and its difference to the control of the same seed."""
    curves = {run.seed: run.curve for run in runs}
    others = {seed: control[seed].curve for seed in curves}
    steps = sorted(set.intersection(*(set(curve) for curve in [*curves.values(), *others.values()])))
    return [
        {
            "step": step,
            "nll": t_interval([curve[step] for curve in curves.values()]),
            "difference": t_interval([curves[seed][step] - others[seed][step] for seed in curves]),
        }
        for step in steps
    ]


def _over_rows(runs: Sequence[TrainedRun], others: Sequence[TrainedRun]) -> dict[str, Any]:
    tokens = [row.tokens for row in runs[0].rows]
    one, other = (np.mean([[row.nll[0] for row in run.rows] for run in found], axis=0) for found in (runs, others))
    return paired_ratio_difference(one, tokens, other, tokens, seed=0).to_dict()


def _verdict(*intervals: Mapping[str, Any]) -> str:
    if any(interval["low"] is None for interval in intervals):
        return "no difference shown"
    if all(interval["high"] < 0 for interval in intervals):
        return "better"
    return "worse" if all(interval["low"] > 0 for interval in intervals) else "no difference shown"
