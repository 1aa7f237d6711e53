"""A sweep of tiny models, and one that is killed in the middle."""

import os
import signal
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, trainer

from entrotune import SweepConfig, TrainConfig, sweep


def small(model: Path, rows: Path, out: Path, **changes: Any) -> SweepConfig:
    """One weight that is plain ce, one that trains, one with which entropy wins."""
    train = TrainConfig(
        data=str(rows),
        model=str(model),
        validation=0.25,
        epochs=2,
        batch_size=4,
        method="full",
        learning_rate=1e-3,
        max_length=128,
        split_seed=3,
        save_every=2,
    )
    options: dict[str, Any] = {
        "objective": "ce - alpha*entropy",
        "search": {"alpha": [0, 0.2, 1.5]},
        "temperatures": [1.0, 1.5],
        "samples": 2,
        "prompts": 6,
        "max_new_tokens": 4,
        "train": train,
        "out": str(out),
    }
    return SweepConfig(**(options | changes))


class KillAt(TrainerCallback):
    """Ends the process in the second step of the second trial."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if "trials/0001" in str(args.output_dir) and state.global_step == 3:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(values: dict[str, Any]) -> None:
    """Run a sweep, in a process of its own, until it is killed."""
    trainer.DEFAULT_CALLBACKS.append(KillAt)
    sweep(SweepConfig(**{**values, "train": TrainConfig(**values["train"])}), progress=False)
