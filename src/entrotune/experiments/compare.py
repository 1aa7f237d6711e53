"""`entrotune compare`: several objectives from one start, measured side by side."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.progress import Progress

from entrotune.data import Row
from entrotune.errors import UserError
from entrotune.evaluation import HeldOut, SettingRecord, hold_out, measure
from entrotune.experiments.compare_config import CompareConfig
from entrotune.experiments.comparison import FinishedRun, Variant, comparison_record, evaluation_of
from entrotune.experiments.display import say, showing
from entrotune.experiments.train import write_documents
from entrotune.files import atomic_write_json, atomic_write_text
from entrotune.models import context_length, describe_model, load_model, resolve_model
from entrotune.reports import write_comparison_report
from entrotune.training import RunFolder, plan_training, read_rows, run_training


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
    if dry_run:
        return _plan(config)
    began = time.monotonic()
    folder = Path(config.out)
    _open(folder, config)
    with showing(progress) as display:
        runs = _train_all(config, display)
        trained = time.monotonic() - began
        held, variants = _measure_all(config, runs, display)
        record = comparison_record(config, runs, variants, held)
        record["seconds"] = {
            "train": round(trained, 1),
            "evaluate": round(time.monotonic() - began - trained, 1),
            "total": round(time.monotonic() - began, 1),
        }
        for variant in variants:
            for path in variant.runs:
                write_documents(path, evaluation=evaluation_of(record, variant.name))
        atomic_write_json(folder / "comparison.json", record)
        write_comparison_report(record, folder / "report.html")
    return record


def _open(folder: Path, config: CompareConfig) -> None:
    """Make the folder, or see that what it holds is this comparison's."""
    recipe = folder / "recipe.yaml"
    wanted = {k: v for k, v in config.to_dict().items() if k not in ("resume", "overwrite")}
    if folder.is_dir() and any(folder.iterdir()):
        if config.overwrite and recipe.exists():
            shutil.rmtree(folder)
        elif not config.resume:
            raise UserError(
                f"{folder} already holds files; use resume to go on with it, overwrite to replace a comparison"
            )
        elif recipe.exists() and yaml.safe_load(recipe.read_text(encoding="utf-8")) != wanted:
            raise UserError(f"{folder} holds a comparison with another recipe ({recipe}); use that, or another folder")
    atomic_write_text(recipe, yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True))


def _train_all(config: CompareConfig, display: Progress | None) -> list[FinishedRun]:
    jobs = [(objective, seed) for objective in config.objectives for seed in config.seeds]
    task = display.add_task("training", total=len(jobs)) if display else None
    runs = []
    for objective, seed in jobs:
        recipe = config.run(objective, seed)
        label = objective if len(config.seeds) == 1 else f"{objective}, seed {seed}"
        record = run_training(recipe, progress=display, label=label)
        runs.append(FinishedRun(objective, seed, RunFolder(recipe.out), record))
        say(display, f"trained {label} in {record['seconds']:.0f} s: {nll_story(record)}")
        if display:
            display.advance(task)
    return runs


def nll_story(record: dict[str, Any]) -> str:
    """How validation NLL went: `validation NLL 3.90 → 3.01 (best, step 24) → 3.55 (last, step 96)`."""
    start, best, last = record["start_nll"], record["best_nll"], record["last_nll"]
    if best is None or last is None:
        return "no validation"
    story = f"validation NLL {start:.2f} → {best:.2f} (best, step {record['best_step']})" if start else f"{best:.2f}"
    return story if record["best_step"] == record["steps"] else f"{story} → {last:.2f} (last, step {record['steps']})"


def _measure_all(
    config: CompareConfig, runs: Sequence[FinishedRun], display: Progress | None
) -> tuple[HeldOut, list[Variant]]:
    base, tokenizer = load_model(config.train.model)
    held = hold_out(
        _validation_rows(config, tokenizer),
        tokenizer,
        prompts=config.prompts,
        seed=config.sampling_seed,
        max_new_tokens=config.max_new_tokens,
        context=context_length(base),
        system=config.train.system,
    )
    total = 1 + len(runs)
    task = display.add_task("measuring", total=total) if display else None

    def measured(model: Any, path: Path, fingerprint: str | None) -> list[SettingRecord]:
        found = measure(
            model,
            tokenizer,
            examples=held.examples,
            prompts=held.prompts,
            groups=held.groups,
            temperatures=config.temperatures,
            samples=config.samples,
            max_new_tokens=config.max_new_tokens,
            seed=config.sampling_seed,
            batch_size=config.sampling_batch,
            judge=base if config.judge else None,
            path=path / "samples.jsonl",
            made_by={"model": fingerprint},
            progress=display,
        )
        if display:
            display.advance(task)
        return found

    source = resolve_model(config.train.model)
    folder = Path(config.out) / "base"
    variants = [Variant("base", None, [], [], [measured(base, folder, source.fingerprint)])]
    for objective in config.objectives:
        own = [run for run in runs if run.objective == objective]
        settings = []
        for run in own:
            model, _ = load_model(run.folder.path)
            settings.append(measured(model, run.folder.path, resolve_model(run.folder.path).fingerprint))
        variants.append(
            Variant(objective, objective, [str(r.folder.path) for r in own], [r.record for r in own], settings)
        )
    return held, variants


def _validation_rows(config: CompareConfig, tokenizer: Any) -> list[Row]:
    return read_rows(config.train, tokenizer).validation_rows


def _plan(config: CompareConfig) -> dict[str, Any]:
    description = describe_model(config.train.model)
    one = plan_training(config.train, description)
    runs = len(config.objectives) * len(config.seeds)
    settings = (1 + runs) * len(config.temperatures)
    return {
        "objectives": config.objectives,
        "runs": runs,
        "each": one,
        "steps": one["steps"] * runs,
        "settings": settings,
        "responses": settings * config.samples * config.prompts,
        "new_tokens_at_most": settings * config.samples * config.prompts * config.max_new_tokens,
    }
