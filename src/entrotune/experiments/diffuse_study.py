"""A study of target distributions: a run for each group of sets and each seed, and what was left out of each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.experiments.diffuse_record import StudyRun, study_record
from entrotune.experiments.diffuse_run import run_diffuse
from entrotune.experiments.diffuse_sets import group_folder, groups_of, read_sets
from entrotune.experiments.folders import is_free
from entrotune.files import alone, atomic_write_json
from entrotune.reports import write_diffuse_report
from entrotune.training.distribution import DiffuseConfig


def run_study(config: DiffuseConfig, *, progress: Progress | None = None) -> dict[str, Any]:
    """A run folder for each group, with `seeds` one a seed in it; the record and the report of all.

    Returns:
        The content of `evaluation.json`.

    Raises:
        UserError: see `run_diffuse`; there is one group, or the folder holds something else.
    """
    folder = Path(config.out)
    groups = groups_of(read_sets(config))
    _check_study(folder, config)
    with alone(folder):
        return _run_all(config, folder, groups, progress)


def _run_all(config: DiffuseConfig, folder: Path, groups: list[str], progress: Progress | None) -> dict[str, Any]:
    atomic_write_json(folder / "study.json", {"schema_version": 1, "kind": "study", "recipe": config.to_dict()})
    planned = [(seed, group) for seed in config.each_seed for group in groups]
    task = progress.add_task("runs", total=len(planned)) if progress is not None else None
    runs: list[StudyRun] = []
    for seed, group in planned:
        # What the base does is measured once.
        before = runs[0].record["before"] if runs else None
        record = run_diffuse(_run_of(config, group, groups, seed), before=before, progress=progress)
        runs.append(StudyRun(group, seed, record))
        if progress is not None and task is not None:
            progress.advance(task)
    record = study_record(config, runs)
    atomic_write_json(folder / "evaluation.json", record)
    write_diffuse_report(record, folder / "report.html")
    return record


def _run_of(config: DiffuseConfig, group: str, groups: list[str], seed: int) -> DiffuseConfig:
    """The recipe of one run of the study."""
    out = Path(config.out) / group_folder(group)
    return config.replace(
        leave_one_out=False,
        leave_one_in=False,
        leave_out=[group] if config.leave_one_out else [one for one in groups if one != group],
        seeds=None,
        seed=seed,
        out=str(out if config.seeds is None else out / f"seed-{seed}"),
    )


def _check_study(folder: Path, config: DiffuseConfig) -> None:
    if is_free(folder, "study"):
        return
    study = folder / "study.json"
    if not study.exists():
        raise UserError(f"{folder} holds other files and no study; give the name of another folder")
    if not (config.resume or config.overwrite):
        raise UserError(f"{folder} already holds a study; add --resume to go on, --overwrite to replace it")
    before: Mapping[str, Any] = json.loads(study.read_text(encoding="utf-8"))["recipe"]
    now = config.to_dict()
    free = ("out", "resume", "overwrite", "keep_checkpoints")
    changed = [key for key in now if key not in free and before.get(key) != now[key]]
    if config.resume and changed:
        raise UserError(f"{folder} holds another study (see {', '.join(changed)}); use its recipe, or another folder")
