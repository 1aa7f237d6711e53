"""Trials run here, one after the other, or several at a time in processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch

from entrotune.errors import UserError
from entrotune.experiments.sweep_config import SweepConfig
from entrotune.experiments.sweeping.trial import Trial
from entrotune.files import atomic_write_json

POLL_SECONDS = 0.2
# What a worker ends with where what stopped it would stop every other trial too.
STOPS_ALL = 2


@dataclass
class _Job:
    trial: Trial
    process: subprocess.Popen[bytes]
    slot: int


class Here:
    """Runs a trial in this process when it is waited for."""

    def __init__(self, run: Callable[[Trial], dict[str, Any]]) -> None:
        self.run = run
        self.started: list[Trial] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.started.clear()

    @property
    def free(self) -> bool:
        """Whether another trial can be started."""
        return not self.started

    @property
    def busy(self) -> bool:
        """Whether a trial is to be waited for."""
        return bool(self.started)

    def start(self, trial: Trial) -> None:
        """Begin a trial."""
        self.started.append(trial)

    def wait(self) -> tuple[Trial, dict[str, Any]]:
        """The next trial that is over, and its outcome."""
        trial = self.started.pop()
        return trial, self.run(trial)


class Workers:
    """Runs `jobs` trials at a time, each in a process with a share of the cores, or a GPU where there are several.

    A worker ends when this process does, however that is ended: it reads from a pipe that then closes.

    Args:
        config: of the sweep.
        finished: gives the trials whose curves may prune one that is started.
    """

    def __init__(self, config: SweepConfig, finished: Callable[[], list[Trial]]) -> None:
        self.config = config
        self.finished = finished
        self.jobs: list[_Job] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for job in self.jobs:
            job.process.kill()
        for job in self.jobs:
            job.process.wait()

    @property
    def free(self) -> bool:
        """Whether another trial can be started."""
        return len(self.jobs) < self.config.jobs

    @property
    def busy(self) -> bool:
        """Whether a trial is to be waited for."""
        return bool(self.jobs)

    def start(self, trial: Trial) -> None:
        """Begin a trial in a process of its own; what it prints goes to `log.txt` in its folder."""
        slot = min(set(range(self.config.jobs)) - {job.slot for job in self.jobs})
        trial.folder.mkdir(parents=True, exist_ok=True)
        task = {
            "config": self.config.to_dict(),
            "number": trial.number,
            "point": trial.point,
            "folder": str(trial.folder),
            "finished": [{"number": other.number, "folder": str(other.folder)} for other in self.finished()],
        }
        atomic_write_json(trial.folder / "task.json", task)
        with (trial.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "entrotune.experiments.sweeping.worker", str(trial.folder / "task.json")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | share_of(slot, self.config.jobs),
            )
        self.jobs.append(_Job(trial, process, slot))

    def wait(self) -> tuple[Trial, dict[str, Any]]:
        """The next trial that is over, and its outcome.

        Raises:
            UserError: a worker met what would stop every other trial too; its log tells.
        """
        while True:
            for job in self.jobs:
                code = job.process.poll()
                if code is not None:
                    self.jobs.remove(job)
                    return job.trial, outcome_of_worker(job.trial, code)
            time.sleep(POLL_SECONDS)


def outcome_of_worker(trial: Trial, code: int) -> dict[str, Any]:
    """What came of a trial whose process ended with `code`.

    Raises:
        UserError: it met what would stop every other trial too; its log tells.
    """
    kept = trial.outcome()
    if kept is not None:
        return kept
    log = trial.folder / "log.txt"
    if code < 0:
        reason = f"its process was ended by signal {-code}, as where memory runs out; see {log}"
        return trial.write("failed", reason=reason)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
    raise UserError(f"{trial.label} stopped, and so would others: {lines[-1]} (see {log}); then add --resume to go on")


def share_of(slot: int, jobs: int) -> dict[str, str]:
    """The environment of a worker: its share of the cores, and one GPU where there are any."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // jobs)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(threads, int(asked)) if asked.isdigit() and int(asked) > 0 else threads
    shared = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    return shared | ({"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]} if devices else {})
