"""Fine-tune language models without collapsing their output distributions, and measure honestly whether it worked."""

import os
from typing import TYPE_CHECKING

from entrotune.lazy import loader

# Nothing this package uses may report home (TRL honours this too); users who want it can set it themselves.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from entrotune.errors import UserError
    from entrotune.evaluation.evaluate import evaluate
    from entrotune.experiments.compare import compare
    from entrotune.experiments.compare_config import CompareConfig
    from entrotune.experiments.demo import demo
    from entrotune.experiments.doctor import doctor
    from entrotune.experiments.report import report
    from entrotune.experiments.train import train
    from entrotune.kernels import linear_objective
    from entrotune.models import load_model
    from entrotune.objectives import Objective, RowStats
    from entrotune.training import EntropicTrainer, TrainConfig

# Public name → module. Loaded on first use, so that `entrotune --help` does not wait for torch.
_PUBLIC = {
    "CompareConfig": "entrotune.experiments.compare_config",
    "EntropicTrainer": "entrotune.training",
    "Objective": "entrotune.objectives",
    "RowStats": "entrotune.objectives",
    "TrainConfig": "entrotune.training",
    "UserError": "entrotune.errors",
    "compare": "entrotune.experiments.compare",
    "demo": "entrotune.experiments.demo",
    "doctor": "entrotune.experiments.doctor",
    "evaluate": "entrotune.evaluation",
    "linear_objective": "entrotune.kernels",
    "load_model": "entrotune.models",
    "report": "entrotune.experiments.report",
    "train": "entrotune.experiments.train",
}

__all__ = [
    "CompareConfig",
    "EntropicTrainer",
    "Objective",
    "RowStats",
    "TrainConfig",
    "UserError",
    "compare",
    "demo",
    "doctor",
    "evaluate",
    "linear_objective",
    "load_model",
    "report",
    "train",
]
__version__ = "0.1.0"
__getattr__ = loader(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
