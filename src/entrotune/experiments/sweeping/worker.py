"""One trial in a process of its own: `python -m entrotune.experiments.sweeping.worker task.json`."""

import json
import logging
import os
import sys
import threading
import warnings
from pathlib import Path

from entrotune.errors import UserError
from entrotune.experiments.sweep_config import SweepConfig
from entrotune.experiments.sweeping.measuring import Bench
from entrotune.experiments.sweeping.trial import Trial, run_trial
from entrotune.experiments.sweeping.workers import STOPS_ALL
from entrotune.training import TrainConfig


def main(path: str) -> int:
    """Run the trial of a task file; return 0, or 2 where what stopped it would stop every other trial too."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|transformers|trl|peft|accelerate)\b")
    task = json.loads(Path(path).read_text(encoding="utf-8"))
    values = task["config"]
    config = SweepConfig(**{**values, "train": TrainConfig(**values["train"])})
    trial = Trial(task["number"], task["point"], Path(task["folder"]))
    finished = [Trial(other["number"], None, Path(other["folder"])) for other in task["finished"]]
    try:
        run_trial(config, trial, Bench(config), finished=finished, progress=None)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return STOPS_ALL
    return 0


def _end_with_parent() -> None:
    """End this process when the pipe from its parent closes: nobody waits for it any more."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
