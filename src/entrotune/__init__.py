"""Fine-tune language models without collapsing their output distributions, and measure honestly whether it worked."""

import os
from typing import TYPE_CHECKING

from entrotune.lazy import loader

# Nothing this package uses may report home (TRL honours this too); users who want it can set it themselves.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from entrotune.decoding import Strategy
    from entrotune.errors import UserError
    from entrotune.experiments.analyze import analyze_correctness, analyze_models
    from entrotune.experiments.compare import compare
    from entrotune.experiments.compare_config import CompareConfig
    from entrotune.experiments.curriculum import curriculum
    from entrotune.experiments.curriculum_config import CurriculumConfig
    from entrotune.experiments.demo import demo
    from entrotune.experiments.diffuse import diffuse
    from entrotune.experiments.doctor import doctor
    from entrotune.experiments.evaluate import evaluate
    from entrotune.experiments.evidence import evidence
    from entrotune.experiments.generate import generate
    from entrotune.experiments.generate_config import GenerateConfig
    from entrotune.experiments.merge import merge
    from entrotune.experiments.new_model import new_model
    from entrotune.experiments.perplexity import perplexity
    from entrotune.experiments.play.running import play
    from entrotune.experiments.report import report
    from entrotune.experiments.sweep import sweep
    from entrotune.experiments.sweep_config import SweepConfig
    from entrotune.experiments.token_pages import show
    from entrotune.experiments.train import train
    from entrotune.kernels import Reference, linear_objective
    from entrotune.models import load_model
    from entrotune.objectives import Objective, RowStats
    from entrotune.scoring.examine import examine
    from entrotune.scoring.folder import read_scores
    from entrotune.scoring.order import order
    from entrotune.scoring.score import score
    from entrotune.training import EntropicTrainer, TrainConfig
    from entrotune.training.distribution import DiffuseConfig

# Public name → module. Loaded on first use, so that `entrotune --help` does not wait for torch.
_PUBLIC = {
    "CompareConfig": "entrotune.experiments.compare_config",
    "CurriculumConfig": "entrotune.experiments.curriculum_config",
    "DiffuseConfig": "entrotune.training.distribution",
    "EntropicTrainer": "entrotune.training",
    "GenerateConfig": "entrotune.experiments.generate_config",
    "Objective": "entrotune.objectives",
    "Reference": "entrotune.kernels",
    "RowStats": "entrotune.objectives",
    "Strategy": "entrotune.decoding",
    "SweepConfig": "entrotune.experiments.sweep_config",
    "TrainConfig": "entrotune.training",
    "UserError": "entrotune.errors",
    "analyze_correctness": "entrotune.experiments.analyze",
    "analyze_models": "entrotune.experiments.analyze",
    "compare": "entrotune.experiments.compare",
    "curriculum": "entrotune.experiments.curriculum",
    "demo": "entrotune.experiments.demo",
    "diffuse": "entrotune.experiments.diffuse",
    "doctor": "entrotune.experiments.doctor",
    "evaluate": "entrotune.experiments.evaluate",
    "examine": "entrotune.scoring.examine",
    "evidence": "entrotune.experiments.evidence",
    "generate": "entrotune.experiments.generate",
    "linear_objective": "entrotune.kernels",
    "load_model": "entrotune.models",
    "merge": "entrotune.experiments.merge",
    "new_model": "entrotune.experiments.new_model",
    "order": "entrotune.scoring.order",
    "perplexity": "entrotune.experiments.perplexity",
    "play": "entrotune.experiments.play.running",
    "read_scores": "entrotune.scoring.folder",
    "report": "entrotune.experiments.report",
    "score": "entrotune.scoring.score",
    "show": "entrotune.experiments.token_pages",
    "sweep": "entrotune.experiments.sweep",
    "train": "entrotune.experiments.train",
}

__all__ = [
    "CompareConfig",
    "CurriculumConfig",
    "DiffuseConfig",
    "EntropicTrainer",
    "GenerateConfig",
    "Objective",
    "Reference",
    "RowStats",
    "Strategy",
    "SweepConfig",
    "TrainConfig",
    "UserError",
    "analyze_correctness",
    "analyze_models",
    "compare",
    "curriculum",
    "demo",
    "diffuse",
    "doctor",
    "evaluate",
    "evidence",
    "examine",
    "generate",
    "linear_objective",
    "load_model",
    "merge",
    "new_model",
    "order",
    "perplexity",
    "play",
    "read_scores",
    "report",
    "score",
    "show",
    "sweep",
    "train",
]
__version__ = "0.1.0"
__getattr__ = loader(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
