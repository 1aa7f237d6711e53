"""Stopping runs that do badly: a stated rule, for Optuna has none for several aims."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from entrotune.errors import UserError
from entrotune.training import RunFolder

WORST_QUARTER = 0.75
Curve = dict[float, float]


class PrunedRunError(UserError):
    """A run was stopped, for it does worse than most that were finished before it."""


def rule(after: int) -> str:
    """The rule in words."""
    return (
        f"a run is stopped at a validation before its last step where its NLL is above the upper quartile of the "
        f"validation NLL that the settings finished before it had at the same epoch, once {after} of them had one there"
    )


class StopBadRun(TrainerCallback):
    """Ends a run by `rule`.

    Args:
        finished: epoch → validation NLL of each finished setting.
        after: how many of them must have the epoch.

    Raises:
        PrunedRunError: at a validation.
    """

    def __init__(self, finished: Sequence[Curve], *, after: int) -> None:
        self.finished = finished
        self.after = after

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        epoch = round(state.epoch or 0.0, 3)
        if not 0 < state.global_step < state.max_steps:
            return
        others = [curve[epoch] for curve in self.finished if epoch in curve]
        if len(others) < self.after:
            return
        nll, bound = given["metrics"]["eval_nll"], float(np.quantile(others, WORST_QUARTER))
        if nll > bound:
            raise PrunedRunError(
                f"pruned: at epoch {epoch:g} its validation NLL is {nll:.4g}, above {bound:.4g}, the upper quartile of "
                f"{len(others)} finished settings"
            )


def mean_curve(runs: Sequence[Path]) -> Curve:
    """Epoch → validation NLL, averaged over the runs of a setting."""
    found: dict[float, list[float]] = {}
    for run in runs:
        for row in RunFolder(run).read_metrics():
            if row["split"] == "validation" and row["epoch"]:
                found.setdefault(round(row["epoch"], 3), []).append(row["nll"])
    return {epoch: float(np.mean(values)) for epoch, values in found.items() if len(values) == len(runs)}
