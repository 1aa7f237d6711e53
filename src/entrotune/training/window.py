"""What a training measured since it last logged, which a checkpoint between two logs must keep."""

import json
from pathlib import Path
from typing import Any

WINDOW_FILE = "window.json"


def window_of(trainer: Any) -> dict[str, Any]:
    """The window of all processes; each must ask."""
    return {
        "num_tokens": trainer._total_train_tokens,
        "loss": trainer.accelerator.reduce(trainer._tr_loss, reduction="mean").item(),
        "last_logged": trainer._globalstep_last_logged,
        "meter": trainer._meters["train"].state(trainer._sum_over_ranks),
    }


def write_window(checkpoint: Path, window: dict[str, Any]) -> None:
    """Put a window into the folder of a checkpoint, which is made where it is not there yet."""
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / WINDOW_FILE).write_text(json.dumps(window), encoding="utf-8")


def read_window(checkpoint: str | Path | None) -> dict[str, Any] | None:
    """The window that a checkpoint kept; None without one, as in a checkpoint of another trainer."""
    path = Path(checkpoint) / WINDOW_FILE if checkpoint is not None else None
    return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else None


def restore_measured(trainer: Any, window: dict[str, Any]) -> None:
    """Go on counting where the window stopped."""
    trainer._total_train_tokens = window["num_tokens"]
    # One process carries the sums of all, as they will be added up.
    share = 1.0 if trainer.accelerator.is_main_process else 0.0
    trainer._meters["train"].restore(window["meter"], trainer.accelerator.device, share=share)


def restore_loss(trainer: Any, window: dict[str, Any]) -> None:
    """Go on with `Trainer`'s own sum, which it sets to 0 when its loop begins."""
    trainer._tr_loss.fill_(window["loss"])
    trainer._globalstep_last_logged = window["last_logged"]
