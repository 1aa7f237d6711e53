"""`entrotune diffuse`: train a model to spread its probability over wanted outputs; measure it before and after."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.experiments.diffuse_plan import plan_diffuse
from entrotune.experiments.diffuse_record import study_record
from entrotune.experiments.diffuse_run import run_diffuse
from entrotune.experiments.diffuse_sets import read_sets
from entrotune.experiments.display import say, showing
from entrotune.files import atomic_write_json
from entrotune.reports import write_diffuse_report
from entrotune.training.distribution import DiffuseConfig


def diffuse(
    config: DiffuseConfig | None = None, *, dry_run: bool = False, progress: Progress | bool = True, **options: Any
) -> dict[str, Any]:
    """Train towards target distributions; write a run folder with `evaluation.json` and `report.html`.

    With `leave_one_out` or `leave_one_in`, `out` has a run folder for each group, and the record and the report of all.

    Args:
        config: the recipe; or its fields as keyword arguments, such as `targets=["range(1,10)"]`.
        dry_run: load no weights and write nothing; return what would be done.
        progress: show a display, or the display to use.
        **options: fields of `DiffuseConfig`.

    Returns:
        The content of `evaluation.json`; with `dry_run`, the plan.

    Raises:
        ValueError: input that cannot be used; the message says what to do.
    """
    config = config.replace(**options) if config is not None else DiffuseConfig(**options)
    if dry_run:
        return plan_diffuse(config)
    with showing(progress) as display:
        if config.leave_one_out or config.leave_one_in:
            record = _study(config, display)
        else:
            record = run_diffuse(config, progress=display)
        say(display, f"wrote {config.out}: evaluation.json, report.html")
    return record


def _study(config: DiffuseConfig, display: Progress | None) -> dict[str, Any]:
    """A run for each group, and the record of what was left out of each."""
    folder = Path(config.out)
    groups = list(dict.fromkeys(one.group for one in read_sets(config)))
    _check_study(folder, config, groups)
    atomic_write_json(folder / "study.json", {"schema_version": 1, "kind": "study", "recipe": config.to_dict()})
    records: dict[str, Mapping[str, Any]] = {}
    for group in groups:
        others = [one for one in groups if one != group]
        run = config.replace(
            leave_one_out=False,
            leave_one_in=False,
            leave_out=[group] if config.leave_one_out else others,
            out=str(folder / group_folder(group)),
        )
        # What the base does is measured once.
        before = next(iter(records.values()))["before"] if records else None
        records[group] = run_diffuse(run, before=before, progress=display)
    record = study_record(config, records)
    atomic_write_json(folder / "evaluation.json", record)
    write_diffuse_report(record, folder / "report.html")
    return record


def group_folder(group: str) -> str:
    """A group's name as that of a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in group).strip(".") or "_"


def _check_study(folder: Path, config: DiffuseConfig, groups: list[str]) -> None:
    if len(groups) < 2:
        raise UserError(f"there is one group, {groups[0]!r}, so none to leave out; give sets of two groups or more")
    if len({group_folder(group) for group in groups}) < len(groups):
        raise UserError("two groups have names that make one folder; rename one with the field group")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give the name of a folder to write the study to")
    if not folder.exists() or not any(folder.iterdir()):
        return
    study = folder / "study.json"
    if not study.exists():
        raise UserError(f"{folder} holds other files and no study; give the name of another folder")
    if not (config.resume or config.overwrite):
        raise UserError(f"{folder} already holds a study; add --resume to go on, --overwrite to replace it")
    before, now = json.loads(study.read_text(encoding="utf-8"))["recipe"], config.to_dict()
    free = ("resume", "overwrite", "keep_checkpoints")
    changed = [key for key in now if key not in free and before.get(key) != now[key]]
    if config.resume and changed:
        raise UserError(f"{folder} holds another study (see {', '.join(changed)}); use its recipe, or another folder")
