"""`entrotune compare`: several ways to tune from one start, measured side by side."""

import json
import math
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.evaluation import HeldOut
from entrotune.experiments.compare_config import CompareConfig
from entrotune.experiments.compare_measure import Measuring
from entrotune.experiments.compare_results import FinishedRun, Variant
from entrotune.experiments.compare_retention import read_retained
from entrotune.experiments.compare_train import check_targets, check_unchanged, train_all
from entrotune.experiments.compare_variants import BASELINE, UNTOUCHED, Plan
from entrotune.experiments.comparison import comparison_record, evaluation_of
from entrotune.experiments.display import say, showing
from entrotune.experiments.folders import check_same_recipe, opened_alone, study_in
from entrotune.experiments.held_out_rows import held_out_rows
from entrotune.experiments.matching import as_diverse
from entrotune.experiments.rows_told import rows_to_know
from entrotune.experiments.train import write_documents
from entrotune.files import atomic_write_json
from entrotune.models import ModelDescription, describe_model, load_model
from entrotune.reports import write_comparison_report
from entrotune.training import RunFolder, plan_training

MATCHING_ROUNDS = 2
STEPS_DEPEND_ON = frozenset({"epochs", "max_steps", "batch_size", "accumulation", "packing", "curriculum"})


def compare(
    config: CompareConfig | None = None, *, dry_run: bool = False, progress: Progress | bool = True, **options: Any
) -> dict[str, Any]:
    """Train every variant, measure it, and write `comparison.json` and `report.html`.

    Args:
        config: the recipe; or its fields as keyword arguments.
        dry_run: load no weights and write nothing; return what would be done.
        progress: show a display, or the display to use.
        **options: fields of `CompareConfig`.

    Returns:
        The content of `comparison.json`; with `dry_run`, the plan.

    Raises:
        ValueError: input that cannot be used; the message says what to do.
    """
    config = config.replace(**options) if config is not None else CompareConfig(**options)
    began = time.monotonic()
    folder = Path(config.out)
    if not dry_run:
        _check_folder(folder, config)
    # All input is read before anything is written, replaced or trained.
    described = describe_model(config.train.model)
    rows, held = held_out_rows(config, described)
    winning = check_targets(config, described)
    retained = read_retained(config.retention, described.tokenizer, described.context) if config.retention else None
    if dry_run:
        for told in winning:  # each run tells it itself
            warnings.warn(told, UserWarning, stacklevel=2)
        return _plan(config, described, held) | ({"retention": retained.described} if retained else {})
    if config.resume:
        check_unchanged(config, rows)
    with opened_alone(folder, config.recipe(), overwrite=config.overwrite), showing(progress) as display:
        base, tokenizer = load_model(config.train.model, dtype=config.dtype)
        measuring = Measuring(config, held, base, tokenizer, display, retained)
        for line in rows_to_know(rows.counts, "rejects.jsonl in the folder of each run"):
            say(display, line)
        earlier = _spent(config)
        runs, failed = train_all(config, measuring)
        variants = _measure_all(config, runs, measuring)
        if config.match_diversity:
            variants = _as_diverse_as_each(config, variants, measuring)
        record = comparison_record(config, runs, variants, held, retained, failed)
        record["seconds"] = _seconds(config, earlier, time.monotonic() - began)
        for variant in variants:
            for run in variant.runs:
                evaluation = evaluation_of(record, variant.name)
                if len(variant.runs) == 1:  # the numbers of several seeds are no single run's
                    atomic_write_json(run.folder.path / "evaluation.json", evaluation)
                write_documents(str(run.folder.path), evaluation=evaluation)
        atomic_write_json(folder / "comparison.json", record)
        write_comparison_report(record, folder / "report.html")
    return record


def _check_folder(folder: Path, config: CompareConfig) -> None:
    """See that the folder is free, or holds this comparison, or one that may be replaced."""
    before = study_in(folder, "comparison", "objectives", resume=config.resume, overwrite=config.overwrite)
    if before is not None and config.resume:
        # To measure more of what is there already is no other comparison.
        check_same_recipe(folder, "comparison", before, config.recipe(), free=("out", "match_diversity"))


