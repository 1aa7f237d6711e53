"""One setting: trained with every seed, measured, and its outcome on disk."""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from rich.progress import Progress

from entrotune import provenance
from entrotune.errors import UserError
from entrotune.experiments.display import ending_rows
from entrotune.experiments.sweep_config import SweepConfig
from entrotune.experiments.sweeping.measuring import Bench
from entrotune.experiments.sweeping.pruning import PrunedRunError, StopBadRun, mean_curve
from entrotune.experiments.sweeping.space import label
from entrotune.files import atomic_write_json
from entrotune.training import run_training

SCHEMA_VERSION = 1
OVER = ("complete", "pruned", "failed")
WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Trial:
    """A setting to try, or plain `ce` where there is no point.

    Attributes:
        number: of the study; None for plain `ce`.
        point: name → value.
        folder: of its runs.
    """

    number: int | None
    point: Mapping[str, Any] | None
    folder: Path

    @property
    def label(self) -> str:
        """What a display calls it."""
        return "plain ce" if self.point is None else f"trial {self.number}: {label(self.point)}"

    @property
    def record(self) -> Path:
        """Where its outcome is kept."""
        return self.folder / "trial.json"

    def runs(self, seeds: Sequence[int]) -> list[Path]:
        """Its run folders."""
        return [self.folder / f"seed-{seed}" for seed in seeds]

    def outcome(self) -> dict[str, Any] | None:
        """What came of it, or None before it is over.

        Raises:
            UserError: the folder holds the outcome of another setting.
        """
        if not self.record.exists():
            return None
        kept = json.loads(self.record.read_text(encoding="utf-8"))
        if kept["point"] != (None if self.point is None else dict(self.point)):
            raise UserError(f"{self.record} is of another setting, {kept['point']}; use another folder, or --overwrite")
        return kept if kept["state"] in OVER else None

    def write(self, state: str, **values: Any) -> dict[str, Any]:
        """Keep what came of it, or that it runs."""
        began = json.loads(self.record.read_text(encoding="utf-8"))["started"] if self.record.exists() else None
        outcome = {
            "schema_version": SCHEMA_VERSION,
            "number": self.number,
            "point": None if self.point is None else dict(self.point),
            "state": state,
            "started": began or provenance.now(),
            "finished": provenance.now() if state in OVER else None,
            **values,
        }
        atomic_write_json(self.record, outcome)
        return outcome


def run_trial(
    config: SweepConfig, trial: Trial, bench: Bench, *, finished: Sequence[Trial], progress: Progress | None
) -> dict[str, Any]:
    """Train and measure a setting, or go on where it was killed; return its outcome, which is in `trial.json`.

    A setting that cannot be trained (it diverges, entropy wins, it needs more memory than there is) is an outcome with
    its reason. What would stop every other setting too, such as a full disk, is raised.

    Args:
        config: of the sweep.
        trial: the setting.
        bench: what it is measured on.
        finished: settings whose validation curves may prune it.
        progress: a running display.
    """
    trial.folder.mkdir(parents=True, exist_ok=True)
    with _alone(trial):
        kept = trial.outcome()
        if kept is not None:
            return kept
        trial.write("running")
        try:
            with ending_rows(progress):
                seconds = _run(config, trial, bench, finished, progress)
            outcome = trial.write("complete", seconds=round(seconds, 1))
        except PrunedRunError as stopped:
            outcome = trial.write("pruned", reason=str(stopped))
        except torch.OutOfMemoryError as error:
            outcome = trial.write("failed", reason=f"out of memory: {str(error).splitlines()[0]}")
        except UserError as error:
            if isinstance(error.__cause__, OSError):
                raise
            outcome = trial.write("failed", reason=str(error))
        for folder in trial.runs(config.seeds):
            # Checkpoints are there to go on from; of a run that is over only the model is kept.
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return outcome


@contextlib.contextmanager
def _alone(trial: Trial) -> Iterator[None]:
    """Hold the trial's folder: a worker whose parent was killed may still be at it for a moment."""
    try:
        with FileLock(trial.folder / ".lock", timeout=WAIT_SECONDS):
            yield
    except Timeout:
        raise UserError(f"another process works on {trial.folder}; end it and use --resume") from None


def _run(
    config: SweepConfig, trial: Trial, bench: Bench, finished: Sequence[Trial], progress: Progress | None
) -> float:
    """Train with each seed and measure; return the seconds it took, those before a kill included."""
    watching = []
    if config.prune and trial.point is not None:
        curves = [mean_curve(other.runs(config.seeds)) for other in finished]
        watching = [StopBadRun(curves, after=config.prune_after)]
    seconds = 0.0
    point = None if trial.point is None else dict(trial.point)
    for seed in config.seeds:
        recipe = config.run(point, seed, str(trial.folder))
        name = trial.label if len(config.seeds) == 1 else f"{trial.label}, seed {seed}"
        record = run_training(recipe, progress=progress, label=name, callbacks=watching)
        began = time.monotonic()
        folder = Path(recipe.out)
        temperatures = config.baseline_temperatures if trial.point is None else None
        bench.measure(str(folder), folder, progress, temperatures=temperatures)
        seconds += record["seconds"] + time.monotonic() - began
    return seconds
