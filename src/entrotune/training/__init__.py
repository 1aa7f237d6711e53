"""Trainers and runs. They know objectives only by interface."""

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
