"""`entrotune curriculum`: does the order of the rows matter? A small model from scratch, order by order."""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from transformers import AutoModelForCausalLM

from entrotune.data import describe_examples, encode_rows
from entrotune.evaluation import RowScore, evaluate_nll
from entrotune.experiments.curriculum_config import CurriculumConfig
from entrotune.experiments.curriculum_material import (
    Material,
    model_config,
    read_material,
    train_tokenizer,
    write_material,
)
from entrotune.experiments.curriculum_record import TrainedRun, study_record
from entrotune.experiments.display import say, showing
from entrotune.experiments.folders import check_same_recipe, opened_alone, study_in
from entrotune.files import atomic_write_json
from entrotune.models import count_parameters, load_model
from entrotune.reports import write_curriculum_report
from entrotune.scoring.folder import read_manifest
from entrotune.scoring.order import order
from entrotune.scoring.score import score
from entrotune.training import RunFolder, TrainConfig, read_rows, run_training


def curriculum(
    config: CurriculumConfig | None = None, *, dry_run: bool = False, progress: Progress | bool = True, **options: Any
) -> dict[str, Any]:
    """Score the rows, train in every order with every seed, and write `curriculum.json` and `report.html`.

    Args:
        config: the recipe; or its fields as keyword arguments.
        dry_run: load no weights and write nothing; return what would be done.
        progress: show a display, or the display to use.
        **options: fields of `CurriculumConfig`.

    Returns:
        The content of `curriculum.json`; with `dry_run`, the plan.

    Raises:
        ValueError: input that cannot be used; the message says what to do.
    """
    config = config.replace(**options) if config is not None else CurriculumConfig(**options)
    began = time.monotonic()
    folder = Path(config.out)
    if not dry_run:
        _check_folder(folder, config)
    material = read_material(config)
    if dry_run:
        return _plan(config, material)
    with opened_alone(folder, config.recipe(), overwrite=config.overwrite), showing(progress) as display:
        write_material(config, material, folder / "material")
        score(
            str(folder / "material" / "train.jsonl"),
            model=config.scorer,
            out=str(folder / "scores"),
            mode="all",
            progress=display,
        )
        say(display, f"scored {len(material.train):,} rows in {time.monotonic() - began:.0f} s")
        runs = _train_all(config, folder, display)
        manifest = read_manifest(folder / "scores")
        scores: dict[str, Any] = {key: manifest[key] for key in ("model", "options", "counts") if key in manifest}
        record = study_record(config, runs, data=material.source, scores=scores)
        record["seconds"] = round(time.monotonic() - began, 1)
        atomic_write_json(folder / "curriculum.json", record)
        write_curriculum_report(record, folder / "report.html")
    return record


def _check_folder(folder: Path, config: CurriculumConfig) -> None:
    """See that the folder is free, or holds this study, or one that may be replaced."""
    what = "study of curricula"
    before = study_in(folder, what, "schedules", resume=config.resume, overwrite=config.overwrite)
    if before is not None and config.resume:
        # Its runs name files in the folder, and these names are part of them: it cannot be moved.
        check_same_recipe(folder, what, before, config.recipe(), free=())


def _train_all(config: CurriculumConfig, folder: Path, display: Progress | None) -> list[TrainedRun]:
    jobs = [(schedule, seed) for seed in config.seeds for schedule in config.schedules]
    task = display.add_task("training", total=len(jobs)) if display else None
    runs = []
    for schedule, seed in jobs:
        path = folder / "orders" / f"{schedule}-{seed}.parquet"
        if not path.exists():
            order(str(folder / "scores"), out=str(path), **config.order(schedule, seed))
        recipe = _recipe(config, folder, schedule, seed)
        record = run_training(recipe, progress=display, label=f"{schedule}, seed {seed}")
        rows = _validated(recipe)
        runs.append(TrainedRun(schedule, seed, RunFolder(recipe.out), record, rows))
        say(display, f"{schedule}, seed {seed}: validation NLL {runs[-1].nll:.4f} in {record['seconds']:.0f} s")
        if display and task is not None:
            display.advance(task)
    return runs


def _recipe(config: CurriculumConfig, folder: Path, schedule: str, seed: int) -> TrainConfig:
    material = folder / "material"
    rows = sum(1 for _ in (material / "train.jsonl").open(encoding="utf-8")) * config.epochs
    every = math.ceil(math.ceil(rows / config.batch_size) / config.validations)
    return TrainConfig(
        data=str(material / "train.jsonl"),
        validation=str(material / "validation.jsonl"),
        model=str(material / f"untrained-{seed}"),
        curriculum=str(folder / "orders" / f"{schedule}-{seed}.parquet"),
        out=str(folder / schedule / f"seed-{seed}"),
        seed=seed,
        method="full",
        max_length=config.context,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        schedule=config.decay,
        warmup=config.warmup,
        weight_decay=config.weight_decay,
        precision=config.precision,
        evaluate_every=every,
        save_every=every,
        log_every=max(1, every // 4),
        keep_checkpoints=1,
        resume=True,
    )


def _validated(recipe: TrainConfig) -> list[RowScore]:
    """The scores of each validation row under a finished run's model; kept in the run's folder."""
    path = Path(recipe.out) / "validation_rows.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return [RowScore(**row | {"nll": tuple(row["nll"]), "entropy": tuple(row["entropy"])}) for row in kept]
    model, tokenizer = load_model(recipe.out)
    scores = evaluate_nll(model, tokenizer, read_rows(recipe, tokenizer).validation)
    atomic_write_json(path, [dataclasses.asdict(row) for row in scores])
    return scores


def _plan(config: CurriculumConfig, material: Material) -> dict[str, Any]:
    tokenizer = train_tokenizer(material.train, config.vocabulary)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(model_config(config, tokenizer))
    encoded = encode_rows(material.train, tokenizer, max_length=config.context)
    statistics = describe_examples(encoded.examples)
    rows = statistics.examples * config.epochs
    steps = math.ceil(rows / config.batch_size)
    runs = len(config.schedules) * len(config.seeds)
    return {
        "kind": "plan",
        "data": material.source | {"rows_rejected_in_training": len(encoded.rejects)},
        "schedules": config.schedules,
        "runs": runs,
        "parameters": count_parameters(model)[0],
        "bytes_to_score": sum(len((row.text or "").encode()) for row in material.train),
        "steps_of_a_run": steps,
        "tokens_of_a_run": statistics.tokens * config.epochs,
        "steps": steps * runs,
        "tokens_to_train": statistics.tokens * config.epochs * runs,
    }
