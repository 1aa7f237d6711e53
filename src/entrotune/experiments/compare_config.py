"""What a comparison is made of."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from entrotune.errors import UserError
from entrotune.objectives import Objective
from entrotune.training.config import TrainConfig

BASELINE = "ce"
Diversity = Literal["distinct_1", "distinct_2", "distinct_3", "distinct_4", "ead", "vendi", "distinct_outputs"]


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Train with several objectives from one start, same rows, order and budget; measure quality against diversity.

    The untouched model and plain `ce` are always among the variants, each at every temperature: a flatter
    distribution can be had by sampling alone, so an objective has to beat that.

    Args:
        train: the recipe all variants share; its objective, seed and out are set for each.
        objectives: to compare with each other, with `ce` and with the untouched model.
        out: the folder to make: comparison.json, report.html, a run folder a variant and seed.
        title: of the report.
        seeds: each objective is trained once with each.
        temperatures: at which every variant is scored and sampled.
        samples: responses to each prompt at each temperature.
        prompts: held-out prompts to sample from.
        max_new_tokens: of a response.
        sampling_batch: responses drawn at once.
        sampling_seed: fixes samples, choice of prompts and bootstrap.
        diversity: the measure that fronts are drawn against and by which "about as diverse" is meant.
        judge: score the samples under the untouched model (base_nll).
        resume: go on with what `out` holds.
        overwrite: replace the comparison in `out`.
    """

    train: TrainConfig
    objectives: list[str] = field(default_factory=lambda: [BASELINE, "ce - 0.1*entropy", "gem(beta=0.7)"])
    out: str = "runs/compare"
    title: str = "Objectives compared"
    seeds: list[int] = field(default_factory=lambda: [0])
    temperatures: list[float] = field(default_factory=lambda: [0.7, 1.0, 1.3])
    samples: int = 8
    prompts: int = 32
    max_new_tokens: int = 48
    sampling_batch: int = 64
    sampling_seed: int = 0
    diversity: Diversity = "distinct_2"
    judge: bool = True
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        named = [str(Objective(text)) for text in self.objectives]
        ordered = [BASELINE, *(text for text in dict.fromkeys(named) if text != BASELINE)]
        object.__setattr__(self, "objectives", ordered)
        for name in ("seeds", "temperatures"):
            values = list(getattr(self, name))
            object.__setattr__(self, name, values)
            if not values or len(set(values)) != len(values):
                raise UserError(f"{name} must be one or more different numbers, not {values}")
        if any(not (math.isfinite(t) and t > 0) for t in self.temperatures):
            raise UserError(f"temperatures must be numbers above 0, not {self.temperatures}")
        for name in ("samples", "prompts", "max_new_tokens", "sampling_batch"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.diversity not in get_args(Diversity):
            raise UserError(f"diversity is {self.diversity!r}; expected one of {', '.join(get_args(Diversity))}")
        if self.resume and self.overwrite:
            raise UserError("resume and overwrite contradict each other; give one")

    @property
    def reference_temperature(self) -> float:
        """The temperature nearest to 1, at which variants are compared with each other."""
        return min(self.temperatures, key=lambda t: abs(math.log(t)))

    def run(self, objective: str, seed: int) -> TrainConfig:
        """The recipe of one variant and seed; it goes on where an earlier one stopped."""
        out = f"{self.out}/{slug(objective)}/seed-{seed}"
        reference = self.train.reference if Objective(objective).needs.reference else None
        return self.train.replace(
            objective=objective, reference=reference, seed=seed, out=out, resume=True, overwrite=False
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for YAML."""
        return dataclasses.asdict(self)

    def recipe(self) -> dict[str, Any]:
        """Every field but those that say how the comparison is started."""
        return {key: value for key, value in self.to_dict().items() if key not in ("resume", "overwrite")}

    def replace(self, **changes: Any) -> "CompareConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def slug(objective: str) -> str:
    """A folder name for an objective: `ce - 0.1*entropy` → `ce-0.1-entropy`."""
    return re.sub(r"[^a-z0-9.+]+", "-", objective.replace("+", " plus ")).strip("-")
