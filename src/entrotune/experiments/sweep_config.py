"""What a sweep is made of."""

import dataclasses
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from entrotune.errors import UserError
from entrotune.experiments.folders import tidy
from entrotune.experiments.precision import Precision, check_precision
from entrotune.experiments.sweeping.space import Dimension, check_space, grid, read_space, recipe_at
from entrotune.responses import check_responses
from entrotune.seeds import check_seed, check_seeds
from entrotune.temperatures import check_temperatures
from entrotune.training.config import TrainConfig

Method = Literal["grid", "random", "optuna"]
BASELINE = "ce"
DEFAULT_TRIALS = 20
# Where a sweep is, how it is started or how long it goes on, not what its trials are: they may change on resume.
NOT_PART_OF_THE_SWEEP = ("out", "title", "trials", "jobs", "resume", "overwrite")


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """Search coefficients and other settings for quality and diversity; see the front, and a recommendation.

    The untouched model and plain `ce` with the base recipe are always measured beside the trials, at every temperature.

    Args:
        train: the base recipe; what is searched, objective, coefficients, seed and out are set for each trial.
        search: name to values or range: {"alpha": [0, 0.1], "learning_rate": {"low": 1e-5, "high": 1e-3, "log": true}}.
        objective: what trials minimise, such as "ce - alpha*entropy" or "gem(beta={beta})"; by default that of train.
        method: grid tries every combination, random draws, optuna follows what was good (multi-objective TPE).
        trials: settings to try at most; by default all of a grid, else 20.
        out: the folder to make: sweep.json, report.html, sweep.db, a folder a trial.
        title: of the report.
        seeds: every setting is trained with each, and values are averaged for each prompt.
        quality: the measure of quality: nll, accuracy, correct, pass@4, rouge_l, base_nll, ….
        diversity: the measure of diversity: distinct_2, vendi, self_bleu, entropy, ….
        temperatures: at which every trial is scored and sampled.
        samples: responses to each prompt at each temperature.
        prompts: held-out prompts to sample from.
        max_new_tokens: of a response.
        sampling_batch: responses drawn at once.
        dtype: of the weights when measuring: float32, bfloat16 or float16; train.precision is that of training.
        sampling_seed: fixes samples, choice of prompts, bootstrap and the search.
        jobs: trials trained at the same time, each in a process of its own with a share of the cores or a GPU.
        prune: stop a run whose validation NLL is in the worst quarter of the settings finished before it.
        prune_after: settings that must be finished before any is stopped.
        resume: go on with what `out` holds.
        overwrite: replace the sweep in `out`.
    """

    train: TrainConfig
    search: dict[str, Any]
    objective: str | None = None
    method: Method = "grid"
    trials: int | None = None
    out: str = "runs/sweep"
    title: str = "Settings compared"
    seeds: list[int] = dataclasses.field(default_factory=lambda: [0])
    quality: str = "nll"
    diversity: str = "distinct_2"
    temperatures: list[float] = dataclasses.field(default_factory=lambda: [0.7, 1.0, 1.3])
    samples: int = 8
    prompts: int = 32
    max_new_tokens: int = 48
    sampling_batch: int = 64
    dtype: Precision = "float32"
    sampling_seed: int = 0
    jobs: int = 1
    prune: bool = False
    prune_after: int = 4
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", tidy(self.out))
        if self.method not in get_args(Method):
            raise UserError(f"method is {self.method!r}; expected {', '.join(get_args(Method))}")
        self._check_space()
        for name in ("seeds", "temperatures"):
            if isinstance(getattr(self, name), Sequence):
                object.__setattr__(self, name, list(getattr(self, name)))
        check_seeds("seeds", self.seeds)
        check_temperatures(self.temperatures, greedy=False)
        for name in ("samples", "prompts", "max_new_tokens", "sampling_batch", "jobs", "prune_after", "trials"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, not {value}")
        _check_metric("quality", self.quality)
        _check_metric("diversity", self.diversity)
        check_precision(self.dtype)
        check_responses("samples", self.samples, self.prompts)
        check_seed("sampling_seed", self.sampling_seed)
        if self.resume and self.overwrite:
            raise UserError("resume and overwrite contradict each other; give one")

    def _check_space(self) -> None:
        space = read_space(self.search)
        if "objective" in self.search and self.objective is not None:
            raise UserError("the objective is given twice, as objective and as search.objective; give one")
        ranges = [dimension.name for dimension in space if not dimension.values]
        if self.method == "grid" and ranges:
            raise UserError(
                f"search.{ranges[0]} is a range, of which a grid would have no end; give a list of values, or "
                "method random or optuna"
            )
        check_space(space, self.train, self.minimised)

    @property
    def minimised(self) -> str:
        """The objective of a trial, with names and braces."""
        return str(self.train.objective) if self.objective is None else self.objective

    @property
    def space(self) -> tuple[Dimension, ...]:
        """What is varied."""
        return read_space(self.search)

    @property
    def number(self) -> int:
        """How many settings are tried at most."""
        if self.method != "grid":
            return self.trials or DEFAULT_TRIALS
        points = sum(1 for _ in grid(self.space))
        return min(points, self.trials or points)

    @property
    def reference_temperature(self) -> float:
        """The temperature nearest to 1, at which the search and the charts look."""
        return min(self.temperatures, key=lambda t: abs(math.log(t)))

    @property
    def baseline_temperatures(self) -> list[float]:
        """Those of plain `ce`: also half-way between each two, so that what lies between is known well."""
        ordered = sorted(self.temperatures)
        between = [round(math.sqrt(low * high), 3) for low, high in itertools.pairwise(ordered)]
        return sorted({*ordered, *between})

    def run(self, point: dict[str, Any] | None, seed: int, folder: str) -> TrainConfig:
        """The recipe of a point, or of plain `ce` for None, with a seed; it goes on where an earlier one stopped."""
        if point is None:
            base = self.train.replace(objective=BASELINE, coefficients=None, reference=None)
        else:
            base = recipe_at(point, self.train, self.minimised)
        out = f"{folder}/seed-{seed}"
        return base.replace(seed=seed, out=out, resume=True, overwrite=False, when_entropy_wins="stop")

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for YAML."""
        return dataclasses.asdict(self)

    def recipe(self) -> dict[str, Any]:
        """Every field but those that say how the sweep is started."""
        return {key: value for key, value in self.to_dict().items() if key not in ("resume", "overwrite")}

    def replace(self, **changes: Any) -> "SweepConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def better(metric: str) -> int:
    """1 where larger values of a metric are better, else −1; `base_nll` is better the lower."""
    from entrotune.measures import METRICS  # brings scipy, for which --help must not wait

    if re.fullmatch(r"pass@\d+", metric):
        return 1
    return 1 if METRICS[metric].better == "higher" else -1


def _check_metric(kind: str, name: str) -> None:
    from entrotune.measures import METRICS

    known = [metric for metric, info in METRICS.items() if info.kind == kind and metric != "perplexity"]
    known += ["base_nll"] if kind == "quality" else []
    if name not in known and not (kind == "quality" and re.fullmatch(r"pass@\d+", name)):
        raise UserError(f"{kind} is {name!r}; expected one of {', '.join(known)}")
