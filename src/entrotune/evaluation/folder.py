"""The folder of an evaluation: whether it may be written, what is removed from it, what is put into it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entrotune.data import RowSet, write_rejects
from entrotune.errors import UserError
from entrotune.evaluation.held_out import HeldOut
from entrotune.evaluation.records import SettingRecord
from entrotune.files import atomic_write_json, atomic_write_text
from entrotune.line_files import beside


def check_out(folder: Path | None, *, resume: bool, overwrite: bool) -> None:
    """Raise `UserError` where a folder holds an evaluation and it is not said what to do with it."""
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other; give one of them")
    if folder is None:
        if resume or overwrite:
            raise UserError("resume and overwrite need an output folder; give one as out")
        return
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output '{folder}' is a file; expected a folder")
    held = [name for name in ("evaluation.json", "samples.jsonl") if (folder / name).exists()]
    if held and not (resume or overwrite):
        raise UserError(f"output folder '{folder}' holds an evaluation already ({held[0]}); use resume or overwrite")


def rejects_file(folder: Path) -> Path:
    """Where rejected rows go: in a run's folder, `rejects.jsonl` holds those of its training."""
    return folder / ("evaluation-rejects.jsonl" if (folder / "run.json").exists() else "rejects.jsonl")


def remove(folder: Path) -> None:
    """Remove the files of an evaluation, and no others."""
    for path in (
        folder / "evaluation.json",
        folder / "samples.jsonl",
        folder / "per_prompt.jsonl",
        rejects_file(folder),
    ):
        path.unlink(missing_ok=True)
    beside(folder / "samples.jsonl", "settings.json").unlink(missing_ok=True)
    (folder / "lm_eval.json").unlink(missing_ok=True)


def write(
    folder: Path, record: Mapping[str, Any], settings: Sequence[SettingRecord], held: HeldOut, rows: RowSet
) -> None:
    """Write an evaluation; `evaluation.json` is there when all else is."""
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for setting in settings for line in setting.lines()]
    atomic_write_text(folder / "per_prompt.jsonl", "".join(lines))
    rejects = [*rows.rejects, *held.rejects]
    if rejects:
        write_rejects(rejects_file(folder), rejects)
    # Last: its presence says that the evaluation is complete.
    atomic_write_json(folder / "evaluation.json", record)
