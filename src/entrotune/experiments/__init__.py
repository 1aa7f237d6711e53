"""What joins training, evaluation and reports: the commands' functions."""

from entrotune.experiments.compare import compare
from entrotune.experiments.compare_config import CompareConfig
from entrotune.experiments.demo import DEMO, demo
from entrotune.experiments.doctor import doctor
from entrotune.experiments.report import report
from entrotune.experiments.train import train

__all__ = ["DEMO", "CompareConfig", "compare", "demo", "doctor", "report", "train"]
