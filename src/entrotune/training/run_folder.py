"""The folder of one run: recipe, record, metrics, checkpoints and model, each written so that a kill leaves no half."""

import contextlib
import errno
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError

from entrotune import provenance
from entrotune.errors import UserError
from entrotune.files import LOCK, alone, atomic_write_json, atomic_write_text
from entrotune.training.config import NOT_PART_OF_THE_RUN

SCHEMA_VERSION = 1
# What belongs to a run, and what `overwrite` replaces; anything else in the folder is the user's.
RUN_ENTRIES = (
    "recipe.yaml",
    "run.json",
    "metrics.jsonl",
    "rejects.jsonl",
    "checkpoints",
    "model",
    "report.html",
    "tensorboard",
)
EVALUATION_ENTRIES = (
    "evaluation",
    "evaluation.json",
    "evaluation-rejects.jsonl",
    "per_prompt.jsonl",
    "samples.jsonl",
    "samples.settings.json",
)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class RunFolder:
    """Paths and files of a run.

    Args:
        path: the folder; `open` makes it.
        writes: whether this process keeps the record; of several that train together only one may.
    """

    def __init__(self, path: str | Path, *, writes: bool = True) -> None:
        self.path = Path(path)
        self.writes = writes
        self.recipe = self.path / "recipe.yaml"
        self.record = self.path / "run.json"
        self.metrics = self.path / "metrics.jsonl"
        self.rejects = self.path / "rejects.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"

    def check(self, recipe: Mapping[str, Any]) -> None:
        """Refuse to use the folder for `recipe`; nothing is changed.

        Raises:
            UserError: the folder holds another run or other files, and the recipe does not say what to do.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; give the name of a folder to write the run to")
        held = [path for path in self.path.iterdir() if path.name != LOCK] if self.path.is_dir() else []
        if not held:
            return
        if not self._holds_run():
            if self._leftovers() == held:
                return
            raise UserError(f"{self.path} holds other files and no run; give the name of another folder")
        if self._failed_at_once():
            return
        if recipe["resume"]:
            self._check_same(recipe)
        elif not recipe["overwrite"]:
            raise UserError(f"{self.path} already holds a run; add --resume to go on, --overwrite to replace it")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder, which is made, for this process; of several that train together for the one that writes.

        Raises:
            UserError: another process works on it, or it cannot be made.
        """
        with contextlib.ExitStack() as held:
            if self.writes:
                with self.writing(f"the run folder {self.path}"):
                    held.enter_context(alone(self.path))
            yield

    def open(self, recipe: Mapping[str, Any]) -> Path | None:
        """Make the folder for `recipe`, or find where the run in it stopped.

        Returns:
            The checkpoint to go on from, or None to start afresh.

        Raises:
            UserError: as `check`.
        """
        self.check(recipe)
        if recipe["overwrite"] or self._failed_at_once():
            self._clear()
        self.path.mkdir(parents=True, exist_ok=True)
        for path in self._leftovers():
            _remove(path)
        # The record comes first: it is what tells a run from a folder with somebody's recipe.
        self.write_record()
        kept = {key: value for key, value in recipe.items() if key not in ("resume", "overwrite")}
        atomic_write_text(self.recipe, yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
        _remove(self.partial)
        return self.last_checkpoint()

    def _holds_run(self) -> bool:
        return self.record.is_file() and self.read_record().get("kind") == "run"

    def _failed_at_once(self) -> bool:
        """Whether all there is are the recipe and the record of a run that was refused before anything was measured."""
        failed = self._holds_run() and self.read_record().get("status") == "failed"
        return failed and not self.metrics.exists() and not self.steps()

    def _leftovers(self) -> list[Path]:
        """What a killed process left under temporary names."""
        return [path for path in self.path.iterdir() if re.fullmatch(r"\..+\.(partial|old)", path.name)]

    def _clear(self) -> None:
        # The record goes last, so that a clearing that was cut short can be repeated.
        for name in sorted((*RUN_ENTRIES, *EVALUATION_ENTRIES), key=lambda name: name == self.record.name):
            _remove(self.path / name)

    def _check_same(self, recipe: Mapping[str, Any]) -> None:
        if not self.recipe.exists():  # killed before it was written
            return
        before = yaml.safe_load(self.recipe.read_text(encoding="utf-8")) or {}
        changed = [
            f"{key}: {before.get(key)!r} in the run, {recipe.get(key)!r} now"
            for key in sorted(before.keys() | recipe.keys())
            if key not in NOT_PART_OF_THE_RUN and before.get(key) != recipe.get(key)
        ]
        if changed:
            raise UserError(f"{self.path} holds another run ({'; '.join(changed)}); use its recipe, or another folder")

    def last_checkpoint(self) -> Path | None:
        """The complete checkpoint with the most steps."""
        steps = self.steps()
        return self.checkpoint(steps[-1]) if steps else None

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step is kept."""
        return self.checkpoints / f"step-{step}"

    def steps(self) -> list[int]:
        """The steps that have a complete checkpoint, in order."""
        found = [re.fullmatch(r"step-(\d+)", path.name) for path in self.checkpoints.glob("step-*")]
        return sorted(int(match[1]) for match in found if match)

    @property
    def partial(self) -> Path:
        """Where a checkpoint is written before it is complete."""
        return self.checkpoints / ".partial"

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Turn a failure to write `what` into a `UserError` that names the last good checkpoint."""
        try:
            yield
        except (
            OSError,
            RuntimeError,
            SafetensorError,
        ) as error:  # torch and safetensors have their own for a full disk
            last = self.last_checkpoint()
            kept = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
            told = (str(error).strip() or type(error).__name__).splitlines()[0]
            elsewhere = isinstance(error, OSError) and error.errno not in NO_ROOM
            remedy = "Check the path and its permissions" if elsewhere else "Make room"
            raise UserError(
                f"{what} could not be written ({told}); {kept}. {remedy} and run the same command with --resume"
            ) from error

    def write_record(self, **values: Any) -> dict[str, Any]:
        """Update `run.json` with `values`; return all of it."""
        record = {"schema_version": SCHEMA_VERSION, "kind": "run"} | self.read_record() | values
        if self.writes:
            atomic_write_json(self.record, record)
        return record

    def write_start(self, device: Any, **values: Any) -> dict[str, Any]:
        """Update `run.json` for a run that begins or goes on: who started it, with what, on which device."""
        return self.write_record(
            status="running",
            error=None,
            started=self.read_record().get("started", provenance.now()),
            command=provenance.command_line(),
            versions=provenance.versions(),
            git_revision=provenance.git_revision(),
            device=provenance.device_name(device),
            **values,
        )

    def read_record(self) -> dict[str, Any]:
        """`run.json`, or nothing where there is none."""
        return json.loads(self.record.read_text(encoding="utf-8")) if self.record.exists() else {}

    def read_metrics(self) -> list[dict[str, Any]]:
        """The complete lines of `metrics.jsonl`."""
        return list(_complete_lines(self.metrics))

    def spent(self) -> float:
        """Seconds of training so far. A killed run recorded none, but its metrics did."""
        rows = self.read_metrics()
        return max(self.read_record().get("seconds") or 0.0, rows[-1]["seconds"] if rows else 0.0)

    def cut_metrics(self, step: int) -> None:
        """Drop the rows after `step`: they will be measured again."""
        if not self.writes:
            return
        kept = [row for row in self.read_metrics() if row["step"] <= step]
        atomic_write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))


def _complete_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        # A run killed while it wrote leaves a last line without its end.
        if line.endswith("\n"):
            yield json.loads(line)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
