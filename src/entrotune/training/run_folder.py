"""The folder of one run: recipe, record, metrics, checkpoints and model, each written so that a kill leaves no half."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from entrotune.errors import UserError
from entrotune.files import atomic_write_json, atomic_write_text
from entrotune.training.config import NOT_PART_OF_THE_RUN

SCHEMA_VERSION = 1
RUN_FILES = ("run.json", "recipe.yaml")


class RunFolder:
    """Paths and files of a run.

    Args:
        path: the folder; `open` makes it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.yaml"
        self.record = self.path / "run.json"
        self.metrics = self.path / "metrics.jsonl"
        self.rejects = self.path / "rejects.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"

    def open(self, recipe: Mapping[str, Any]) -> Path | None:
        """Make the folder for `recipe`, or find where the run in it stopped.

        Returns:
            The checkpoint to go on from, or None to start afresh.

        Raises:
            UserError: the folder holds another run or other files, and the recipe does not say what to do.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; give the name of a folder to write the run to")
        occupied = self.path.is_dir() and any(self.path.iterdir())
        if occupied and recipe["overwrite"]:
            self._clear()
        elif occupied and not recipe["resume"]:
            raise UserError(
                f"{self.path} already holds {self._content()}; add --resume to go on, --overwrite to replace it"
            )
        elif occupied and self.recipe.exists():
            self._check_same(recipe)
        self.path.mkdir(parents=True, exist_ok=True)
        atomic_write_text(self.recipe, yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True))
        return self.last_checkpoint()

    def _content(self) -> str:
        return "a run" if any((self.path / name).exists() for name in RUN_FILES) else "other files"

    def _clear(self) -> None:
        if self._content() != "a run":
            raise UserError(f"{self.path} holds files but no run; --overwrite replaces runs only. Give another folder")
        shutil.rmtree(self.path)

    def _check_same(self, recipe: Mapping[str, Any]) -> None:
        before = yaml.safe_load(self.recipe.read_text(encoding="utf-8")) or {}
        changed = [
            f"{key}: {before.get(key)!r} in the run, {recipe.get(key)!r} now"
            for key in sorted(before.keys() | recipe.keys())
            if key not in NOT_PART_OF_THE_RUN and before.get(key) != recipe.get(key)
        ]
        if changed:
            raise UserError(f"{self.path} holds another run ({'; '.join(changed)}); use its recipe, or another folder")

    def last_checkpoint(self) -> Path | None:
        """The complete checkpoint with the most steps; half-written ones are removed."""
        shutil.rmtree(self.partial, ignore_errors=True)
        found = sorted(self.checkpoints.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
        return found[-1] if found else None

    @property
    def partial(self) -> Path:
        """Where a checkpoint is written before it is complete."""
        return self.checkpoints / ".partial"

    def write_record(self, **values: Any) -> dict[str, Any]:
        """Update `run.json` with `values`; return all of it."""
        record = {"schema_version": SCHEMA_VERSION, "kind": "run"} | self.read_record() | values
        atomic_write_json(self.record, record)
        return record

    def read_record(self) -> dict[str, Any]:
        """`run.json`, or nothing where there is none."""
        return json.loads(self.record.read_text(encoding="utf-8")) if self.record.exists() else {}

    def read_metrics(self) -> list[dict[str, Any]]:
        """The complete lines of `metrics.jsonl`."""
        return list(_complete_lines(self.metrics))

    def cut_metrics(self, step: int) -> None:
        """Drop the rows after `step`: they will be measured again."""
        kept = [row for row in self.read_metrics() if row["step"] <= step]
        atomic_write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))


def _complete_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        # A run killed while it wrote leaves a last line without its end.
        if line.endswith("\n"):
            yield json.loads(line)
