"""Trainers and runs. They know objectives only by interface."""

from typing import TYPE_CHECKING

from entrotune.lazy import loader

if TYPE_CHECKING:
    from entrotune.training.config import TrainConfig
    from entrotune.training.entropic_trainer import EntropicTrainer
    from entrotune.training.plan import plan_training
    from entrotune.training.rows import TrainingRows, read_rows
    from entrotune.training.run import run_training
    from entrotune.training.run_folder import RunFolder

__all__ = [
    "EntropicTrainer",
    "RunFolder",
    "TrainConfig",
    "TrainingRows",
    "plan_training",
    "read_rows",
    "run_training",
]

# A recipe must not wait for trl.
__getattr__ = loader(
    __name__,
    {
        "EntropicTrainer": "entrotune.training.entropic_trainer",
        "RunFolder": "entrotune.training.run_folder",
        "TrainConfig": "entrotune.training.config",
        "TrainingRows": "entrotune.training.rows",
        "plan_training": "entrotune.training.plan",
        "read_rows": "entrotune.training.rows",
        "run_training": "entrotune.training.run",
    },
)
