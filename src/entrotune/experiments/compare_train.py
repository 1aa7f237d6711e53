"""The runs of a comparison: what is checked before the first, and what becomes of one that cannot be trained."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from entrotune.errors import UserError
from entrotune.experiments.compare_config import CompareConfig
from entrotune.experiments.compare_measure import Measuring
from entrotune.experiments.compare_results import FinishedRun, Untrained
from entrotune.experiments.compare_variants import BASELINE, Plan
from entrotune.experiments.display import ending_rows, say
from entrotune.experiments.train import check_vocabulary
from entrotune.models import ModelDescription, resolve_model
from entrotune.training import RunFolder, TrainingRows, run_training


def train_all(config: CompareConfig, measuring: Measuring) -> tuple[list[FinishedRun], list[Untrained]]:
    """Train every variant with every seed; a variant that cannot be trained is left out, with its reason.

    Raises:
        UserError: `ce`, which the others are compared with, cannot be trained; or what stops one run would stop all,
            such as a full disk.
    """
    display = measuring.display
    task = display.add_task("training", total=len(config.trained) * len(config.seeds)) if display else None
    runs: list[FinishedRun] = []
    failed: list[Untrained] = []
    for number, plan in enumerate(config.trained, start=1):
        try:
            for seed in config.seeds:
                with ending_rows(display):
                    runs.append(_train(config, plan, seed, measuring))
                if display and task is not None:
                    display.advance(task)
        except (UserError, torch.OutOfMemoryError) as error:
            if plan.name == BASELINE or not _is_of_the_run(error, config, plan):
                raise
            reason = str(error).splitlines()[0]
            failed.append(Untrained(plan, seed, reason))
            runs = [run for run in runs if run.variant != plan.name]
            say(display, f"not trained: {_label(config, plan, seed)}: {reason}")
            if display and task is not None:
                display.update(task, completed=number * len(config.seeds))
    failed += [
        Untrained(plan, one.seed, f"it is merged from {plan.source}, which could not be trained")
        for one in list(failed)
        for plan in config.plans
        if plan.source == one.plan.name
    ]
    return runs, failed


def check_targets(config: CompareConfig, described: ModelDescription) -> list[str]:
    """Variants in which entropy would win, in words.

    Raises:
        UserError: a target entropy that no prediction over the model's tokens has.
    """
    told = []
    for plan in config.trained:
        try:
            told += [f"{plan.name}: {one}" for one in check_vocabulary(config.run(plan, config.seeds[0]), described)]
        except UserError as error:
            raise UserError(f"{plan.name}: {error}") from None
    return told


def check_unchanged(config: CompareConfig, rows: TrainingRows) -> None:
    """Refuse to go on with rows or a model that are not those the runs so far began with."""
    train = config.train
    now = {"data": rows.counts["fingerprint"], "model": resolve_model(train.model).fingerprint}
    for plan in config.trained:
        for seed in config.seeds:
            record = RunFolder(config.folder(plan, seed)).read_record()
            for what, name in (("data", train.data), ("model", train.model)):
                if record.get(what, {}).get("fingerprint", now[what]) != now[what]:
                    raise UserError(
                        f"the {what} {name} changed since {config.out} was begun; restore it, or use another folder"
                    )


def nll_story(record: Mapping[str, Any]) -> str:
    """How validation NLL went: `validation NLL 3.90 → 3.01 (best, step 24) → 3.55 (last, step 96)`."""
    start, best, last = record["start_nll"], record["best_nll"], record["last_nll"]
    if best is None or last is None:
        return "no validation"
    story = f"{_told(best)} (best, step {record['best_step']})"
    story = f"validation NLL {_told(start)} → {story}" if start else f"validation NLL {story}"
    return (
        story if record["best_step"] == record["steps"] else f"{story} → {_told(last)} (last, step {record['steps']})"
    )


def _told(nll: float) -> str:
    """Two decimals; of a run that went astray the size."""
    return f"{nll:.2f}" if nll < 1000 else f"{nll:.3g}"


def _train(config: CompareConfig, plan: Plan, seed: int, measuring: Measuring) -> FinishedRun:
    recipe, label = config.run(plan, seed), _label(config, plan, seed)
    record = run_training(recipe, progress=measuring.display, label=label)
    say(measuring.display, f"trained {label} in {record['seconds']:.0f} s: {nll_story(record)}")
    run = FinishedRun(plan.name, seed, RunFolder(recipe.out), record)
    return dataclasses.replace(run, epochs=measuring.epochs(run))


def _label(config: CompareConfig, plan: Plan, seed: int) -> str:
    return plan.name if len(config.seeds) == 1 else f"{plan.name}, seed {seed}"


def _is_of_the_run(error: Exception, config: CompareConfig, plan: Plan) -> bool:
    """Whether an error is of a run that was under way (it diverged, memory ran out), and would not meet the others."""
    if isinstance(error.__cause__, OSError):
        return False
    records = [RunFolder(config.folder(plan, seed)).read_record() for seed in config.seeds]
    return any(record.get("status") == "failed" and record.get("error") == str(error) for record in records)