def _spent(config: CompareConfig) -> dict[str, float]:
    """Seconds of earlier starts; of measuring those of starts that came to their end."""
    record = Path(config.out) / "comparison.json"
    ended = (
        json.loads(record.read_text(encoding="utf-8")).get("seconds", {}).get("evaluate", 0.0)
        if record.exists()
        else 0.0
    )
    return {"train": _trained(config), "evaluate": ended}


def _trained(config: CompareConfig) -> float:
    return sum(RunFolder(config.folder(plan, seed)).spent() for plan in config.trained for seed in config.seeds)


def _seconds(config: CompareConfig, earlier: Mapping[str, float], this_start: float) -> dict[str, float]:
    train = _trained(config)
    measuring = max(0.0, this_start - max(0.0, train - earlier["train"]))  # all that was not training
    evaluate = earlier["evaluate"] + measuring
    return {"train": round(train, 1), "evaluate": round(evaluate, 1), "total": round(train + evaluate, 1)}


def _measure_all(config: CompareConfig, runs: list[FinishedRun], measuring: Measuring) -> list[Variant]:
    display = measuring.display
    task = display.add_task("measuring", total=1 + len(config.plans)) if display else None
    variants = []
    for plan in [None, *config.plans]:
        of_plan = [run for run in runs if plan is not None and run.variant == (plan.source or plan.name)]
        if plan is None:
            variants.append(measuring.untouched())
        elif of_plan:  # else it, or what it is merged from, could not be trained
            variants.append((measuring.trained if plan.interpolate is None else measuring.merged)(plan, of_plan))
        if display and task is not None:
            display.advance(task)
    return variants


def _as_diverse_as_each(config: CompareConfig, variants: list[Variant], measuring: Measuring) -> list[Variant]:
    """`ce` measured at more temperatures, so that it is met where it is as diverse and not half-way between two."""
    place = next(at for at, variant in enumerate(variants) if variant.name == BASELINE)
    others = [variant.settings for variant in variants if variant.name not in (UNTOUCHED, BASELINE)]
    for _ in range(MATCHING_ROUNDS):
        near = config.reference_temperature
        known = variants[place].settings
        found = [as_diverse(known, settings, config.diversity, near=near) for settings in others]
        measured = {setting.temperature for setting in known}
        wanted = sorted({one.temperature for one in found if one and one.exact and not one.is_near} - measured)
        if not wanted:
            break
        more = measuring.also_at(variants[place], wanted)
        variants = [*variants[:place], more, *variants[place + 1 :]]
    return variants


def _plan(config: CompareConfig, described: ModelDescription, held: HeldOut) -> dict[str, Any]:
    seeds = len(config.seeds)
    one = plan_training(config.run(config.trained[0], config.seeds[0]), described)
    steps = sum(_steps(config, plan, described, one["steps"]) for plan in config.trained)
    settings = (1 + len(config.plans) * seeds) * len(config.temperatures)
    matched = MATCHING_ROUNDS * (len(config.plans) - 1) * seeds if config.match_diversity else 0
    epochs = seeds * sum(_epochs(config, plan) for plan in config.trained)
    responses = (settings + matched + epochs) * config.samples * len(held.prompts)
    return {
        "objectives": config.objectives,
        "differs": {plan.name: dict(plan.differs) for plan in config.plans},
        "runs": len(config.trained) * seeds,
        "each": one,
        "steps": seeds * steps,
        "settings": settings,
        "settings_to_match_at_most": matched,
        "epochs_measured": epochs,
        "responses": responses,
        "new_tokens_at_most": responses * config.max_new_tokens,
    }


def _steps(config: CompareConfig, plan: Plan, described: ModelDescription, usual: int) -> int:
    """The steps of a variant's run; those of `ce` where it changes nothing that they depend on."""
    if not plan.differs.keys() & STEPS_DEPEND_ON:
        return usual
    return int(plan_training(config.run(plan, config.seeds[0]), described)["steps"])


def _epochs(config: CompareConfig, plan: Plan) -> int:
    """At how many epochs the run of a variant is measured, if it is not stopped before."""
    if config.measure_at is None:
        return 0
    return math.ceil(config.run(plan, 0).epochs or 0) if config.measure_at == "epoch" else len(config.measure_at)
